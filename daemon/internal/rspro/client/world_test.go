package client_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; nothing takes that long but on a machine that is
// busy with other things.
const patience = 30 * time.Second

// feed is a list that grows and that a test waits on.
type feed[T any] struct {
	mu    sync.Mutex
	items []T
	next  int // of the first one that await has not passed
	more  chan struct{}
}

func newFeed[T any]() *feed[T] { return &feed[T]{more: make(chan struct{}, 1)} }

func (f *feed[T]) add(v T) {
	f.mu.Lock()
	f.items = append(f.items, v)
	f.mu.Unlock()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// take returns the first item after the last one taken for which ok holds.
func (f *feed[T]) take(ok func(T) bool) (T, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := f.next; i < len(f.items); i++ {
		if ok(f.items[i]) {
			f.next = i + 1
			return f.items[i], true
		}
	}
	var none T
	return none, false
}

func (f *feed[T]) await(t testing.TB, what string, ok func(T) bool) T {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		if v, found := f.take(ok); found {
			return v
		}
		select {
		case <-f.more:
		case <-end.C:
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Failf(t, "waited in vain", "for %s; there came:\n%s", what, strings.TrimSpace(fmt.Sprintf("%+v", f.items[max(f.next, len(f.items)-20):])))
		}
	}
}

func (f *feed[T]) all() []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]T(nil), f.items...)
}

// said is one call of the bank handler.
type said struct {
	what string // up atr response down
	bank card.Bank
	data []byte
	err  error
}

func (s said) String() string { return fmt.Sprintf("%s % x %v", s.what, s.data, s.err) }

// ear is a card.BankHandler that writes down what it hears.
type ear struct{ *feed[said] }

func (e ear) BankUp(b card.Bank)          { e.add(said{what: "up", bank: b}) }
func (e ear) ATR(b card.Bank, atr []byte) { e.add(said{what: "atr", bank: b, data: atr}) }
func (e ear) Response(b card.Bank, r []byte) {
	e.add(said{what: "response", bank: b, data: append([]byte{}, r...)})
}
func (e ear) BankDown(b card.Bank, err error) { e.add(said{what: "down", bank: b, err: err}) }

func (e ear) hears(t testing.TB, what string) said {
	t.Helper()
	return e.await(t, what, func(s said) bool { return s.what == what })
}

// softCard answers each command with its body and 9000, after what it is.
type softCard struct {
	atr []byte
}

func (c *softCard) Reset(bool) []byte { return c.atr }
func (c *softCard) Transmit(command []byte) []byte {
	return append(append([]byte{}, command[5:]...), 0x90, 0)
}
func (c *softCard) PowerOff() {}

var (
	client1 = model.ClientSlot{ID: 1, Slot: 0}
	slot0   = model.BankSlot{ID: 1, Slot: 0}
	slot1   = model.BankSlot{ID: 1, Slot: 1}
	atr0    = []byte{0x3b, 0x00}
)

// world is a session between fakes.
type world struct {
	t      testing.TB
	server *rsprofake.Server
	bank   *rsprofake.Bank
	trace  *feed[string]
	plan   *cell.Cell[model.SessionPlan]
	events *feed[model.Event]
	ear    ear
	ses    *client.Session
	stop   func()
}

// newWorld starts a server and a bank with cards in slots 0 and 1.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, trace: newFeed[string](), events: newFeed[model.Event](), ear: ear{newFeed[said]()}}
	var err error
	w.server, err = rsprofake.StartServer(rsprofake.ServerConfig{Trace: w.trace.add})
	require.NoError(t, err)
	t.Cleanup(w.server.Close)
	w.bank, err = rsprofake.StartBank(rsprofake.BankConfig{ID: 1, Slots: 4, Server: w.server, Trace: w.trace.add})
	require.NoError(t, err)
	t.Cleanup(w.bank.Close)
	w.bank.Insert(0, &softCard{atr: atr0})
	w.bank.Insert(1, &softCard{atr: []byte{0x3b, 0x01, 0x55}})
	w.awaitTrace("B1 > connectBankReq")
	return w
}

func endpoint(port uint16) model.Endpoint {
	return model.Endpoint{Host: "127.0.0.1", Port: port, Ping: 30 * time.Second}
}

// byServer is the plan that leaves the bank to the server.
func (w *world) byServer() model.SessionPlan {
	return model.SessionPlan{Online: true, Client: client1, Servers: []model.Endpoint{endpoint(w.server.Port())},
		BankDefaults: model.Endpoint{Ping: 30 * time.Second}}
}

// run starts the session with a plan; change may alter its configuration.
func (w *world) run(p model.SessionPlan, change ...func(*client.Config)) {
	w.t.Helper()
	w.plan = cell.New(p, client.SamePlan)
	cfg := client.Config{
		Modem: "primary", Hostname: "router", Version: "1.0", Plan: w.plan, Events: w.events.add, Bank: w.ear,
		Jitter: func() float64 { return 0 },
	}
	for _, f := range change {
		f(&cfg)
	}
	w.ses = client.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.ses.Run(ctx) }()
	var once sync.Once
	w.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				require.NoError(w.t, err)
			case <-time.After(patience):
				require.Fail(w.t, "the session does not end")
			}
		})
	}
	w.t.Cleanup(w.stop)
}

func (w *world) awaitTrace(part string) {
	w.t.Helper()
	w.trace.await(w.t, part, func(line string) bool { return strings.Contains(line, part) })
}

// peer waits for a state of a connection.
func (w *world) peer(kind model.PeerKind, state model.ConnState) model.PeerChanged {
	w.t.Helper()
	ev := w.events.await(w.t, fmt.Sprintf("%s %s", kind, state), func(e model.Event) bool {
		p, ok := e.(model.PeerChanged)
		return ok && p.Peer == kind && p.State == state
	})
	return ev.(model.PeerChanged)
}

// fails waits for the code of a failure.
func (w *world) fails(kind model.PeerKind, code string) model.PeerChanged {
	w.t.Helper()
	ev := w.events.await(w.t, fmt.Sprintf("%s failing with %s", kind, code), func(e model.Event) bool {
		p, ok := e.(model.PeerChanged)
		return ok && p.Peer == kind && p.Code == code
	})
	return ev.(model.PeerChanged)
}

func (w *world) assigned() *model.BankSlot {
	w.t.Helper()
	ev := w.events.await(w.t, "an assignment", func(e model.Event) bool { return reflect.TypeOf(e) == reflect.TypeOf(model.Assigned{}) })
	return ev.(model.Assigned).Bank
}

func (w *world) noted(part string) model.Noted {
	w.t.Helper()
	ev := w.events.await(w.t, "a note of "+part, func(e model.Event) bool {
		n, ok := e.(model.Noted)
		return ok && strings.Contains(n.Text, part)
	})
	return ev.(model.Noted)
}

// up waits for the bank and its ATR.
func (w *world) up() card.Bank {
	w.t.Helper()
	b := w.ear.hears(w.t, "up").bank
	require.Same(w.t, b, w.ear.hears(w.t, "atr").bank)
	return b
}

// command builds a case 3 TPDU with this body.
func command(body ...byte) []byte { return append([]byte{0, 0xd6, 0, 0, byte(len(body))}, body...) }

// exchange sends a command and expects the card's answer.
func (w *world) exchange(b card.Bank, body ...byte) {
	w.t.Helper()
	require.NoError(w.t, b.Send(command(body...)))
	r := w.ear.hears(w.t, "response")
	require.Same(w.t, b, r.bank)
	require.Equal(w.t, append(append([]byte{}, body...), 0x90, 0), r.data)
}

// connect brings a session up with slot 0.
func (w *world) connect() card.Bank {
	w.t.Helper()
	require.NoError(w.t, w.server.AddMap(slot0, client1))
	w.awaitTrace("createMappingRes ok") // the server announces a bank before the bank knows
	w.run(w.byServer())
	return w.up()
}

// need skips a test that needs what is not there; CI has everything.
func need(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}
