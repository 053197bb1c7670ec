package ionmesh

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Names of the commands that an orchestrator can give.
const (
	OrderMove    = "move"    // take another card: the fields of a registration's answer
	OrderTest    = "test"    // args.target: server, bank, card or ionmesh
	OrderReset   = "reset"   // args.method: auto, soft, modemmanager, gpio or power
	OrderCollect = "collect" // tell state, findings and counters
	OrderConfig  = "config"  // read the configuration again and tell what is wrong with it
)

// Statuses of a command's result.
const (
	StatusDone    = "done"
	StatusRefused = "refused"
	StatusFailed  = "failed"
	StatusExpired = "expired"
)

// Order is a command of the orchestrator.
type Order struct {
	ID      string
	Name    string
	Expires time.Time // by the orchestrator's clock; zero: never
	Target  string    // of test
	Method  string    // of reset
	Move    Answer    // of move: the card, and its lease if it has one of its own
	Bad     string    // why it cannot be carried out, in words; "" if it can be read
}

// Result is what came of an order.
type Result struct {
	ID      string          `json:"id"`
	Status  string          `json:"status"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"` // of collect, test and config
}

// DecodeOrder reads one command. One that has an id and is wrong otherwise is no
// error: its result says what is wrong.
func DecodeOrder(body []byte) (Order, error) {
	var w struct {
		ID      string          `json:"id"`
		Name    string          `json:"command"`
		Expires *float64        `json:"expires"`
		Args    json.RawMessage `json:"args"`
	}
	if err := unmarshal(body, &w); err != nil {
		return Order{}, fmt.Errorf("command: %w", err)
	}
	if w.ID == "" || len(w.ID) > 64 || printable(w.ID, 64) != w.ID {
		return Order{}, fmt.Errorf("command: its id is not 1 to 64 printable characters: %w", ErrMalformed)
	}
	n := numbers{}
	o := Order{ID: w.ID, Name: printable(w.Name, 20), Expires: n.time("expires", w.Expires)}
	err := n.err
	if err == nil {
		err = o.arguments(w.Args)
	}
	if err != nil {
		o.Bad = err.Error()
	}
	return o, nil
}

func (o *Order) arguments(args json.RawMessage) error {
	var w struct {
		Target string `json:"target"`
		Method string `json:"method"`
	}
	if len(args) > 0 {
		if err := unmarshal(args, &w); err != nil {
			return err
		}
	}
	switch o.Name {
	case OrderMove:
		a, err := DecodeRegistered(args)
		if err == nil && len(a.Orders) > 0 {
			err = fmt.Errorf("a move holds commands: %w", ErrMalformed)
		}
		o.Move = a
		return err
	case OrderTest:
		o.Target = w.Target
	case OrderReset:
		o.Method = w.Method
	case OrderCollect, OrderConfig:
	default:
		return fmt.Errorf("there is no command %q here: %w", o.Name, ErrMalformed)
	}
	switch {
	case o.Name == OrderTest && !oneOf(o.Target, "server", "bank", "card", "ionmesh"):
		return fmt.Errorf("target is not one of server, bank, card, ionmesh: %w", ErrMalformed)
	case o.Name == OrderReset && !oneOf(o.Method, "", "auto", string(model.RungSoft), string(model.RungMM), string(model.RungGPIO), string(model.RungPower)):
		return fmt.Errorf("method is not one of auto, soft, modemmanager, gpio, power: %w", ErrMalformed)
	}
	return nil
}

func oneOf(s string, list ...string) bool {
	for _, l := range list {
		if s == l {
			return true
		}
	}
	return false
}
