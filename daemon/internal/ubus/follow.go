package ubus

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Subscribe calls fn with the notifications of the object at path whenever that
// object is there, now and later, on this and every later connection. gone is
// called when it goes away. stop ends it.
func (c *Client) Subscribe(path string, fn func(typ string, data Table), gone func()) (stop func() error, err error) {
	it := &follower{path: path, fn: fn, gone: gone}
	return func() error { return c.remove(it) }, c.add(it)
}

// follower keeps a subscription to a path. One nameless object of ours takes
// both the notifications and ubusd's news of objects that appear.
type follower struct {
	path string
	fn   func(string, Table)
	gone func()

	mu     sync.Mutex
	conn   *Conn
	id     uint32 // our object
	target uint32 // what it is subscribed to; 0: nothing
}

func (f *follower) attach(ctx context.Context, c *Conn) error {
	w := &watcher{
		onNotify: f.fn,
		onGone:   f.lost,
		onEvent: func(ctx context.Context, _ string, data Table) {
			if path, _ := data.Text("path", ""); path == f.path {
				if err := f.try(ctx, c); err != nil {
					c.opt.Logger.Warn("subscription refused", "object", path, "err", err)
				}
			}
		},
	}
	id, err := c.listen(ctx, "ubus.object.add", w)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", f.path, err)
	}
	f.mu.Lock()
	f.conn, f.id = c, id
	f.mu.Unlock()
	return f.try(ctx, c)
}

// try subscribes if the object is there and we are not subscribed to it; one
// subscribed twice would notify twice.
func (f *follower) try(ctx context.Context, c *Conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != c {
		return nil
	}
	info, err := c.Lookup(ctx, f.path)
	if err == nil && info.ID != f.target {
		if err = c.subscribe(ctx, f.id, info.ID); err == nil {
			f.target = info.ID
		}
	}
	if err != nil && !errors.Is(err, &StatusError{Status: StatusNotFound}) {
		return fmt.Errorf("subscribe to %s: %w", f.path, err)
	}
	return nil
}

// lost forgets a target that went away; 0 is whatever there was, with its
// connection.
func (f *follower) lost(target uint32) {
	f.mu.Lock()
	had := f.target != 0 && (target == 0 || target == f.target)
	if had {
		f.target = 0
	}
	f.mu.Unlock()
	if had && f.gone != nil {
		f.gone()
	}
}

func (f *follower) down() { f.lost(0) }

func (f *follower) detach(ctx context.Context, c *Conn) error {
	f.mu.Lock()
	id := f.id
	if f.conn == c {
		f.conn, f.target = nil, 0
	}
	f.mu.Unlock()
	return c.removeTarget(ctx, id)
}
