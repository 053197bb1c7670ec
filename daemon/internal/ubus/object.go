package ubus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Arg is one argument in a method's signature. The signature is documentation:
// nobody checks calls against it.
type Arg struct {
	Name string
	Type Type
}

// Method is one method of an object.
type Method struct {
	Name string
	Args []Arg
	// Handler answers a call with req.Reply, ReplyRaw, Done or Fail, now or,
	// after req.Defer, later from any goroutine. A handler that returns
	// without either has its call answered with StatusNoData. ctx ends with
	// the connection and when the service stops; a handler must not outlive
	// it by much. Handlers run in parallel.
	Handler func(ctx context.Context, req *Request)
}

// Object is something with methods that others call and subscribe to. Its
// fields must not change once it was added.
type Object struct {
	Path    string // empty: found by nobody, only for subscriptions
	Methods []Method

	bound atomic.Pointer[binding]
}

// binding is an object as one connection knows it.
type binding struct {
	conn   *Conn
	object *Object
	id     uint32
	active atomic.Bool // somebody is subscribed
}

// sessionArg is what uhttpd adds to every call that comes through it.
const sessionArg = "ubus_rpc_session"

func (o *Object) check() error {
	seen := map[string]bool{}
	for i, m := range o.Methods {
		switch {
		case m.Name == "":
			return fmt.Errorf("object %s: method %d has no name", o.Path, i)
		case m.Handler == nil:
			return fmt.Errorf("object %s: method %s has no handler", o.Path, m.Name)
		case seen[m.Name]:
			return fmt.Errorf("object %s: method %s stands twice", o.Path, m.Name)
		}
		seen[m.Name] = true
	}
	return nil
}

func (o *Object) signature() Table {
	sig := make(Table, 0, len(o.Methods))
	for _, m := range o.Methods {
		args := make(Table, 0, len(m.Args))
		for _, a := range m.Args {
			args = append(args, Field{a.Name, int32(a.Type)})
		}
		sig = append(sig, Field{m.Name, args})
	}
	return sig
}

func (o *Object) method(name string) *Method {
	for i := range o.Methods {
		if o.Methods[i].Name == name {
			return &o.Methods[i]
		}
	}
	return nil
}

// HasSubscribers tells whether anybody would see a notification.
func (o *Object) HasSubscribers() bool {
	b := o.bound.Load()
	return b != nil && b.active.Load()
}

// Notify sends a notification to all subscribers and waits for none of them.
// With no subscriber it costs nothing: v is not even encoded.
func (o *Object) Notify(ctx context.Context, typ string, v any) error {
	b := o.bound.Load()
	if b == nil || !b.active.Load() {
		return nil
	}
	b.conn.mu.Lock()
	seq := b.conn.unused() // free again at once: with NO_REPLY nobody answers
	b.conn.mu.Unlock()
	frame, err := Begin(nil, MsgNotify, seq, b.id).
		Uint32(AttrObjID, b.id).Text(AttrMethod, typ).Content(AttrData, v).Bool(AttrNoReply, true).End()
	if err == nil {
		b.conn.unacked.Store(true)
		err = b.conn.out.put(ctx, frame)
	}
	if err != nil {
		return fmt.Errorf("notify %s of %s: %w", o.Path, typ, ended(err))
	}
	return nil
}

// Ask sends a notification and waits until every subscriber has answered. It
// returns their statuses by object id.
func (o *Object) Ask(ctx context.Context, typ string, v any) (map[uint32]Status, error) {
	b := o.bound.Load()
	if b == nil {
		return nil, fmt.Errorf("notify %s of %s: %w", o.Path, typ, ErrNotConnected)
	}
	p := &pending{peer: b.id, asked: &asked{statuses: map[uint32]Status{}}}
	err := b.conn.request(ctx, p, MsgNotify, func(m *Builder) {
		m.Uint32(AttrObjID, b.id).Text(AttrMethod, typ).Content(AttrData, v)
	})
	if err != nil {
		return nil, fmt.Errorf("notify %s of %s: %w", o.Path, typ, err)
	}
	return p.asked.statuses, nil
}

// asked collects the answers of subscribers. ubusd first names them, then each
// sends its own status.
type asked struct {
	status   Status // ubusd's
	named    bool
	n        int
	statuses map[uint32]Status
}

// answered takes one status and tells whether it was the last; Conn.mu is held.
func (k *asked) answered(m Message, a *Attrs) bool {
	switch {
	case a.Has(AttrSubscribers):
		k.named = true
		EachUint32(a.Subscribers, func(uint32) { k.n++ })
	case !a.Has(AttrObjID): // refused by ubusd
		k.status = a.Status
		return true
	default:
		k.statuses[m.Peer] = a.Status
	}
	return k.named && len(k.statuses) >= k.n
}

// AddObject registers an object. ubusd refuses a path that exists, and one that
// our user may not publish, with StatusInvalidArgument.
func (c *Conn) AddObject(ctx context.Context, o *Object) error {
	if err := o.check(); err != nil {
		return err
	}
	if b := o.bound.Load(); b != nil && b.conn.Err() == nil {
		return fmt.Errorf("add object %s: it is registered already", o.Path)
	}
	id, err := c.addTarget(ctx, func(m *Builder) {
		if o.Path != "" {
			m.Text(AttrObjPath, o.Path)
		}
		m.Content(AttrSignature, o.signature())
	}, func(id uint32) target {
		b := &binding{conn: c, object: o, id: id}
		o.bound.Store(b)
		return b
	})
	if errors.Is(err, &StatusError{Status: StatusInvalidArgument}) {
		return fmt.Errorf("add object %s: the name exists, or we may not publish it: %w", o.Path, err)
	}
	if err == nil && id == 0 {
		err = fmt.Errorf("answer without an id: %w", ErrMalformed)
	}
	if err != nil {
		return fmt.Errorf("add object %s: %w", o.Path, err)
	}
	return nil
}

// addTarget registers an object with ubusd. The reader binds the id before it
// reads on, so that no call can overtake it.
func (c *Conn) addTarget(ctx context.Context, fill func(*Builder), bind func(id uint32) target) (id uint32, err error) {
	p := &pending{onData: func(a *Attrs) {
		if !a.Has(AttrObjID) {
			return
		}
		id := a.ObjID
		t := bind(id)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.targets[id] = t
	}}
	if err := c.request(ctx, p, MsgAddObject, fill); err != nil {
		return 0, err
	}
	for _, body := range p.bodies {
		if a := ParseAttrs(body); a.Has(AttrObjID) {
			id = a.ObjID
		}
	}
	return id, nil
}

// RemoveObject takes an object off the bus. Calls to it that are pending can
// not be answered any more.
func (c *Conn) RemoveObject(ctx context.Context, o *Object) error {
	b := o.bound.Load()
	if b == nil || b.conn != c {
		return fmt.Errorf("remove object %s: it is not registered here", o.Path)
	}
	if err := c.removeTarget(ctx, b.id); err != nil {
		return fmt.Errorf("remove object %s: %w", o.Path, err)
	}
	o.bound.CompareAndSwap(b, nil)
	return nil
}

func (c *Conn) removeTarget(ctx context.Context, id uint32) error {
	err := c.request(ctx, &pending{}, MsgRemoveObject, func(m *Builder) { m.Uint32(AttrObjID, id) })
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.targets, id)
	return err
}

func (b *binding) notify(a *Attrs) {
	if a.Has(AttrActive) {
		b.active.Store(a.Active)
	}
}

func (b *binding) unsubscribed(*Conn, *Attrs) {}

// invoke starts a call's handler, in the order in which libubus finds faults.
func (b *binding) invoke(ctx context.Context, c *Conn, m Message, a *Attrs) {
	if !a.Has(AttrMethod) {
		c.respond(m, a, StatusInvalidArgument)
		return
	}
	method := b.object.method(a.Method)
	if method == nil {
		c.respond(m, a, StatusMethodNotFound)
		return
	}
	if !a.Has(AttrData) {
		c.respond(m, a, StatusInvalidArgument)
		return
	}
	req := &Request{
		Method: a.Method, User: a.User, Group: a.Group, Object: b.object,
		conn: c, key: callKey{m.Peer, m.Seq}, id: b.id, noReply: a.NoReply,
	}
	data := a.Data
	if s := c.in.submit(req, func() { req.run(ctx, method, data) }); s != StatusOK {
		c.respond(m, a, s)
	}
}
