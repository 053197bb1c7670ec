// Package mm watches modems through ModemManager on the system bus, and asks it
// for the few things remsim needs: reset, power, slot, PIN, enable, and letting
// go of a modem's ports. It is driven by signals alone: when nothing happens it
// sends nothing. It never connects or disconnects a bearer; netifd does that.
package mm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Bounds of the wait before a lost bus is dialled again.
const (
	firstRedial = 500 * time.Millisecond
	lastRedial  = 30 * time.Second
)

// dialTimeout bounds connecting, authenticating and each bus daemon call; readTimeout
// each question to ModemManager, which answers those from memory.
const (
	dialTimeout = 10 * time.Second
	readTimeout = 30 * time.Second
)

// Options say how to watch.
type Options struct {
	// Address of the bus; "" is the system bus.
	Address string
	// Sysfs is where /sys is; "" is /sys.
	Sysfs string
	// SignalRate is how often ModemManager shall read the signal of an
	// enabled modem, in whole seconds; 0 leaves it off. Each reading costs the
	// modem one or two commands and the bus one or two signals, none from
	// us. A rate that somebody else has set is kept.
	SignalRate time.Duration
	// Events is told what happens, in order, from Run's goroutine: a
	// model.ModemsService, model.ModemSeen or model.ModemGone.
	Events func(model.Event)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Client watches ModemManager. Make it with New. Its verbs may be called from
// any goroutine, before, during and after Run.
type Client struct {
	opts Options

	mu        sync.Mutex
	conn      *dbus.Conn // nil: no bus
	owner     string     // ModemManager's unique name, "" while it is away
	paths     map[string]dbus.ObjectPath
	inhibited map[string]bool // devices that ModemManager shall leave alone
}

// New makes a client; Run starts it.
func New(opts Options) *Client {
	if opts.Sysfs == "" {
		opts.Sysfs = "/sys"
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Client{opts: opts, paths: map[string]dbus.ObjectPath{}, inhibited: map[string]bool{}}
}

// Run watches until ctx ends and then returns nil. A bus that dies, or is not
// there yet, is reported as a ModemsService that is down, and dialled again.
func (c *Client) Run(ctx context.Context) error {
	delay := firstRedial
	told := ""
	for {
		up, err := c.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if up {
			delay, told = firstRedial, ""
		}
		if reason := "the system bus is not reachable: " + err.Error(); reason != told {
			told = reason
			c.emit(model.ModemsService{At: c.at(), Reason: reason})
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		delay = min(2*delay, lastRedial)
	}
}

// session watches over one connection to the bus; up tells whether there was
// one.
func (c *Client) session(ctx context.Context) (up bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	w := &watcher{client: c, conn: conn, events: make(chan *dbus.Signal), replies: make(chan func())}
	defer func() {
		cancel()
		_ = conn.Close() // nothing can be done about a bus that will not close
		w.tasks.Wait()
		c.setBus(nil, "")
	}()
	c.setBus(conn, "")
	if err := w.subscribe(ctx); err != nil {
		return false, err
	}
	return true, w.loop(ctx)
}

// dial opens a connection of our own: a shared one would have godbus's default
// handler, which reorders signals.
func (c *Client) dial(ctx context.Context) (*dbus.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(dialTimeout, cancel)
	opts := []dbus.ConnOption{dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())}
	var conn *dbus.Conn
	var err error
	if c.opts.Address == "" {
		conn, err = dbus.ConnectSystemBus(opts...)
	} else {
		conn, err = dbus.Connect(c.opts.Address, opts...)
	}
	if err != nil {
		timer.Stop()
		cancel()
		return nil, err
	}
	if !timer.Stop() {
		cancel()
		_ = conn.Close()
		return nil, fmt.Errorf("no answer within %v", dialTimeout)
	}
	// The connection's own context ends with ctx's parent or with Close.
	context.AfterFunc(conn.Context(), cancel)
	return conn, nil
}

func (c *Client) emit(ev model.Event) {
	if c.opts.Events != nil {
		c.opts.Events(ev)
	}
}

func (c *Client) at() model.At { return model.At{Time: c.opts.Now()} }

func (c *Client) setBus(conn *dbus.Conn, owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.owner = conn, owner
	c.paths = map[string]dbus.ObjectPath{}
}

func (c *Client) setPath(device string, path dbus.ObjectPath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths[device] = path
}

// dropPath forgets a modem, unless the device has been shown anew since.
func (c *Client) dropPath(device string, path dbus.ObjectPath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths[device] == path {
		delete(c.paths, device)
	}
}

func (c *Client) wantsInhibited(device string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inhibited[device]
}

var errBusLost = errors.New("connection lost")
