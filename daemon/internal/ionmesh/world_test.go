package ionmesh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// pipes is a listener without a network, so that time in a bubble can pass.
type pipes struct {
	conns chan net.Conn
	mu    sync.Mutex
	done  chan struct{}
	cut   bool // nobody can dial
	dials int
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn)} }

func (p *pipes) listen() (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = make(chan struct{})
	return &pipeListener{p, p.done, sync.Once{}}, nil
}

func (p *pipes) dial(ctx context.Context, _ model.Path, purpose model.Purpose, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	done, cut := p.done, p.cut
	p.dials++
	p.mu.Unlock()
	if purpose != model.PurposeOrchestrator {
		return nil, errors.New("the purpose of the connection is wrong")
	}
	if cut {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-done:
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) setCut(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = on
}

type pipeListener struct {
	p    *pipes
	done chan struct{}
	once sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.p.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000} }

// clock is a router's clock in a bubble: the boot clock runs with the bubble's
// time, and the wall clock is whatever the test says.
type clock struct {
	mu      sync.Mutex
	booted  time.Time
	boots   int
	wall    time.Duration // off by
	trusted bool
	bound   time.Duration
}

func newClock() *clock { return &clock{booted: time.Now().Add(-time.Minute), trusted: true} }

func (c *clock) Read() lease.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lease.Clock{Boot: time.Since(c.booted), BootID: fmt.Sprint("boot", c.boots), Wall: time.Now().Add(c.wall), Trusted: c.trusted, Bound: c.bound}
}

func (c *clock) Wait(ctx context.Context, at time.Duration) {
	t := time.NewTimer(at - c.Read().Boot)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// reboot starts the boot clock anew; nobody has set the wall clock yet.
func (c *clock) reboot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.booted, c.trusted = time.Now(), false
	c.boots++
}

// memory is a store that survives what it should.
type memory struct {
	mu         sync.Mutex
	run, state []byte
	writes     int // to flash
	broken     error
}

func (m *memory) Load() (ionmesh.Kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.run
	if b == nil {
		b = m.state
	}
	if b == nil {
		return ionmesh.DecodeKept([]byte("{}"))
	}
	return ionmesh.DecodeKept(b)
}

func (m *memory) Save(k ionmesh.Kept, durable bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	m.run = b
	if durable {
		m.state = b
		m.writes++
	}
	return m.broken
}

func (m *memory) reboot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = nil
}

// router is a client and what it has told.
type router struct {
	t      testing.TB
	cell   *cell.Cell[model.IonMeshPlan]
	client *ionmesh.Client
	stop   func()

	mu     sync.Mutex
	state  map[string]model.IonMeshChanged
	leases map[string]model.LeaseChanged
	orders []model.MeshOrderDone
	ran    []string // commands, as they were carried out
	codes  map[string]bool
	stats  model.MeshStats
	refuse error
}

// setup is what a router is made with.
type setup struct {
	plan  model.IonMeshPlan
	clock ionmesh.Clock
	store ionmesh.Store
	dial  ionmesh.DialFunc
	seed  uint64
}

func plan(url string, modems ...string) model.IonMeshPlan {
	p := model.IonMeshPlan{Online: true, URL: url, TenantID: 1, Mode: "ONE_TO_ONE_SWSIM", Interval: 5 * time.Minute, Timeout: 10 * time.Second}
	if len(modems) == 0 {
		modems = []string{"primary"}
	}
	for i, m := range modems {
		id := "router"
		if i > 0 {
			id += "/" + m
		}
		p.Members = append(p.Members, model.MeshMember{Modem: m, ClientID: id})
	}
	return p
}

func start(t testing.TB, s setup) *router {
	r := &router{t: t, state: map[string]model.IonMeshChanged{}, leases: map[string]model.LeaseChanged{}, codes: map[string]bool{},
		stats: model.MeshStats{Status: "active", RSSI: -71}}
	r.cell = cell.New(s.plan, func(a, b model.IonMeshPlan) bool {
		return a.Generation == b.Generation && a.Online == b.Online && a.URL == b.URL && a.Path.Same(b.Path)
	})
	rnd := rand.New(rand.NewPCG(s.seed, 1))
	var mu sync.Mutex
	r.client = ionmesh.New(ionmesh.Config{
		Plan: r.cell, Events: r.event, Store: s.store, Clock: s.clock, Dial: s.dial, Do: r.do,
		Stats:  func(string) model.MeshStats { r.mu.Lock(); defer r.mu.Unlock(); return r.stats },
		Chance: func() float64 { mu.Lock(); defer mu.Unlock(); return rnd.Float64() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.client.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-ended)
		})
	}
	return r
}

func (r *router) event(ev model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case model.IonMeshChanged:
		r.state[ev.Modem] = ev
		if ev.Code != "" {
			r.codes[ev.Code] = true
		}
	case model.LeaseChanged:
		r.leases[ev.Modem] = ev
	case model.MeshOrderDone:
		r.orders = append(r.orders, ev)
	}
}

func (r *router) do(_ context.Context, modem string, o ionmesh.Order) (string, json.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran = append(r.ran, strings.TrimSpace(modem+" "+o.Name+" "+o.Target+o.Method))
	return "as asked", json.RawMessage(`{"ok":true}`), r.refuse
}

func (r *router) now(modem string) (model.IonMeshChanged, model.LeaseChanged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state[modem], r.leases[modem]
}

// slot is the slot that primary may use now, -1 for none.
func (r *router) slot() int {
	_, l := r.now("primary")
	if !l.May || l.Card == nil {
		return -1
	}
	return int(l.Card.Bank.Slot)
}

// world is an orchestrator and one router in a bubble.
type world struct {
	t      *testing.T
	pipes  *pipes
	fake   *ionmeshfake.Fake
	clock  *clock
	memory *memory
	plan   model.IonMeshPlan
	*router
}

// modern is an orchestrator that can everything but lean beats.
func modern() ionmeshfake.Options {
	return ionmeshfake.Options{Capabilities: []string{"lease", "commands"}}
}

func lean() ionmeshfake.Options {
	return ionmeshfake.Options{Capabilities: []string{"lease", "commands", "lean-beat"}}
}

// bubble runs a test where time passes only when all is quiet.
func bubble(t *testing.T, o ionmeshfake.Options, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, pipes: newPipes(), clock: newClock(), memory: &memory{}}
		o.Listen = w.pipes.listen
		var err error
		w.fake, err = ionmeshfake.Start(o)
		require.NoError(t, err)
		defer w.fake.Close()
		for slot := range 4 {
			w.fake.Add(ionmeshfake.Card{Bank: 1, Slot: slot, ICCID: "8988211000000000011", IMSI: "001010123456789", Endpoint: "http://192.0.2.7:9999"})
		}
		w.plan = plan(w.fake.URL())
		w.begin()
		defer func() { w.stop() }()
		test(w)
	})
}

func (w *world) begin() {
	w.router = start(w.t, setup{plan: w.plan, clock: w.clock, store: w.memory, dial: w.pipes.dial})
}

// restart ends the process and starts it again.
func (w *world) restart() {
	w.stop()
	w.begin()
}

// reboot loses what is not on flash, after some time without power.
func (w *world) reboot(off time.Duration) {
	w.stop()
	w.memory.reboot()
	pass(off)
	w.clock.reboot()
	w.begin()
}

// pass lets time pass in the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
