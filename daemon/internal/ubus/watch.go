package ubus

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// serial runs callbacks one after the other, in order. It keeps at most max of
// them waiting and forgets the oldest: news replace old news.
type serial struct {
	max int

	mu    sync.Mutex
	queue []func()
	busy  bool
}

// push queues fn and tells whether another one was dropped for it. started
// counts the goroutine that runs while there is something to do.
func (s *serial) push(started *sync.WaitGroup, fn func()) (dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= s.max {
		s.queue = append(s.queue[:0:0], s.queue[1:]...)
		dropped = true
	}
	s.queue = append(s.queue, fn)
	if !s.busy {
		s.busy = true
		started.Go(s.drain)
	}
	return dropped
}

func (s *serial) drain() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.busy, s.queue = false, nil
			s.mu.Unlock()
			return
		}
		fn := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		fn()
	}
}

// watcher is an object without a name that receives events, notifications of
// one subscription, or both. Nil callbacks drop what they would get.
type watcher struct {
	serial
	onEvent  func(ctx context.Context, event string, data Table)
	onNotify func(typ string, data Table)
	onGone   func(target uint32)
}

func (w *watcher) notify(*Attrs) {}

func (w *watcher) unsubscribed(c *Conn, a *Attrs) {
	if w.onGone != nil && a.Has(AttrTarget) {
		w.push(c, func() { w.onGone(a.Target) })
	}
}

func (w *watcher) push(c *Conn, fn func()) {
	if w.serial.push(&c.callbacks, fn) {
		c.dropped.Add(1)
		c.opt.Logger.Debug("event dropped, callback is too slow")
	}
}

// invoke takes an event (ubusd sends it, with peer 0) or a notification (peer
// is the publisher).
func (w *watcher) invoke(ctx context.Context, c *Conn, m Message, a *Attrs) {
	if !a.Has(AttrMethod) {
		c.respond(m, a, StatusInvalidArgument)
		return
	}
	if m.Peer == 0 && w.onEvent == nil || m.Peer != 0 && w.onNotify == nil {
		c.respond(m, a, StatusMethodNotFound)
		return
	}
	name, raw := a.Method, a.Data
	w.push(c, func() {
		if ctx.Err() != nil {
			return
		}
		data, err := ParseTable(raw)
		switch {
		case err != nil:
			c.opt.Logger.Debug("event dropped, its data is no blobmsg", "event", name, "err", err)
		case m.Peer == 0:
			w.onEvent(ctx, name, data)
		default:
			w.onNotify(name, data)
		}
	})
	c.respond(m, a, StatusOK) // the publisher may be waiting (Ask)
}

// watch registers w as an object without a name.
func (c *Conn) watch(ctx context.Context, w *watcher) (id uint32, err error) {
	w.max = c.opt.MaxQueued
	return c.addTarget(ctx, nil, func(uint32) target { return w })
}

// register asks for the events that match pattern to be sent to an object.
func (c *Conn) register(ctx context.Context, id uint32, pattern string) error {
	_, err := c.invoke(ctx, EventObject, "register", Table{{"object", int32(id)}, {"pattern", pattern}})
	return err
}

// subscribe asks for an object's notifications to be sent to ours.
func (c *Conn) subscribe(ctx context.Context, id, target uint32) error {
	return c.request(ctx, &pending{}, MsgSubscribe, func(m *Builder) {
		m.Uint32(AttrObjID, id).Uint32(AttrTarget, target)
	})
}

// Listen calls fn, in order, with every event whose name equals pattern, or
// starts with it if it ends with *. Events sent over this same connection do
// not come back.
func (c *Conn) Listen(ctx context.Context, pattern string, fn func(event string, data Table)) error {
	_, err := c.listen(ctx, pattern, &watcher{
		onEvent: func(_ context.Context, event string, data Table) { fn(event, data) },
	})
	return err
}

func (c *Conn) listen(ctx context.Context, pattern string, w *watcher) (id uint32, err error) {
	if id, err = c.watch(ctx, w); err == nil {
		err = c.register(ctx, id, pattern)
	}
	if err != nil {
		return 0, fmt.Errorf("listen for events %q: %w", pattern, err)
	}
	return id, nil
}

// Subscribe calls fn, in order, with every notification of the object at path,
// until that goes away; then it calls gone. An object that is not there is
// StatusNotFound.
func (c *Conn) Subscribe(ctx context.Context, path string, fn func(typ string, data Table), gone func()) error {
	id, err := c.watch(ctx, &watcher{onNotify: fn, onGone: func(uint32) {
		if gone != nil {
			gone()
		}
	}})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", path, err)
	}
	info, err := c.Lookup(ctx, path)
	if err == nil {
		err = c.subscribe(ctx, id, info.ID)
	}
	if err != nil {
		// On a dead connection there is nothing to remove.
		return fmt.Errorf("subscribe to %s: %w", path, errors.Join(err, c.removeTarget(ctx, id)))
	}
	return nil
}
