package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

// bound is how long a test waits for anything: long, for loaded machines.
const bound = time.Minute

// Where the card sits, and which client it is for.
var (
	router = model.ClientSlot{ID: 7, Slot: 1}
	slot   = model.BankSlot{ID: 1, Slot: 2}
)

// world is the whole product in one process: the peers as fakes on real
// sockets, and the daemon as it runs on a router.
type world struct {
	testing.TB
	dir    string
	broker *ubusfake.Broker
	server *rsprofake.Server
	bank   *rsprofake.Bank
	card   *cardfake.Card
	reader *vpcdfake.Reader
	log    *logBuffer
	hup    chan os.Signal
	conn   *ubus.Conn
	stop   func()        // ends the daemon and waits
	probe  time.Duration // how long a modem may be missing; 0 is the daemon's
	flush  time.Duration // between two writes of the history; 0 is the daemon's
	sys    string        // stands for /sys; "" is /sys
}

// logBuffer keeps what the daemon logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld starts the peers. The daemon is started by start.
func newWorld(t testing.TB) *world {
	w := &world{TB: t, dir: t.TempDir(), log: &logBuffer{}, hup: make(chan os.Signal, 1)}
	var err error
	w.broker, err = ubusfake.Start(filepath.Join(w.dir, "ubus.sock"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.broker.Close() })
	w.server, err = rsprofake.StartServer(rsprofake.ServerConfig{})
	require.NoError(t, err)
	t.Cleanup(w.server.Close)
	w.bank, err = rsprofake.StartBank(rsprofake.BankConfig{ID: slot.ID, Slots: 4, Server: w.server})
	require.NoError(t, err)
	t.Cleanup(w.bank.Close)
	w.server.SetBankPort(slot.ID, w.bank.Port())
	w.card = cardfake.New(cardfake.Default())
	w.bank.Insert(int(slot.Slot), w.card)
	w.reader, err = vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.reader.Close() })
	return w
}

// config is the UCI text of a router with one remote modem, and more sections.
func (w *world) config(more string) string {
	return fmt.Sprintf(`config remsim 'main'
	option enabled '1'
	option device_id 'router-1'

config modem 'primary'
	option role 'primary'
	option source 'remote'
	option front 'vpcd'
	option front_device '%s'
	option client_id '7'
	option client_slot '1'

config server
	option host '127.0.0.1'
	option port '%d'
	option tls '0'

config failover 'failover'
	list control_path 'primary'
%s`, w.reader.Addr(), w.server.Port(), more)
}

// write makes text the configuration file.
func (w *world) write(text string) {
	w.Helper()
	dir := filepath.Join(w.dir, "config")
	require.NoError(w, os.MkdirAll(dir, 0o755))
	require.NoError(w, os.WriteFile(filepath.Join(dir, "remsim"), []byte(text), 0o644))
}

// options are those of the daemon in this world.
func (w *world) options() app.Options {
	return app.Options{
		Version: "test", ConfigDir: filepath.Join(w.dir, "config"), StateDir: filepath.Join(w.dir, "state"), RunDir: filepath.Join(w.dir, "run"),
		Ubus: w.broker.Path(), Hostname: "host", Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Reload: w.hup,
		Sysinfo: w.dir, ProbeTime: w.probe, FlushTime: w.flush, Sysfs: w.sys,
	}
}

// start runs the daemon until the test ends or stop is called.
func (w *world) start() {
	w.Helper()
	w.startWith(func(*app.Drivers) {})
}

// startWith runs it with other drivers than the real ones.
func (w *world) startWith(change func(d *app.Drivers)) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	drivers := app.RealDrivers(nil)
	// Played interfaces have no devices to bind to, to route over or to probe, and
	// the packet filter of the machine is none of a test's business.
	drivers.Dial, drivers.Routes, drivers.Meter, drivers.Probes, drivers.Heard = nil, nil, nil, nil, nil
	change(&drivers)
	go func() { ended <- app.Run(ctx, w.options(), drivers) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(w, err)
		case <-time.After(bound):
			w.Error("the daemon does not stop")
		}
	})
	w.Cleanup(w.stop)
	w.dial()
}

// dial connects to the bus, anew after the broker was restarted.
func (w *world) dial() {
	w.Helper()
	if w.conn != nil {
		_ = w.conn.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	var err error
	w.conn, err = ubus.Dial(ctx, w.broker.Path())
	require.NoError(w, err)
	w.Cleanup(func() { _ = w.conn.Close() })
}

// call calls a method and decodes the reply into out, which may be nil.
func (w *world) call(method string, args map[string]any, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	reply, err := w.conn.Call(ctx, "remsim", method, args)
	if err != nil || out == nil {
		return err
	}
	return reply.Decode(out)
}

// status asks the daemon; a daemon that is not on the bus yet has no state.
func (w *world) status() *model.Snapshot {
	s := new(model.Snapshot)
	_ = w.call("status", nil, s)
	return s
}

// until waits for what the status must show.
func (w *world) until(what string, ok func(s *model.Snapshot) bool) *model.Snapshot {
	w.Helper()
	end := time.Now().Add(bound)
	for {
		s := w.status()
		if ok(s) {
			return s
		}
		if time.Now().After(end) {
			require.FailNow(w, "not within the bound: "+what, "state %s: %s\n%+v\n%s\n%s", s.State, s.Reason, s.Health, w.journal(), w.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// journal is what happened, for a failure.
func (w *world) journal() string {
	var reply struct {
		Events []struct {
			Kind string            `json:"kind"`
			Text string            `json:"text"`
			Data map[string]string `json:"data"`
		} `json:"events"`
	}
	_ = w.call("events", map[string]any{"limit": 200}, &reply)
	var b strings.Builder
	for _, e := range reply.Events {
		fmt.Fprintf(&b, "%s: %s %v\n", e.Kind, e.Text, e.Data)
	}
	return b.String()
}

func (w *world) untilState(state model.State) *model.Snapshot {
	w.Helper()
	return w.until("state "+string(state), func(s *model.Snapshot) bool { return s.State == state })
}

// untilFinding waits for a finding and returns it.
func (w *world) untilFinding(code string) (f model.Finding) {
	w.Helper()
	w.until("finding "+code, func(s *model.Snapshot) bool {
		for _, g := range s.Health.Findings {
			if g.Code == code {
				f = g
				return true
			}
		}
		return false
	})
	return f
}

// assign makes the slot map, as an operator would at the server.
func (w *world) assign() {
	w.Helper()
	require.NoError(w, w.server.AddMap(slot, router))
}

// power switches the card on, as a modem would.
func (w *world) power(ctx context.Context) {
	w.Helper()
	_, err := w.reader.WaitCard(ctx)
	require.NoError(w, err, "%s", w.log)
	_, err = w.reader.PowerOn(ctx)
	require.NoError(w, err)
}

// transmit sends a TPDU and returns the answer.
func (w *world) transmit(ctx context.Context, tpdu []byte) []byte {
	w.Helper()
	r, err := w.reader.Transmit(ctx, tpdu)
	require.NoError(w, err, "%s", w.log)
	return r
}

// freePort is an address on which nothing listens.
func freePort(t testing.TB) uint16 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return uint16(ln.Addr().(*net.TCPAddr).Port)
}
