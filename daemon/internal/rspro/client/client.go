// Package client keeps one modem's RSPRO session: the connection to a server,
// which assigns a bank slot, and the connection to the bank, which holds the
// card. It follows osmo-remsim's client in messages and order, and differs
// where that one gives up, exits or flaps. It owns the two connections and
// their retries; it knows nothing of modems and fronts, keeps no queue, and never
// logs: what happens goes out as events.
package client

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// Times of a session.
const (
	connectTimeout   = 10 * time.Second // name resolution and TCP together
	tlsTimeout       = 10 * time.Second
	handshakeTimeout = 10 * time.Second // until connectClientRes
	pongTimeout      = 10 * time.Second
	// busyPongTimeout replaces pongTimeout while the bank runs a command: it
	// does one thing at a time, so a slow card holds the PONG up.
	busyPongTimeout = 60 * time.Second
	writeTimeout    = 5 * time.Second
	// lingerTimeout bounds the wait for the peer's FIN after ours.
	lingerTimeout = time.Second
	// stable is how long a connection must have lasted to be worth a quick
	// first retry again: a bank that was restarted twice within a minute is met by
	// quick retries both times, one that throws us out at once is not.
	stable = 10 * time.Second
)

// DialFunc opens a TCP connection over a path, for a purpose. It resolves names
// itself. What it returns has CloseWrite, or its peer learns of no end in order.
type DialFunc func(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error)

// dialAnywhere leaves the way to the kernel.
func dialAnywhere(ctx context.Context, _ model.Path, _ model.Purpose, network, address string) (net.Conn, error) {
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
}

// Config is what a session needs.
type Config struct {
	Modem    string // names the modem in events
	Hostname string // sent to peers; 32 characters of it
	Version  string // sent to peers; 32 characters of it

	// Plan is what to reach. The session is its one reader.
	Plan *cell.Cell[model.SessionPlan]
	// Events is told what happens. It is called from several goroutines, must
	// not block, and must not call the Session.
	Events func(model.Event)
	// Bank is told what the bank says.
	Bank card.BankHandler
	// Dial opens connections; nil is a plain dialer without TCP keep-alive, which
	// knows no paths.
	Dial DialFunc
	// Jitter returns a number in [0, 1); nil is a random one.
	Jitter func() float64
}

// Session is one modem's session. Make it with New and run it once.
type Session struct {
	cfg    Config
	server *link
	bank   *link

	mu sync.Mutex
	// plan is the newest plan applied.
	plan model.SessionPlan
	// reconnects counts requests to connect anew that change nothing else.
	reconnects int64
	// client overrides the plan's client slot: the server said so.
	client *model.ClientSlot
	// assigned is what the server said last, nil: nothing, or no bank.
	assigned *assignment
	// ignored is the assignment that `unmap` put aside; fresh tells that
	// another one has come since.
	ignored *assignment
	fresh   bool
	// told is the last Assigned event.
	told model.Assigned
}

// New makes a session that Run will keep.
func New(cfg Config) *Session {
	if cfg.Dial == nil {
		cfg.Dial = dialAnywhere
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	cfg.Hostname, cfg.Version = ia5(cfg.Hostname, "openwrt"), ia5(cfg.Version, "0")
	s := &Session{cfg: cfg}
	s.server = newLink(s, model.PeerServer, newServerPeer)
	s.bank = newLink(s, model.PeerBankd, newBankPeer)
	return s
}

// Run keeps the session until ctx ends, which is no error. Both connections are
// closed in order before it returns.
func (s *Session) Run(ctx context.Context) error {
	s.apply(s.cfg.Plan.Get())
	var links sync.WaitGroup
	links.Go(func() { s.server.run(ctx) })
	links.Go(func() { s.bank.run(ctx) })
	for {
		select {
		case <-ctx.Done():
			links.Wait()
			return nil
		case <-s.cfg.Plan.Changed():
			s.apply(s.cfg.Plan.Get())
		}
	}
}

// apply makes p the plan.
func (s *Session) apply(p model.SessionPlan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.plan
	s.plan = p
	if p.Client != old.Client {
		s.client = nil
	}
	if len(p.Servers) == 0 {
		s.assigned = nil
	}
	if p.Generation != old.Generation && onlyGeneration(old, p) {
		s.reconnects++
	}
	if p.Generation != old.Generation || p.Unmapped != old.Unmapped {
		s.ignored, s.fresh = s.assigned, false
	}
	s.replan()
}

// replan tells the world what is assigned, then both links what to reach, so
// that nobody hears of a link's move before its reason. Call with the lock held.
func (s *Session) replan() {
	if now := s.assignment(); !sameAssigned(now, s.told) {
		s.told = now
		now.At = model.At{Time: time.Now()}
		s.cfg.Events(now)
	}
	s.server.set(s.serverTarget())
	s.bank.set(s.bankTarget())
}

// clientSlot is the identity to connect with.
func (s *Session) clientSlot() rspro.ClientSlot {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.effectiveClient()
	return rspro.ClientSlot{ClientID: int64(c.ID), SlotNr: int64(c.Slot)}
}

func (s *Session) effectiveClient() model.ClientSlot {
	if s.client != nil {
		return *s.client
	}
	return s.plan.Client
}

// assign takes what the server says; nil is no bank.
func (s *Session) assign(a *assignment) {
	s.mu.Lock()
	same := sameAssignment(a, s.assigned)
	s.assigned = a
	if a == nil {
		s.ignored = nil
	} else if !sameAssignment(a, s.ignored) {
		s.fresh = true
	}
	s.replan()
	s.mu.Unlock()
	if same {
		s.bank.hurry() // it may have been said because the bank is ready now
	}
}

// setClient takes the identity that the server gives; the next connections use
// it.
func (s *Session) setClient(c model.ClientSlot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = &c
}

// resetState forgets everything that a server said.
func (s *Session) resetState() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.assigned, s.ignored = nil, nil, nil
	s.replan()
}

// note tells the journal.
func (s *Session) note(kind, text string) {
	s.cfg.Events(model.Noted{At: model.At{Time: time.Now()}, Kind: kind, Subject: s.cfg.Modem, Text: text})
}

// ia5 makes a ComponentName of s: 1 to 32 printable ASCII characters.
func ia5(s, otherwise string) string {
	out := make([]byte, 0, 32)
	for i := 0; i < len(s) && len(out) < cap(out); i++ {
		if s[i] > ' ' && s[i] < 0x7f {
			out = append(out, s[i])
		}
	}
	if len(out) == 0 {
		return otherwise
	}
	return string(out)
}
