// Package api is the ubus object `remsim`: it turns method calls into reads of
// the engine's snapshot or into commands, and announces changes. It holds no
// state of the product. One file per noun.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// Path is the name of the object on the bus, and of the events it sends.
const Path = "remsim"

// Backend is what the methods need besides the engine's state. The application
// provides it.
type Backend interface {
	// ConfigReport tells what the check of the configuration file said.
	ConfigReport() model.ConfigReport
	// Reload reads the configuration file again.
	Reload(ctx context.Context) model.ConfigReport
	// Test tries one thing out, without touching what works.
	Test(ctx context.Context, target, name string) ([]model.Step, error)
	// LinePlan shows a modem's GPIO line and what would be done with it.
	LinePlan(modem string, use model.LineUse) (model.LinePlan, error)
	// SwitchFirmware tells how a modem's own switch for UIM Remote stands, or turns it.
	SwitchFirmware(ctx context.Context, r model.FirmwareSwitchRequest) (model.FirmwareSwitch, error)
	// Trace returns traced APDUs of a modem after since, oldest first.
	Trace(modem string, since int64, limit int) ([]model.APDU, error)
	// Discover looks what is there and could be configured.
	Discover(ctx context.Context) (model.Found, error)
	// Credentials lists what is stored, StoreCredential and RemoveCredential change
	// it.
	Credentials() ([]model.Credential, error)
	StoreCredential(kind, name string, text []byte) error
	RemoveCredential(kind, name string) error
	// Support packs a redacted archive for whoever helps.
	Support(ctx context.Context) ([]byte, error)
}

// Sender sends an event over the bus; the ubus client does.
type Sender interface {
	Send(ctx context.Context, event string, data any) error
}

// API serves the object. Make it with New.
type API struct {
	object  *ubus.Object
	engine  *engine.Engine
	backend Backend
	news    chan change
	log     *slog.Logger
	cache   atomic.Pointer[encoded]
	archive archived
}

// change is what one snapshot brought.
type change struct {
	sequence int64
	entries  []journal.Entry
}

// changes is how many changes may wait for the bus. When it hangs longer, the
// events of the oldest ones stay in the journal, where `events` finds them.
const changes = 64

// New makes the object. Bind has to be called before it is put on the bus.
func New(log *slog.Logger) *API {
	a := &API{log: log, news: make(chan change, changes)}
	a.object = &ubus.Object{Path: Path, Methods: a.Methods()}
	return a
}

// Object is what goes on the bus.
func (a *API) Object() *ubus.Object { return a.object }

// Bind tells whose state is shown.
func (a *API) Bind(e *engine.Engine, b Backend) { a.engine, a.backend = e, b }

// Publish queues the announcement of a change. It never blocks: it is called
// from the engine.
func (a *API) Publish(s *model.Snapshot, news []journal.Entry) {
	select {
	case a.news <- change{sequence: s.Sequence, entries: news}:
	default:
		a.log.Debug("announcement dropped: the bus is too slow; `events` still has it", "sequence", s.Sequence)
	}
}

// Run announces changes on the bus until ctx ends: the notification `change`
// with the sequence, and each journal entry as an event. Without a bus they are
// dropped: whoever comes later asks `events`.
func (a *API) Run(ctx context.Context, to Sender) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-a.news:
			for more := true; more; {
				select {
				case next := <-a.news:
					c.sequence = next.sequence
					c.entries = append(c.entries, next.entries...)
				default:
					more = false
				}
			}
			a.announce(ctx, to, c)
		}
	}
}

// announceTime bounds one message to a bus that hangs.
const announceTime = 5 * time.Second

func (a *API) announce(ctx context.Context, to Sender, c change) {
	ctx, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	for _, e := range c.entries {
		a.drop(to.Send(ctx, Path, e))
	}
	a.drop(a.object.Notify(ctx, "change", map[string]int64{"sequence": c.sequence}))
}

// Methods lists the object's methods with their signatures. A signature is only
// shown: `ubus -v list` has a word for INT32 but none for INT64, and any width of
// integer is taken.
func (a *API) Methods() []ubus.Method {
	return []ubus.Method{
		{Name: "status", Args: args("since", ubus.Int32), Handler: a.status},
		{Name: "events", Args: args("since", ubus.Int32, "limit", ubus.Int32, "kind", ubus.String), Handler: a.events},
		{Name: "diagnose", Args: args("modem", ubus.String), Handler: a.diagnose},
		{Name: "test", Args: args("target", ubus.String, "name", ubus.String), Handler: a.test},
		{Name: "config", Handler: a.config},
		{Name: "reload", Handler: a.reload},
		{Name: "switch", Args: args("role", ubus.String, "link", ubus.String), Handler: a.switchRole},
		{Name: "sim", Args: args("modem", ubus.String, "source", ubus.String), Handler: a.sim},
		{Name: "map", Args: args("modem", ubus.String, "host", ubus.String, "port", ubus.Int32, "bank_id", ubus.Int32, "slot", ubus.Int32), Handler: a.mapBank},
		{Name: "unmap", Args: args("modem", ubus.String), Handler: a.unmap},
		{Name: "trace", Args: args("modem", ubus.String, "since", ubus.Int32, "limit", ubus.Int32), Handler: a.trace},
		{Name: "tracing", Args: args("modem", ubus.String, "on", ubus.Bool), Handler: a.tracing},
		{Name: "reset", Args: args("modem", ubus.String, "method", ubus.String), Handler: a.reset},
		{Name: "gpio", Args: args("modem", ubus.String, "line", ubus.String, "dry_run", ubus.Bool), Handler: a.gpio},
		{Name: "front", Args: args("modem", ubus.String, "action", ubus.String, "old", ubus.String, "interrupt", ubus.Bool), Handler: a.front},
		{Name: "history", Args: args("metric", ubus.String, "subject", ubus.String, "range", ubus.String), Handler: a.history},
		{Name: "discover", Handler: a.discover},
		{Name: "credential", Args: args("kind", ubus.String, "name", ubus.String, "pem", ubus.String), Handler: a.credential},
		{Name: "support", Args: args("part", ubus.Int32), Handler: a.support},
		{Name: "identities", Handler: a.identities},
	}
}

// args pairs names and types.
func args(pairs ...any) []ubus.Arg {
	var out []ubus.Arg
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, ubus.Arg{Name: pairs[i].(string), Type: pairs[i+1].(ubus.Type)})
	}
	return out
}

// refuse answers with the status that fits err and its words.
func (a *API) refuse(req *ubus.Request, err error) {
	status := ubus.StatusUnknownError
	var command *model.CommandError
	var argument *ubus.ArgError
	switch {
	case errors.As(err, &argument):
		status = ubus.StatusInvalidArgument
	case errors.Is(err, context.DeadlineExceeded):
		status = ubus.StatusTimeout
	case errors.As(err, &command):
		switch command.Kind {
		case model.InvalidArgument:
			status = ubus.StatusInvalidArgument
		case model.NotFound:
			status = ubus.StatusNotFound
		case model.NotSupported:
			status = ubus.StatusNotSupported
		}
	}
	a.drop(req.Fail(status, err.Error()))
}

// drop logs what could not be sent: the caller or the bus has gone away, and
// whoever comes later asks anew.
func (a *API) drop(err error) {
	if err != nil {
		a.log.Debug("not sent", "err", err)
	}
}

// answer replies with v or refuses with err.
func (a *API) answer(req *ubus.Request, v any, err error) {
	if err != nil {
		a.refuse(req, err)
		return
	}
	if err := req.Reply(v); err != nil {
		a.refuse(req, fmt.Errorf("encode the reply of %s: %w", req.Method, err))
	}
}

// invalid refuses an argument in words.
func invalid(format string, a ...any) error {
	return &model.CommandError{Kind: model.InvalidArgument, Message: fmt.Sprintf(format, a...)}
}
