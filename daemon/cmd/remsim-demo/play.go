package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// seeTime is how long a step may wait for what it wants to see, doTime bounds
// everything else.
const (
	seeTime = 20 * time.Second
	// A silent metered link is looked at twice a minute at best (docs/FAILOVER.md).
	linkTime = 45 * time.Second
	doTime   = 15 * time.Second
)

// stage plays a world's steps against the running daemon, which it watches over
// the bus as any program would.
type stage struct {
	out     io.Writer
	peers   *peers
	players map[string]*player
	first   string // name of the first modem, which `modem` steps mean
	conn    *ubus.Conn
	changed chan struct{}
	stop    func(ctx context.Context) ([]app.Cleaned, error) // ends the daemon and cleans up; nil: it shall go on

	mu   sync.Mutex // guards what follows and out: events come from the bus
	told int64      // id of the last journal entry that was printed
	tale []string   // what journal entries said since the last `say`
}

func newStage(ctx context.Context, out io.Writer, w *world, p *peers) (*stage, error) {
	conn, err := ubus.Dial(ctx, p.socket())
	if err != nil {
		return nil, err
	}
	s := &stage{out: out, peers: p, conn: conn, players: make(map[string]*player), changed: make(chan struct{}, 1)}
	for _, m := range w.modems {
		if !m.remote {
			continue
		}
		if s.first == "" {
			s.first = m.name
		}
		s.players[m.name] = &player{reader: p.readers[m.name]}
	}
	return s, conn.Listen(ctx, "remsim", s.event)
}

// close may be called twice.
func (s *stage) close() {
	for _, m := range s.players {
		m.close()
	}
	_ = s.conn.Close()
}

func (s *stage) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// event narrates one journal entry and wakes whoever waits to see something.
func (s *stage) event(_ string, t ubus.Table) {
	var e struct {
		ID      int64  `json:"id"`
		Kind    string `json:"kind"`
		Subject string `json:"subject"`
		Text    string `json:"text"`
	}
	if t.Decode(&e) == nil {
		s.print("    %-10s %s: %s", e.Kind, e.Subject, e.Text)
		s.mu.Lock()
		s.told = e.ID
		s.tale = append(s.tale, e.Text)
		s.mu.Unlock()
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// play runs the steps in order and stops at the first that fails.
func (s *stage) play(ctx context.Context, w *world) error {
	for _, st := range w.steps {
		if err := s.step(ctx, st); err != nil {
			return fmt.Errorf("line %d: %s %s: %w", st.line, st.verb, st.text, err)
		}
	}
	return nil
}

func (s *stage) step(ctx context.Context, st step) error {
	switch st.verb {
	case "say":
		s.print("\n* %s", st.text)
		s.forget()
		return nil
	case "do":
		s.print("  > %s", st.text)
		return s.peers.do(st.args)
	case "run":
		s.print("  $ remsim %s", st.text)
		return s.run(ctx, st.args)
	case "modem":
		if s.first == "" {
			return errors.New("no modem here takes a remote card")
		}
		ctx, cancel := context.WithTimeout(ctx, doTime)
		defer cancel()
		text, err := s.players[s.first].do(ctx, st.args[0], st.args[1:], s.peers.profile)
		if err == nil {
			s.print("  modem: %s", text)
		}
		return err
	}
	limit := seeTime
	if st.args[0] == "link" {
		limit = linkTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.see(ctx, limit, st.args)
}

// see waits until the status shows what is wanted.
func (s *stage) see(ctx context.Context, limit time.Duration, args []string) error {
	for {
		snapshot, err := s.status(ctx)
		if err != nil && ubus.StatusOf(err) != ubus.StatusNotFound { // not on the bus yet
			return err
		}
		ok, err := s.seen(snapshot, args)
		if err != nil {
			return err
		}
		if ok {
			s.catchUp(ctx)
			s.print("  ok: %s (%s)", strings.Join(args, " "), snapshot.Reason)
			return nil
		}
		select {
		case <-s.changed:
		case <-time.After(100 * time.Millisecond): // before the daemon is on the bus nothing wakes us
		case <-ctx.Done():
			return fmt.Errorf("not so within %s; the state is %s: %s%s", limit, snapshot.State, snapshot.Reason, findings(snapshot))
		}
	}
}

// catchUp waits until the events that led here have been printed.
func (s *stage) catchUp(ctx context.Context) {
	var reply struct {
		Events []struct {
			ID int64 `json:"id"`
		} `json:"events"`
	}
	t, err := s.conn.Call(ctx, "remsim", "events", map[string]any{"limit": 1})
	if err != nil || t.Decode(&reply) != nil || len(reply.Events) == 0 {
		return
	}
	for {
		s.mu.Lock()
		done := s.told >= reply.Events[0].ID
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.changed:
		case <-time.After(time.Second): // an event may have been dropped; it is only narration
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *stage) status(ctx context.Context) (*model.Snapshot, error) {
	t, err := s.conn.Call(ctx, "remsim", "status", nil)
	if err != nil {
		return &model.Snapshot{}, err
	}
	snapshot := new(model.Snapshot)
	return snapshot, t.Decode(snapshot)
}
