package cardem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

const (
	// helloTime is how long the firmware may take to answer when it is opened.
	helloTime = 3 * time.Second
	// settleTime is how long what the firmware had kept for an earlier user, at
	// most four edges, may take to arrive: one a millisecond.
	settleTime = 50 * time.Millisecond
	// bodyTime is how long the modem may take for the body of a command. 255
	// characters at the slowest clock (1 MHz, 372 clocks and 12 etu each) last
	// 1.2 s; the interface may also wait between them.
	bodyTime = 10 * time.Second
)

// errSilent: the device does not speak the protocol.
var errSilent = errors.New("the firmware does not answer")

// Run opens the device and serves it until ctx ends or the device fails. It is to be
// called again then: a device that was unplugged is looked up anew.
func (f *Front) Run(ctx context.Context, h card.Handler) error {
	if err := f.begin(); err != nil {
		return err
	}
	s := session{front: f, handler: h}
	link, err := s.open()
	if err != nil {
		f.end()
		return fmt.Errorf("open %s: %w", f.name(), err)
	}
	// Recv does not see ctx: closing under it ends it.
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = link.Close()
		close(closed)
	})
	up := false
	err = s.hello()
	if err == nil {
		up = true
		err = s.serve()
	}
	if !stop() {
		<-closed
		err = nil // it was closed because ctx ended
	}
	f.end()
	_ = link.Close() // the device is gone, or was told so: nobody needs the error
	if err != nil {
		err = fmt.Errorf("serve %s: %w", f.name(), err)
	}
	if up {
		down := err
		if down == nil {
			down = context.Cause(ctx)
		}
		h.FrontDown(down)
	}
	return err
}

// begin claims the front for one Run.
func (f *Front) begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		return fmt.Errorf("run %s: it is running already", f.label())
	}
	f.running = true
	return nil
}

// end undoes begin. What is inserted stays so in the device.
func (f *Front) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running, f.link, f.atr = false, nil, nil
	f.selected, f.fresh, f.empty, f.pending = false, false, false, 0
	f.removedAt, f.insertAt, f.bodyBy = time.Time{}, time.Time{}, time.Time{}
}

// session is one opening of the device. Only Run's goroutine uses it.
type session struct {
	front   *Front
	handler card.Handler
	link    Link
	pipe    Pipe       // that the message being served came on
	lines   card.Lines // as last reported
	// lateUntil: edges until then, or until one that says what lines says, are
	// older than the last command. Zero: none are.
	lateUntil time.Time
	lastEdge  time.Time
	burst     int  // edges in a row
	early     bool // tpdu is a header that came before the handler was ready

	collecting bool // a body is due
	have       int
	tpdu       [card.MaxTPDU]byte
}

// open finds the device and takes it.
func (s *session) open() (Link, error) {
	f := s.front
	found, err := f.address.pick(f.bus.Discover())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.found, f.board = found, found.Board
	f.mu.Unlock()
	s.link, err = f.bus.Open(found)
	return s.link, err
}

// hello learns the state of the device without changing it, and lets what it had
// kept for an earlier user pass.
func (s *session) hello() error {
	var greeting greeting
	q := AppendQuery(AppendQuery(nil, TypeConfig), TypeStatus)
	// Two transfers: the firmware's way for several messages in one is less used.
	for _, b := range [][]byte{q[:headerLen], q[headerLen:]} {
		if err := s.link.Out(b); err != nil {
			return err
		}
	}
	if err := s.await(&greeting, helloTime, func() bool { return greeting.config && greeting.status }); err != nil {
		return err
	}
	attached := greeting.Features&FeatureStatusIRQ != 0 && greeting.Status.Flags&StatusVCC != 0
	if attached {
		// Edges of the time before are not edges; ask again once they have passed.
		never := func() bool { return false }
		if err := s.await(&greeting, s.front.settle, never); err != nil && !errors.Is(err, errSilent) {
			return err
		}
		greeting.status = false
		if err := s.link.Out(AppendQuery(nil, TypeStatus)); err != nil {
			return err
		}
		if err := s.await(&greeting, helloTime, func() bool { return greeting.status }); err != nil {
			return err
		}
	}
	if err := s.link.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return s.begin(greeting, attached)
}

// greeting is what a device says of itself.
type greeting struct {
	Config
	Status         Status
	config, status bool
}

// await takes messages until done, for at most d: errSilent then.
func (s *session) await(g *greeting, d time.Duration, done func() bool) error {
	if err := s.link.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	for !done() {
		b, err := s.recv()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errSilent
		}
		if err != nil {
			return err
		}
		if err := s.each(b, func(m Message) error { return s.greet(g, m) }); err != nil {
			return err
		}
	}
	return nil
}

// greet takes one message of a device that is being opened.
func (s *session) greet(g *greeting, m Message) (err error) {
	switch m.Type {
	case TypeConfig:
		g.Config, err = ParseConfig(m.Payload)
		g.config = err == nil
	case TypeStatus:
		if s.pipe == PipeIRQ {
			return nil
		}
		g.Status, err = ParseStatus(m.Payload)
		g.status = err == nil
	case TypeRxData:
		d, err := ParseData(m.Payload)
		if err != nil {
			return err
		}
		// A command of the time before: the modem may still wait for an answer.
		s.early = d.Flags&FlagHeader != 0 && len(d.Bytes) == 5
		copy(s.tpdu[:], d.Bytes)
	}
	return err
}

// begin tells the handler how things are.
func (s *session) begin(g greeting, attached bool) error {
	f := s.front
	f.mu.Lock()
	f.link, f.selected, f.fresh = s.link, attached, attached
	f.stats.Status = g.Status
	f.mu.Unlock()
	s.handler.FrontUp(f)
	if !attached {
		return nil // an idle emulator's idea of the lines means nothing
	}
	if l := linesOf(g.Status); l != (card.Lines{}) {
		s.report(l)
	}
	if s.early && s.lines.Powered && !s.lines.Reset {
		return s.header(s.tpdu[:5])
	}
	return nil
}

// serve handles messages until the device fails.
func (s *session) serve() error {
	take := s.message // made once: a method value allocates
	for {
		b, err := s.recv()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = s.due(time.Now())
		case err == nil:
			err = s.each(b, take)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) recv() (b []byte, err error) {
	s.pipe, b, err = s.link.Recv()
	return b, err
}

// each walks the messages of a transfer. What cannot be read is counted and passed
// over: nothing can be said about it to anybody.
func (s *session) each(b []byte, take func(Message) error) error {
	for len(b) > 0 {
		m, rest, err := ParseMessage(b)
		if err == nil && m.Class == ClassCardem {
			err = take(m)
		}
		if errors.Is(err, ErrMalformed) {
			s.front.count(func(st *Stats) { st.Malformed++ })
			err = nil
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func (f *Front) count(what func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what(&f.stats)
}

// message takes one message of an open device.
func (s *session) message(m Message) error {
	switch m.Type {
	case TypeStatus:
		st, err := ParseStatus(m.Payload)
		if err != nil {
			return err
		}
		s.status(st, s.pipe == PipeIRQ)
	case TypeRxData:
		d, err := ParseData(m.Payload)
		if err != nil {
			return err
		}
		return s.data(d)
	case TypePTS:
		p, err := ParsePTS(m.Payload)
		if err != nil {
			return err
		}
		f := s.front
		f.mu.Lock()
		f.stats.Selections++
		f.stats.PTS = p
		f.mu.Unlock()
	}
	return nil
}

// due does what a deadline was set for.
func (s *session) due(now time.Time) error {
	f := s.front
	f.mu.Lock()
	late := !f.bodyBy.IsZero() && !now.Before(f.bodyBy)
	f.mu.Unlock()
	if late {
		// A message was lost, or the modem stopped: the firmware would keep it
		// waiting for ever.
		if err := s.giveUp(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.insertAt.IsZero() && !now.Before(f.insertAt) {
		f.insertAt = time.Time{}
		if err := f.send(AppendCardInsert(f.tx[:0], true)); err != nil {
			return err
		}
	}
	return f.arm()
}

// nextID numbers a command. f.mu is held.
func (f *Front) nextID() uint64 {
	f.lastID++
	return f.lastID
}
