package rsprofake

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// link is one connection between a server and a client or bank, as libosmocore
// keeps it: each end pings at once and 30 s after each PONG, and gives up 10 s
// after a PING without PONG. It reassembles frames.
type link struct {
	conn  net.Conn
	every time.Duration
	done  chan struct{} // closed with the connection

	mu     sync.Mutex
	closed bool
	end    time.Time // zero: no end set
}

func newLink(c net.Conn, ping time.Duration) *link {
	return &link{conn: c, every: ping, done: make(chan struct{})}
}

// send writes one frame in one piece. A failed write shows up as a failed read.
func (l *link) send(b []byte) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(pongTimeout))
	_, _ = l.conn.Write(b)
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.done)
		_ = l.conn.Close()
	}
}

// endAfter closes the connection after d, unless the peer does first.
func (l *link) endAfter(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = time.Now().Add(d)
}

// discard reads until the peer goes.
func (l *link) discard() error {
	b := make([]byte, 512)
	for {
		if _, err := l.conn.Read(b); err != nil {
			return err
		}
	}
}

// keepAlive is when to ping next and whether a PONG is due.
type keepAlive struct {
	at      time.Time
	waiting bool
}

// run reads and handles messages until the connection ends; it says why.
func (l *link) run(stall *gateway, handle func(rspro.Message) error) error {
	r := rspro.NewReader(l.conn)
	l.send(rspro.AppendCCM(nil, rspro.Ping))
	ka := keepAlive{at: time.Now().Add(pongTimeout), waiting: true}
	for {
		l.mu.Lock()
		deadline := ka.at
		if !l.end.IsZero() && l.end.Before(deadline) {
			deadline = l.end
		}
		l.mu.Unlock()
		_ = l.conn.SetReadDeadline(deadline)
		f, err := r.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err = l.tick(&ka); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if !stall.wait(l.done) {
			return errStopped
		}
		if err := l.take(f, &ka, handle); err != nil {
			return err
		}
	}
}

// tick is called when a deadline has passed.
func (l *link) tick(ka *keepAlive) error {
	l.mu.Lock()
	ended := !l.end.IsZero() && !time.Now().Before(l.end)
	l.mu.Unlock()
	switch {
	case ended:
		return errStopped
	case ka.waiting && !time.Now().Before(ka.at):
		return fmt.Errorf("no PONG for %v", pongTimeout)
	case !ka.waiting:
		l.send(rspro.AppendCCM(nil, rspro.Ping))
		*ka = keepAlive{at: time.Now().Add(pongTimeout), waiting: true}
	}
	return nil
}

func (l *link) take(f rspro.Frame, ka *keepAlive, handle func(rspro.Message) error) error {
	if f.Proto == rspro.ProtoCCM {
		switch f.Payload[0] {
		case rspro.Ping:
			l.send(rspro.AppendCCM(nil, rspro.Pong))
		case rspro.Pong:
			*ka = keepAlive{at: time.Now().Add(l.every)}
		case rspro.IDAck:
			l.send(rspro.AppendCCM(nil, rspro.IDAck))
		case rspro.IDResp: // the answer to an ID_GET that a test made us send
		default:
			return fmt.Errorf("CCM message %02x: the real program closes", f.Payload[0])
		}
		return nil
	}
	var p rspro.PDU
	_, err := p.Decode(f.Payload)
	if _, unknown := p.Msg.(*rspro.Unknown); err != nil || unknown {
		return nil // the real server logs it and goes on
	}
	return handle(p.Msg)
}
