package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/peertls"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// peer is what differs between a server and a bank.
type peer interface {
	// kind is what the peer must say it is, and how to call it.
	kind() (rspro.ComponentType, string)
	// connected is called when the peer has accepted us.
	connected()
	// message takes a message that is not part of the registration.
	message(m rspro.Message) error
	// busy tells whether the peer works on something for us, so that its PONG
	// may be late.
	busy() bool
	// down is called once when the connection ends, whatever had happened.
	down(err error)
}

// conn is one connection to a server or bank. One goroutine reads; writes come
// from any.
type conn struct {
	s      *Session
	link   *link
	ep     *model.Endpoint
	peer   peer
	nc     net.Conn
	cancel context.CancelCauseFunc
	client rspro.ClientSlot

	// Of the reading goroutine:
	rd       *rspro.Reader
	pdu      rspro.PDU
	deadline time.Time // until when the peer has to accept us
	accepted time.Time // zero: not yet
	nextPing time.Time // when no PING is out
	heard    time.Time // when the last answer came while a PING was out
	notes    notes

	mu     sync.Mutex // guards what follows, and the order of writes
	closed bool
	buf    []byte    // frames are made here
	until  time.Time // the write deadline that is set
	pings  []ping    // without PONG, oldest first
}

// ping is a PING without PONG. done is nil for a keep-alive.
type ping struct {
	sent time.Time
	done chan time.Duration
}

func newConn(l *link, nc net.Conn, ep *model.Endpoint, cancel context.CancelCauseFunc) *conn {
	return &conn{
		s: l.s, link: l, ep: ep, nc: nc, cancel: cancel, client: l.s.clientSlot(),
		rd: rspro.NewReader(nc), buf: make([]byte, 0, 512),
	}
}

// maxPings bounds how many PINGs wait for their PONG.
const maxPings = 16

// longAgo is a deadline that has passed.
func longAgo() time.Time { return time.Unix(1, 0) }

// serve registers, then reads until the connection ends, and says why it did.
func (c *conn) serve(ctx context.Context) error {
	c.deadline = time.Now().Add(handshakeTimeout)
	if err := c.hello(); err != nil {
		return c.lastWords(err)
	}
	// A blocking read does not see ctx, so cancelling ends the deadline under it.
	poked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.nc.SetReadDeadline(longAgo())
		close(poked)
	})
	defer func() {
		if !stop() {
			<-poked // nobody may touch the deadline behind our back from here on
		}
	}()
	c.arm()
	for {
		if ctx.Err() != nil {
			return stopCause(ctx)
		}
		f, err := c.rd.Next()
		if err != nil {
			err = c.interrupted(ctx, err)
		} else {
			err = c.frame(f)
		}
		if err != nil {
			return err
		}
	}
}

// stopCause is why ctx ended.
func stopCause(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return errStopping
}

// hello introduces us: PING if the link has keep-alive, then connectClientReq.
func (c *conn) hello() error {
	if c.ep.Ping > 0 {
		if err := c.sendPing(nil); err != nil {
			return err
		}
	}
	return c.send(&rspro.ConnectClientReq{
		Identity:   rspro.ComponentIdentity{Type: rspro.RemsimClient, Name: c.s.cfg.Hostname, Software: "remsim-client", SWVersion: c.s.cfg.Version},
		ClientSlot: &c.client,
	})
}

// lastWords looks for a better reason of a connection that broke under our first
// message than that the write failed: the alert of a peer that does not like our
// certificate.
func (c *conn) lastWords(err error) error {
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
	if _, read := c.rd.Next(); peertls.Alert(read) != "" {
		return tlsFault(address(c.ep), read, time.Now())
	}
	return err
}

// interrupted handles a failed read: a deadline is a matter of keep-alive, or
// means that ctx has ended.
func (c *conn) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return stopCause(ctx)
	}
	_, who := c.peer.kind()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return readFault(who, address(c.ep), err)
	}
	return c.tick(who)
}

// tick does what the time asks for.
func (c *conn) tick(who string) error {
	now := time.Now()
	due, out := c.pongDue()
	switch {
	case c.accepted.IsZero() && !now.Before(c.deadline):
		return faultf(model.PeerConnectTimeout, "%s at %s did not answer connectClientReq for %v", who, address(c.ep), handshakeTimeout)
	case c.accepted.IsZero():
	case out && !now.Before(due):
		return faultf(model.PeerKeepAliveTimeout, "%s did not answer PING for %v", who, now.Sub(due.Add(-pongTimeout)).Round(time.Second))
	case !out && c.ep.Ping > 0 && !now.Before(c.nextPing):
		if err := c.sendPing(nil); err != nil {
			return err
		}
	}
	c.arm()
	return nil
}

// pongDue tells whether a keep-alive is out, and until when its PONG is due.
func (c *conn) pongDue() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pings {
		if p.done != nil {
			continue
		}
		due := p.sent
		if c.heard.After(due) {
			due = c.heard
		}
		due = due.Add(pongTimeout)
		if late := p.sent.Add(busyPongTimeout); c.peer.busy() && late.After(due) {
			due = late
		}
		return due, true
	}
	return time.Time{}, false
}

// arm sets the read deadline: the next moment at which something is to be done.
// A link without keep-alive has none, and sleeps.
func (c *conn) arm() {
	at := c.deadline
	if !c.accepted.IsZero() {
		due, out := c.pongDue()
		switch {
		case out:
			at = due
		case c.ep.Ping > 0:
			at = c.nextPing
		default:
			at = time.Time{}
		}
	}
	_ = c.nc.SetReadDeadline(at) // serve looks at ctx after this, so a cancel is not lost
}

// frame takes one frame.
func (c *conn) frame(f rspro.Frame) error {
	if f.Proto == rspro.ProtoCCM {
		return c.control(f.Payload)
	}
	_, who := c.peer.kind()
	if _, err := c.pdu.Decode(f.Payload); err != nil {
		return &fault{code: model.PeerMalformed, text: who + " sent a malformed message: " + err.Error(), cause: err}
	}
	if res, ok := c.pdu.Msg.(*rspro.ConnectClientRes); ok {
		return c.accept(res)
	}
	return c.peer.message(c.pdu.Msg)
}

// control answers connection management.
func (c *conn) control(payload []byte) error {
	switch payload[0] {
	case rspro.Ping:
		return c.sendCCM(rspro.Pong)
	case rspro.Pong:
		c.pong()
	case rspro.IDGet:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.buf = rspro.AppendIDResp(c.buf[:0], payload[1:])
		if err := c.flush(); err != nil {
			return err
		}
		c.buf = rspro.AppendCCM(c.buf[:0], rspro.IDAck)
		return c.flush()
	}
	return nil // what we do not know, and what asks for nothing
}

// pong takes a PONG. One that nobody asked for is ignored.
func (c *conn) pong() {
	now := time.Now()
	c.mu.Lock()
	if len(c.pings) == 0 {
		c.mu.Unlock()
		return
	}
	p := c.pings[0]
	c.pings = c.pings[1:]
	c.mu.Unlock()
	if p.done != nil {
		p.done <- now.Sub(p.sent) // has room for it
		return
	}
	c.nextPing = now.Add(c.ep.Ping)
	c.arm()
}

// accept takes the answer to our registration.
func (c *conn) accept(res *rspro.ConnectClientRes) error {
	want, who := c.peer.kind()
	switch {
	case res.Identity.Type != want:
		return faultf(model.PeerWrongType, "%s at %s says that it is a %v (%s), expected %v: check host and port",
			who, address(c.ep), res.Identity.Type, printable(res.Identity.Software), want)
	case res.Result != rspro.ResultOK:
		return resultFault(who, c.client, res.Result)
	case !c.accepted.IsZero():
		return nil // once more ok
	}
	c.accepted = time.Now()
	c.link.connected(c)
	c.peer.connected()
	c.arm()
	return nil
}

// send writes one message.
func (c *conn) send(m rspro.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.buf, err = rspro.AppendFrame(c.buf[:0], m); err != nil {
		return err
	}
	return c.flush()
}

func (c *conn) sendCCM(msgType byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = rspro.AppendCCM(c.buf[:0], msgType)
	return c.flush()
}

// sendPing writes a PING; done gets the time to its PONG.
func (c *conn) sendPing(done chan time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pings) >= maxPings {
		return errors.New("too many PINGs without PONG")
	}
	c.pings = append(c.pings, ping{sent: time.Now(), done: done})
	c.buf = rspro.AppendCCM(c.buf[:0], rspro.Ping)
	return c.flush()
}

// flush writes c.buf, which is one frame, in one piece: a real bank closes when
// header or body come in two. Call with the lock held.
func (c *conn) flush() error {
	if c.closed {
		return errClosed
	}
	// The deadline is renewed only when half of it is used up: a write has
	// between writeTimeout and twice that, and most writes set none.
	if now := time.Now(); now.Add(writeTimeout).After(c.until) {
		c.until = now.Add(2 * writeTimeout)
		_ = c.nc.SetWriteDeadline(c.until)
	}
	if _, err := c.nc.Write(c.buf); err != nil {
		_, who := c.peer.kind()
		f := writeFault(who, err)
		c.closed = true
		c.cancel(f)
		return f
	}
	return nil
}

// close has nothing more written.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// shut ends the connection after close: the peer's side is told, and the
// connection is closed with FIN where that still can be done. A bank that sees no
// FIN keeps the card for ever.
func (c *conn) shut(err error) {
	c.peer.down(err)
	defer c.nc.Close()
	if errors.Is(err, errStranded) {
		return // Close sends the FIN all the same, should the path come back
	}
	if f := asFault(err); f.code == model.PeerClosed || f.code == model.PeerWriteTimeout {
		return // there is nobody to wait for
	}
	limit := time.Now().Add(lingerTimeout)
	raw := c.nc
	if t, ok := raw.(*tls.Conn); ok {
		_ = t.SetWriteDeadline(limit)
		_ = t.CloseWrite()
		raw = t.NetConn()
	}
	half, ok := raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	// Closing with unread bytes would send RST, so read until the peer's FIN.
	_ = raw.SetDeadline(limit)
	var rest [512]byte
	for {
		if _, err := raw.Read(rest[:]); err != nil {
			return
		}
	}
}
