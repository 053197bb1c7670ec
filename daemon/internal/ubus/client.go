// Package ubus is a client of OpenWrt's message bus: the blobmsg codec,
// connections to ubusd, calls, objects with methods, events and notifications,
// on the wire of openwrt/ubus and libubox. It knows no other package of this
// module and no word of what is said over the bus. It passes no file
// descriptors and is no broker (ubusfake is).
//
// A Conn is one connection, for programs that ask and end. A Client stays: it
// connects again when ubusd restarts and registers everything anew.
package ubus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Client keeps a connection to ubusd, its objects, listeners and subscriptions.
type Client struct {
	path string
	opt  Options

	conn      atomic.Pointer[Conn] // nil while there is none
	connected atomic.Bool          // everything is registered
	ready     chan struct{}
	once      sync.Once

	// turn serialises registering, so that what is added while a connection
	// is set up is registered once.
	turn sync.Mutex

	mu       sync.Mutex
	items    []item
	watchers []func(bool, error)
}

// item is something that every new connection must know.
type item interface {
	attach(ctx context.Context, c *Conn) error
	detach(ctx context.Context, c *Conn) error
	down() // the connection is gone
}

// NewClient makes a client of the ubusd at a socket path. It does nothing
// before Run.
func NewClient(path string, opt Options) *Client {
	return &Client{path: path, opt: opt.withDefaults(), ready: make(chan struct{})}
}

// fullJitter is a random wait below 100 ms doubled attempt times, at most 5 s.
func fullJitter(attempt int) time.Duration {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	return rand.N(min(first<<min(attempt, 16), most))
}

// Run connects, serves and connects again until ctx ends; then it answers what
// is pending and returns nil. Call it once.
func (c *Client) Run(ctx context.Context) error {
	attempt := 0
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			break
		}
		c.tell(false, err)
		if time.Since(began) > 10*time.Second { // it worked for a while
			attempt = 0
		}
		wait := time.NewTimer(c.opt.Backoff(attempt))
		attempt++
		select {
		case <-ctx.Done():
			wait.Stop()
		case <-wait.C:
		}
	}
	c.tell(false, nil)
	return nil
}

// session is one connection from greeting to end.
func (c *Client) session(ctx context.Context) error {
	conn, err := dial(ctx, c.path, c.opt)
	if err != nil {
		return err
	}
	c.conn.Store(conn)
	// In this order: nobody starts anything on it any more, everything that
	// runs on it ends, and then the items know.
	defer c.down()
	defer conn.Close()
	defer c.offline()
	if err := c.attachAll(ctx, conn); err != nil {
		return err
	}
	c.once.Do(func() { close(c.ready) })
	c.tell(true, nil)
	select {
	case <-ctx.Done():
		return nil
	case <-conn.Done():
		return conn.Err()
	}
}

func (c *Client) offline() {
	c.connected.Store(false)
	c.conn.Store(nil)
}

// down tells the items that their connection is over.
func (c *Client) down() {
	c.mu.Lock()
	items := append([]item(nil), c.items...)
	c.mu.Unlock()
	for _, it := range items {
		it.down()
	}
}

func (c *Client) attachAll(ctx context.Context, conn *Conn) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	items := append([]item(nil), c.items...)
	c.mu.Unlock()
	for _, it := range items {
		if err := it.attach(ctx, conn); err != nil {
			return err
		}
	}
	c.connected.Store(true)
	return nil
}

// add keeps an item, and registers it now if there is a connection.
func (c *Client) add(it item) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if conn := c.conn.Load(); conn != nil && c.connected.Load() {
		err := it.attach(context.Background(), conn) // bounded by CallTimeout
		if err != nil && !errors.Is(err, ErrNotConnected) && !errors.Is(err, ErrClosed) {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(c.items, it)
	return nil
}

// remove forgets an item.
func (c *Client) remove(it item) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	found := false
	for i := range c.items {
		if c.items[i] == it {
			c.items, found = append(c.items[:i:i], c.items[i+1:]...), true
			break
		}
	}
	c.mu.Unlock()
	if conn := c.conn.Load(); found && conn != nil {
		return it.detach(context.Background(), conn) // bounded by CallTimeout
	}
	return nil
}

// Ready is closed when the client is connected and everything that was added
// is registered, for the first time.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// Connected tells whether the client is connected and everything is registered.
func (c *Client) Connected() bool { return c.connected.Load() }

// OnState has fn called from Run whenever the connection is made, lost or could
// not be made; err says why. fn must not block.
func (c *Client) OnState(fn func(connected bool, err error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers = append(c.watchers, fn)
}

func (c *Client) tell(connected bool, err error) {
	c.mu.Lock()
	fns := append([]func(bool, error){}, c.watchers...)
	c.mu.Unlock()
	if err != nil {
		c.opt.Logger.Debug("ubus connection", "connected", connected, "err", err)
	}
	for _, fn := range fns {
		fn(connected, err)
	}
}

// AddObject publishes an object, now and on every later connection. An error
// means that it was not added; without a connection ubusd's opinion is learned
// later: as long as it refuses an object (the path exists, say), the client
// connects again and again, and OnState tells why.
func (c *Client) AddObject(o *Object) error {
	if err := o.check(); err != nil {
		return err
	}
	c.mu.Lock()
	for _, it := range c.items {
		if i, ok := it.(objectItem); ok && (i.o == o || o.Path != "" && i.o.Path == o.Path) {
			c.mu.Unlock()
			return fmt.Errorf("add object %s: it was added before", o.Path)
		}
	}
	c.mu.Unlock()
	return c.add(objectItem{o})
}

// RemoveObject takes an object off the bus.
func (c *Client) RemoveObject(o *Object) error { return c.remove(objectItem{o}) }

type objectItem struct{ o *Object }

func (i objectItem) attach(ctx context.Context, c *Conn) error { return c.AddObject(ctx, i.o) }
func (i objectItem) detach(ctx context.Context, c *Conn) error { return c.RemoveObject(ctx, i.o) }
func (i objectItem) down()                                     {}

// Listen calls fn with matching events, now and on every later connection. stop
// ends it.
func (c *Client) Listen(pattern string, fn func(event string, data Table)) (stop func() error, err error) {
	it := &listenItem{pattern: pattern, fn: fn}
	return func() error { return c.remove(it) }, c.add(it)
}

type listenItem struct {
	pattern string
	fn      func(string, Table)
	id      uint32
}

func (i *listenItem) attach(ctx context.Context, c *Conn) (err error) {
	i.id, err = c.listen(ctx, i.pattern, &watcher{
		onEvent: func(_ context.Context, event string, data Table) { i.fn(event, data) },
	})
	return err
}

func (i *listenItem) detach(ctx context.Context, c *Conn) error { return c.removeTarget(ctx, i.id) }
func (i *listenItem) down()                                     {}

// Send sends an event.
func (c *Client) Send(ctx context.Context, event string, data any) error {
	conn := c.conn.Load()
	if conn == nil {
		return fmt.Errorf("send event %s: %w", event, ErrNotConnected)
	}
	return conn.Send(ctx, event, data)
}

// Call invokes a method, see Conn.Call. Without a connection it fails at once
// with ErrNotConnected.
func (c *Client) Call(ctx context.Context, object, method string, args any) (Table, error) {
	conn := c.conn.Load()
	if conn == nil {
		return nil, fmt.Errorf("call %s %s: %w", object, method, ErrNotConnected)
	}
	return conn.Call(ctx, object, method, args)
}
