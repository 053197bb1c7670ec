package ubus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultSocket is where ubusd listens on OpenWrt.
const DefaultSocket = "/var/run/ubus/ubus.sock"

// Bounds of one connection.
const (
	maxCalls     = 1 << 15 // own calls pending at once
	maxAbandoned = 4096    // sequence numbers kept back for late answers
	maxAnswer    = 8 << 20 // bytes of answer to one call
	outboxLimit  = 2 << 20 // bytes waiting to be written
	helloTimeout = 5 * time.Second
	flushTimeout = time.Second
)

// Conditions of a connection.
var (
	// ErrNotConnected: there is no connection to ubusd, or it was lost.
	ErrNotConnected = errors.New("not connected to ubusd")
	// ErrClosed: the connection was closed from this side.
	ErrClosed = errors.New("ubus connection closed")
)

// Options are the parameters of a connection; the zero value is right for most.
type Options struct {
	// Backoff is the wait before connection attempt n, counted from 0; nil is
	// full jitter below 100 ms doubled n times, at most 5 s.
	Backoff func(attempt int) time.Duration
	// Logger gets what an owner may want to read; nil discards it.
	Logger *slog.Logger
	// CallTimeout ends calls whose context has no deadline; 0 is 30 s.
	CallTimeout time.Duration
	// WriteTimeout drops a connection whose peer does not read; 0 is 5 s.
	WriteTimeout time.Duration
	// Workers is how many handlers run at once; 0 is 8.
	Workers int
	// MaxPending is how many incoming calls may be unanswered, running, queued
	// and deferred; what exceeds it is refused with StatusNoMemory. 0 is 256.
	MaxPending int
	// MaxQueued is how many events or notifications may wait for one callback;
	// then the oldest are dropped. 0 is 256.
	MaxQueued int
	// CloseGrace is how long handlers may go on after their context ended;
	// what is unanswered then fails with StatusConnectionFailed. 0 is 500 ms.
	CloseGrace time.Duration
}

func (o Options) withDefaults() Options {
	if o.Backoff == nil {
		o.Backoff = fullJitter
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	set(&o.CallTimeout, 30*time.Second)
	set(&o.WriteTimeout, 5*time.Second)
	set(&o.Workers, 8)
	set(&o.MaxPending, 256)
	set(&o.MaxQueued, 256)
	set(&o.CloseGrace, 500*time.Millisecond)
	return o
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Conn is one connection to ubusd. Its methods may be called from any
// goroutine, and from handlers, but for Close.
type Conn struct {
	nc      net.Conn
	rd      *Reader
	id      uint32
	opt     Options
	out     *outbox
	in      *inbox
	cancel  context.CancelFunc // ends the handlers' context
	unacked atomic.Bool        // something was written that ubusd does not answer
	dropped atomic.Uint64

	done chan struct{} // closed when the connection is over
	wg   sync.WaitGroup
	// callbacks counts the goroutines of serial queues. Only the reader starts
	// them, so they are waited for after it.
	callbacks sync.WaitGroup

	mu        sync.Mutex
	err       error // why it is over
	next      uint16
	pending   map[uint16]*pending
	abandoned []uint16
	targets   map[uint32]target
	ids       map[string]uint32 // object ids looked up
}

// target is an object of ours that ubusd sends messages to.
type target interface {
	invoke(ctx context.Context, c *Conn, m Message, a *Attrs)
	notify(a *Attrs)
	unsubscribed(c *Conn, a *Attrs)
}

// Dial connects to ubusd at a socket path and reads its greeting. Close ends
// the connection and waits for everything that it runs.
func Dial(ctx context.Context, path string) (*Conn, error) {
	return dial(ctx, path, Options{}.withDefaults())
}

func dial(ctx context.Context, path string, opt Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to ubusd: %w", err)
	}
	// A blocking Read does not see ctx, so cancelling closes the socket under it.
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	rd := NewReader(nc, MaxMessage+receiveSlack)
	m, err := rd.Next()
	if !stop() {
		err = ctx.Err()
	}
	switch {
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("connect to ubusd at %s: closed before its greeting (is our user known?): %w", path, ErrNotConnected)
	case err != nil:
		err = fmt.Errorf("connect to ubusd at %s: read its greeting: %w", path, err)
	case m.Type != MsgHello:
		err = fmt.Errorf("connect to ubusd at %s: greeting has type %d: %w", path, m.Type, ErrMalformed)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return start(nc, rd, m.Peer, opt), nil
}

func start(nc net.Conn, rd *Reader, id uint32, opt Options) *Conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Conn{
		nc: nc, rd: rd, id: id, opt: opt, cancel: cancel,
		out:     newOutbox(outboxLimit),
		in:      newInbox(opt.Workers, opt.MaxPending),
		done:    make(chan struct{}),
		pending: map[uint16]*pending{},
		targets: map[uint32]target{},
		ids:     map[string]uint32{},
	}
	c.wg.Go(func() { c.read(ctx) })
	c.wg.Go(c.write)
	return c
}

// ID is the client id that ubusd gave this connection.
func (c *Conn) ID() uint32 { return c.id }

// Done is closed when the connection is over.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection is over; nil while it is not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Dropped counts events and notifications that found their queue full, and
// answers that nobody waited for any more.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// Close answers what is pending, hands everything to ubusd and ends the
// connection. Handlers see their context end and have CloseGrace to answer. It
// must not be called from a handler or callback: it waits for them.
func (c *Conn) Close() error {
	idle := c.in.close()
	c.cancel()
	grace := time.NewTimer(c.opt.CloseGrace)
	defer grace.Stop()
	select {
	case <-idle:
	case <-c.done:
	case <-grace.C:
	}
	for _, r := range c.in.unanswered() {
		r.Fail(StatusConnectionFailed, stopping) // lost with the connection if that is gone
	}
	c.leave()
	c.fail(ErrClosed)
	c.wg.Wait()
	c.callbacks.Wait()
	c.in.wait()
	return nil
}

// leave takes our objects off the bus, so that calls from now on are not found
// instead of lost, and waits until ubusd has read everything: it reads nothing
// more from a client that has hung up.
func (c *Conn) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	c.mu.Lock()
	var objects []*Object
	for _, t := range c.targets {
		if b, ok := t.(*binding); ok {
			objects = append(objects, b.object)
		}
	}
	c.mu.Unlock()
	for _, o := range objects {
		if err := c.RemoveObject(ctx, o); err != nil {
			c.opt.Logger.Debug("object not removed", "object", o.Path, "err", err)
		}
	}
	if c.unacked.Load() && len(objects) == 0 {
		if err := c.Ping(ctx); err != nil {
			c.opt.Logger.Debug("last messages may be lost", "err", err)
		}
	}
}

// fail ends the connection once.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("ubus connection lost: %w: %w", err, ErrNotConnected)
	}
	c.err = err
	calls := c.pending
	c.pending = map[uint16]*pending{}
	for _, p := range calls {
		if !p.abandoned {
			p.err = err
			close(p.done)
		}
	}
	for _, t := range c.targets {
		if b, ok := t.(*binding); ok {
			b.active.Store(false) // nobody would see a notification
		}
	}
	c.mu.Unlock()
	c.cancel()
	c.in.close()
	c.out.close(err)
	c.nc.Close()
	close(c.done)
}

func (c *Conn) write() {
	var frames net.Buffers
	for {
		select {
		case <-c.done:
			return
		case <-c.out.wake:
		}
		frames = c.out.take(frames[:0])
		n, work := 0, frames // WriteTo consumes its slice
		for _, f := range frames {
			n += len(f)
		}
		c.nc.SetWriteDeadline(time.Now().Add(c.opt.WriteTimeout)) // fails only on a closed connection
		if _, err := work.WriteTo(c.nc); err != nil {
			c.fail(fmt.Errorf("write: %w", err))
			return
		}
		clear(frames)
		c.out.done(n)
	}
}

func (c *Conn) read(ctx context.Context) {
	for {
		m, err := c.rd.Next()
		if err != nil {
			c.fail(fmt.Errorf("read: %w", err))
			return
		}
		if m.Version != 0 { // libubus drops what it does not know, too
			continue
		}
		c.dispatch(ctx, m)
	}
}

// dispatch must not block: answers to our own calls come through here.
func (c *Conn) dispatch(ctx context.Context, m Message) {
	switch m.Type {
	case MsgStatus, MsgData:
		c.answer(m)
	case MsgInvoke, MsgNotify, MsgUnsubscribe:
		a := ParseAttrs(m.Body)
		if !a.Has(AttrObjID) {
			return
		}
		c.mu.Lock()
		t := c.targets[a.ObjID]
		c.mu.Unlock()
		switch {
		case t == nil && m.Type == MsgInvoke:
			c.respond(m, &a, StatusNotFound)
		case t == nil:
		case m.Type == MsgInvoke:
			t.invoke(ctx, c, m, &a)
		case m.Type == MsgNotify:
			t.notify(&a)
		default:
			t.unsubscribed(c, &a)
		}
	}
}

// respond answers a call at once from the reader. It does not wait for room:
// a caller that misses it runs into its own timeout.
func (c *Conn) respond(m Message, a *Attrs, s Status) {
	if a.NoReply || m.Peer == 0 { // nobody reads it
		return
	}
	c.unacked.Store(true)
	frame := Begin(nil, MsgStatus, m.Seq, m.Peer).Uint32(AttrStatus, uint32(s)).Uint32(AttrObjID, a.ObjID).Frame()
	if room, _ := c.out.tryPut(frame); room != nil {
		c.dropped.Add(1)
	}
}
