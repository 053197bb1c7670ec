// Package netifd watches the interfaces of OpenWrt's netifd over ubus, brings
// them up and down, and finds the interface of a modem. netifd owns the data
// connections: this package never makes one, and never edits its configuration.
//
// It is driven by netifd's notifications and events and asks only when
// something happened. netifd tells of up, down and update, and of objects that
// come and go. Of three things it says nothing: that an interface starts to be
// set up, that a failed one was blocked, and that the device of an interface
// that is down came or went. They are seen with the next change, after a verb of
// this package, and after Refresh.
package netifd

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// Conditions that callers of the verbs tell apart.
var (
	// ErrDown: ubusd or netifd is away.
	ErrDown = errors.New("netifd is not on the bus")
	// ErrNoInterface: netifd has no such interface.
	ErrNoInterface = errors.New("no such interface")
	// ErrNoUCI: rpcd, which has the object `uci`, is away.
	ErrNoUCI = errors.New("rpcd is not on the bus")
)

// Waits. netifd answers from memory, but runs one thing at a time.
const (
	callTimeout = 10 * time.Second
	firstRetry  = time.Second
	lastRetry   = time.Minute
	// settle is the wait after netifd appeared: what it said before our
	// subscription was made is asked for once more.
	settle = 2 * time.Second
)

// object is where netifd answers for all interfaces.
const object = "network.interface"

// Bus is what is used of a *ubus.Client.
type Bus interface {
	Call(ctx context.Context, object, method string, args any) (ubus.Table, error)
	Listen(pattern string, fn func(event string, data ubus.Table)) (stop func() error, err error)
	Subscribe(path string, fn func(typ string, data ubus.Table), gone func()) (stop func() error, err error)
	OnState(fn func(connected bool, err error))
}

// Options say how to watch.
type Options struct {
	// Events is told what happens, in order, from Run's goroutine: a
	// model.NetifdChanged, model.InterfaceChanged or model.InterfaceGone.
	Events func(model.Event)
	// Memory is a file that keeps, over a restart, which interfaces were taken
	// down and not brought up since; "" keeps that in memory only.
	Memory string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Client watches netifd. Make it with New. Its verbs may be called from any
// goroutine, before, during and after Run.
type Client struct {
	bus  Bus
	opts Options
	wake chan struct{} // something happened: ask

	mu       sync.Mutex
	appeared bool               // netifd came since the last question
	asking   context.CancelFunc // ends the question under way; nil: there is none
	debts    *debts

	// Below: only Run.
	up     *bool // as last told
	reason string
	last   map[string]model.Interface
}

// New makes a client; Run starts it. The bus tells it when it is connected.
func New(bus Bus, opts Options) *Client {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	c := &Client{bus: bus, opts: opts, wake: make(chan struct{}, 1), debts: newDebts(opts.Memory), last: map[string]model.Interface{}}
	bus.OnState(func(bool, error) { c.appear() })
	return c
}

// Refresh asks netifd for everything that it does not tell by itself.
func (c *Client) Refresh() {
	select {
	case c.wake <- struct{}{}:
	default: // it will be asked anyway
	}
}

func (c *Client) appear() {
	c.mu.Lock()
	c.appeared = true
	c.mu.Unlock()
	c.Refresh()
}

// vanish ends a question that netifd will not answer any more: ubusd does not
// tell who waits.
func (c *Client) vanish() {
	c.mu.Lock()
	if c.asking != nil {
		c.asking()
	}
	c.mu.Unlock()
	c.Refresh()
}

func (c *Client) hasAppeared() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.appeared
	c.appeared = false
	return was
}

// Run watches until ctx ends and then returns nil. A bus or a netifd that is
// away is reported and waited for.
func (c *Client) Run(ctx context.Context) error {
	stop, err := c.listen()
	defer stop()
	if err != nil {
		return err
	}
	c.appear()
	retry := firstRetry
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-timer.C:
		}
		fresh := c.hasAppeared()
		err := c.refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, ErrDown):
			timer.Reset(retry) // it is there and does not answer as it should
			retry = min(2*retry, lastRetry)
		case err == nil:
			retry = firstRetry
			if fresh {
				timer.Reset(settle)
			}
		}
	}
}

// listen registers for everything that netifd tells.
func (c *Client) listen() (stop func(), err error) {
	var stops []func() error
	stop = func() {
		for _, s := range stops {
			_ = s() // the bus is gone, and with it what was registered
		}
	}
	add := func(s func() error, e error) {
		if stops = append(stops, s); e != nil && err == nil {
			err = e
		}
	}
	add(c.bus.Subscribe(object, func(string, ubus.Table) { c.Refresh() }, c.vanish))
	add(c.bus.Listen(object, func(string, ubus.Table) { c.Refresh() }))
	for _, event := range []string{"ubus.object.add", "ubus.object.remove"} {
		add(c.bus.Listen(event, func(event string, data ubus.Table) {
			switch path, _ := data.Text("path", ""); {
			case path == object && event == "ubus.object.add":
				c.appear()
			case path == object:
				c.vanish()
			case strings.HasPrefix(path, object+"."):
				c.Refresh()
			}
		}))
	}
	if err != nil {
		return stop, fmt.Errorf("listen to netifd: %w", err)
	}
	return stop, nil
}

// refresh asks for all interfaces and reports what changed.
func (c *Client) refresh(ctx context.Context) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	c.setAsking(cancel)
	t, err := c.call(asking, object, "dump", nil)
	c.setAsking(nil)
	if asking.Err() != nil {
		return ErrDown // it is asked again at once
	}
	if err == nil {
		var list []model.Interface
		if list, err = parseDump(t, c.opts.Now()); err == nil {
			c.nameModems(ctx, list)
			c.mu.Lock()
			c.debts.mark(list)
			c.mu.Unlock()
			c.tellNetifd(true, "")
			c.tellInterfaces(list)
			return nil
		}
	}
	if ctx.Err() == nil {
		c.tellNetifd(false, err.Error())
	}
	return err
}

func (c *Client) setAsking(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking = cancel
}

func (c *Client) tellNetifd(up bool, reason string) {
	if c.up != nil && *c.up == up && c.reason == reason {
		return
	}
	c.up, c.reason = &up, reason
	c.opts.Events(model.NetifdChanged{At: c.at(), Up: up, Reason: reason})
}

func (c *Client) tellInterfaces(list []model.Interface) {
	seen := map[string]bool{}
	for _, i := range list {
		seen[i.Name] = true
		old, had := c.last[i.Name]
		if had && i.Up && old.Up && near(i.UpSince, old.UpSince) {
			i.UpSince = old.UpSince // uptime is told in whole seconds
		}
		if had && reflect.DeepEqual(old, i) {
			continue
		}
		c.last[i.Name] = i
		c.opts.Events(model.InterfaceChanged{At: c.at(), Interface: i})
	}
	var gone []string
	for name := range c.last {
		if !seen[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		delete(c.last, name)
		c.opts.Events(model.InterfaceGone{At: c.at(), Name: name})
	}
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() <= 2*time.Second }

func (c *Client) at() model.At { return model.At{Time: c.opts.Now()} }
