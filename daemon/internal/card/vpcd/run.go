package vpcd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// errUnpowered: pcscd missed that the card was away, and talks to one that it
// believes to be powered.
var errUnpowered = errors.New("command to a card without power")

// errPipelined: vpcd locks the reader until the answer is there, so this peer is
// something else.
var errPipelined = errors.New("message before the answer to the one before")

// Run keeps the wanted card in the reader until ctx ends. While pcscd is away it
// tries again with growing pauses; Info's Detail says so, and the modem's side (a PC/SC
// program, here) is simply without power. FrontUp comes at once: a card can be
// inserted whether pcscd is there or not.
func (f *Front) Run(ctx context.Context, h card.Handler) error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.end()
	h.FrontUp(f)
	pause := minPause
	for ctx.Err() == nil {
		atr, wait := f.wanted(time.Now())
		switch {
		case atr == nil:
			f.describe("no card")
			f.sleep(ctx, -1)
			continue
		case wait > 0:
			f.sleep(ctx, wait)
			continue
		}
		conn, err := f.dial(ctx)
		if err != nil {
			f.describe("pcscd is away: " + err.Error())
			// Half of the pause is random, so that many fronts do not knock together.
			f.sleep(ctx, pause/2+rand.N(pause/2))
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		f.serve(ctx, conn, atr, h)
	}
	f.end() // before FrontDown: what the handler then asks finds no device
	h.FrontDown(context.Cause(ctx))
	return nil
}

// sleep waits for d (for ever if negative), for a change of the wanted card, or
// for the end of ctx.
func (f *Front) sleep(ctx context.Context, d time.Duration) {
	var after <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-ctx.Done():
	case <-f.wake:
	case <-after:
	}
}

// serve is one stay of the card in the reader.
func (f *Front) serve(ctx context.Context, conn *net.TCPConn, atr card.ATR, h card.Handler) {
	defer conn.Close()
	if !f.adopt(conn, atr) {
		return
	}
	// A blocking read does not see ctx: closing under it ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	s := session{front: f, handler: h, atr: atr}
	err := s.run(conn)
	f.mu.Lock()
	f.hangUp()
	f.detail = fmt.Sprintf("card removed: %v", err)
	f.mu.Unlock()
	if s.powered && ctx.Err() == nil {
		h.Lines(card.Lines{})
	}
}

// session is the reader's view of one connection. Only Run's goroutine uses it.
type session struct {
	front   *Front
	handler card.Handler
	atr     card.ATR
	powered bool
	decoder decoder
}

// run serves messages until the connection ends.
func (s *session) run(conn *net.TCPConn) error {
	r, err := newQuickReader(conn)
	if err != nil {
		return err
	}
	s.decoder.r = bufio.NewReaderSize(r, 512)
	for {
		m, err := s.decoder.next()
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return errors.New("connection closed")
		}
		if err != nil {
			return err
		}
		if m.control {
			err = s.control(m.code)
		} else {
			err = s.command(m)
		}
		if err != nil {
			return err
		}
	}
}

// control obeys a control byte. Unknown ones are ignored, as vpcd's own card does.
func (s *session) control(code byte) error {
	f := s.front
	switch code {
	case controlOff:
		s.power(false)
	case controlOn:
		s.power(true)
	case controlReset:
		s.reset()
	case controlATR:
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.pending != 0 {
			return errPipelined
		}
		return f.send(s.atr)
	}
	return nil
}

// power reports an edge of VCC; pcscd may repeat what is so already.
func (s *session) power(on bool) {
	if s.powered == on {
		return
	}
	s.powered = on
	s.front.void()
	s.handler.Lines(card.Lines{Powered: on, Clock: on})
}

// reset reports a warm reset. A reset without power is pcscd's first word to a card
// that came back unnoticed, and powers it.
func (s *session) reset() {
	if !s.powered {
		s.power(true)
		return
	}
	s.front.void()
	s.handler.Lines(card.Lines{Powered: true, Clock: true, Reset: true})
	s.handler.Lines(card.Lines{Powered: true, Clock: true})
}

// command hands an APDU over as a TPDU.
func (s *session) command(m message) error {
	if !s.powered {
		return errUnpowered
	}
	tpdu, ok := s.decoder.tpdu(m.apdu)
	f := s.front
	f.mu.Lock()
	switch {
	case f.conn == nil: // removed meanwhile
		f.mu.Unlock()
		return net.ErrClosed
	case f.pending != 0:
		f.mu.Unlock()
		return errPipelined
	}
	if !ok {
		// ISO 7816-4: wrong length. A T=0 card says the same of such a P3.
		defer f.mu.Unlock()
		return f.send([]byte{0x67, 0x00})
	}
	f.lastID++
	id := f.lastID
	f.pending = id
	f.mu.Unlock()
	s.handler.Command(id, tpdu)
	return nil
}

// void forgets the pending command: the card was reset under it.
func (f *Front) void() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = 0
}

// quickReader acknowledges at once what it reads. pcscd's side of the connection
// runs Nagle's algorithm: it sends "power on" and then holds "get ATR" back until the
// first is acknowledged, which Linux delays by 40 ms. TCP_QUICKACK wears off, so it
// is set again after each read.
type quickReader struct {
	conn *net.TCPConn
	raw  syscall.RawConn
	arm  func(fd uintptr)
}

func newQuickReader(conn *net.TCPConn) (*quickReader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("vpcd connection: %w", err)
	}
	q := &quickReader{conn: conn, raw: raw, arm: func(fd uintptr) {
		// Only speed depends on it.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}}
	q.rearm()
	return q, nil
}

func (q *quickReader) rearm() {
	// A closed connection is for Read to tell.
	_ = q.raw.Control(q.arm)
}

// Read reads from the connection.
func (q *quickReader) Read(b []byte) (int, error) {
	n, err := q.conn.Read(b)
	q.rearm()
	return n, err
}
