package uimremote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// Run opens the proxy, gets a client of UIM Remote and serves it until ctx ends. Then it
// takes the card out, gives the slot back to the modem's own card and releases the client.
func (f *Front) Run(ctx context.Context, h card.Handler) error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.end()
	l, v, err := f.open(ctx)
	if err != nil && ctx.Err() != nil {
		return nil // a client that was got meanwhile is given back below
	}
	if err != nil {
		return fmt.Errorf("open UIM Remote of %s: %w", f.path, err)
	}
	service := "UIM Remote"
	if v.major != 0 || v.minor != 0 {
		service = fmt.Sprintf("UIM Remote %d.%d", v.major, v.minor)
	}
	s := &session{front: f, handler: h, link: l, service: fmt.Sprintf("%s of %s through %s", service, l.device, l.transport)}
	s.say("no card")
	h.FrontUp(f)
	err = s.run(ctx)
	f.end() // before FrontDown: what the handler then asks finds no device
	h.FrontDown(cmpErr(err, context.Cause(ctx)))
	if err != nil {
		return fmt.Errorf("UIM Remote of %s: %w", f.path, err)
	}
	return nil
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// begin claims the front for one Run.
func (f *Front) begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		return fmt.Errorf("run UIM Remote of %s: it is running already", f.path)
	}
	f.running, f.detail = true, "connecting"
	return nil
}

// end undoes begin; a later Run starts with an empty slot.
func (f *Front) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running, f.atr, f.link, f.pending, f.asked, f.muted = false, nil, nil, pending{}, nil, time.Time{}
	f.detail = "stopped"
}

// open gets as far as a client of the service.
func (f *Front) open(ctx context.Context) (*link, version, error) {
	l, err := f.options.connect(ctx, f.path)
	if err != nil {
		return nil, version{}, err
	}
	if f.stale != 0 {
		// The proxy went away under the last client, which the modem still has: while it
		// does, the slot is that client's. Only this front uses the service.
		err := l.release(ctx, f.stale)
		if refused := QMIError(0); err != nil && !errors.As(err, &refused) {
			l.close()
			return nil, version{}, fmt.Errorf("give the last client back: %w", err)
		}
		f.stale = 0
	}
	v, client, err := l.allocate(ctx)
	if err != nil {
		l.close()
		return nil, version{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.client, f.link, f.stale, f.asked = client, l, client, make(map[uint16]asked)
	return l, v, nil
}

// received is what the reader hands to the session.
type received struct {
	m   message
	err error // the link has ended
}

// run serves one client of the service. It owns the link and always closes it.
func (s *session) run(ctx context.Context) error {
	in := make(chan received)
	quit := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.read(in, quit)
	}()
	err := s.serve(ctx, in)
	s.farewell(in, err == nil)
	close(quit)
	s.link.close()
	<-ended
	return err
}

// read passes on what comes until the link or the session ends.
func (s *session) read(in chan<- received, quit <-chan struct{}) {
	for {
		m, err := s.link.receive()
		select {
		case in <- received{m, err}:
		case <-quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// serve does what there is to do until ctx ends (nil) or the link fails.
func (s *session) serve(ctx context.Context, in <-chan received) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		next, err := s.steer(now)
		if err != nil {
			return err
		}
		timer.Reset(next.Sub(now))
		select {
		case <-ctx.Done():
			return nil
		case r := <-in:
			if r.err != nil {
				s.lost = true
				return gone(ctx, r.err)
			}
			if err := s.take(r.m); err != nil {
				return err
			}
		case <-s.front.wake:
		case <-timer.C:
		}
	}
}

// farewell tells the modem that the card and the connection to it go, and releases the
// client, without which the modem would keep it. After a failure it only tries.
func (s *session) farewell(in <-chan received, orderly bool) {
	if s.lost {
		return // nor has the modem done anything: FrontDown tells all there is to tell
	}
	s.powerOff()
	until := time.NewTimer(s.front.options.timing.farewell)
	defer until.Stop()
	if s.shown != 0 && orderly && !s.last(evRemoved, in, until.C) {
		return
	}
	if s.offered && !s.last(evUnavailable, in, until.C) {
		return
	}
	f := s.front
	f.mu.Lock()
	txn := s.link.nextControl()
	err := s.link.send(message{service: serviceCTL, txn: txn, id: ctlRelease, tlvs: appendTLV(nil, tlvControl, serviceUIMRemote, f.client)})
	f.mu.Unlock()
	released := err == nil && await(in, until.C, func(m message) bool {
		return m.service == serviceCTL && m.kind() == response && m.id == ctlRelease && m.txn == txn
	})
	if released {
		f.mu.Lock()
		f.stale = 0
		f.mu.Unlock()
	}
}

// last sends one of the last events and waits for its acknowledgement.
func (s *session) last(e event, in <-chan received, until <-chan time.Time) bool {
	f := s.front
	f.mu.Lock()
	err := f.tell(e, nil, 0)
	txn := f.txn
	f.mu.Unlock()
	return err == nil && await(in, until, func(m message) bool {
		return m.service == serviceUIMRemote && m.kind() == response && m.txn == txn
	})
}

// await takes what comes until one is what is waited for.
func await(in <-chan received, until <-chan time.Time, is func(message) bool) bool {
	for {
		select {
		case r := <-in:
			if r.err != nil {
				return false
			}
			if is(r.m) {
				return true
			}
		case <-until:
			return false
		}
	}
}
