package ubus

import (
	"context"
	"errors"
	"fmt"
	"sort"
)

// pending is an own request that waits for its status. The reader fills it in
// until it closes done; then it belongs to who asked.
type pending struct {
	peer      uint32
	onData    func(*Attrs) // runs in the reader, before anything that follows
	asked     *asked       // a notification whose subscribers answer
	abandoned bool         // nobody waits any more; guarded by Conn.mu

	bodies [][]byte
	size   int
	status Status
	broker bool // the status is ubusd's own: it names no object
	err    error
	done   chan struct{}
	ended  bool // set by who asked: done was closed by a status
}

// answer takes a STATUS or DATA message to its request. Late ones have none.
func (c *Conn) answer(m Message) {
	a := ParseAttrs(m.Body)
	c.mu.Lock()
	p := c.pending[m.Seq]
	if p == nil || p.asked == nil && p.peer != m.Peer {
		c.mu.Unlock()
		c.dropped.Add(1)
		return
	}
	last := m.Type == MsgStatus && (p.asked == nil || p.asked.answered(m, &a))
	if last {
		delete(c.pending, m.Seq)
	}
	quiet := p.abandoned
	c.mu.Unlock()
	switch {
	case quiet:
		c.dropped.Add(1)
		if p.onData != nil && m.Type == MsgData {
			p.onData(&a) // an object that was added all the same
		}
	case m.Type == MsgData:
		if p.onData != nil {
			p.onData(&a)
		}
		if p.size += len(m.Body); p.size <= maxAnswer {
			p.bodies = append(p.bodies, m.Body)
		}
	case last:
		p.status, p.broker = a.Status, !a.Has(AttrObjID)
		switch {
		case p.asked != nil:
			p.status = p.asked.status
		case !a.Has(AttrStatus):
			p.status = StatusUnknownError
		}
		close(p.done)
	}
}

// reserve gives a request a sequence number that no other one uses.
func (c *Conn) reserve(p *pending) (uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if len(c.pending) >= maxCalls {
		return 0, &StatusError{Status: StatusNoMemory, Message: "too many calls pending"}
	}
	seq := c.unused()
	p.done = make(chan struct{})
	c.pending[seq] = p
	return seq, nil
}

// unused returns the next sequence number that no request has; mu is held.
func (c *Conn) unused() uint16 {
	for {
		c.next++ // wraps to 0, a number like any other
		if _, used := c.pending[c.next]; !used {
			return c.next
		}
	}
}

// abandon keeps the sequence number back until its late answer has come, so
// that no later call can get it; the oldest are given free.
func (c *Conn) abandon(seq uint16, p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[seq] != p {
		return
	}
	p.abandoned = true
	c.abandoned = append(c.abandoned, seq)
	for len(c.abandoned) > maxAbandoned {
		oldest := c.abandoned[0]
		c.abandoned = c.abandoned[1:]
		if old := c.pending[oldest]; old != nil && old.abandoned {
			delete(c.pending, oldest)
		}
	}
}

func (c *Conn) release(seq uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, seq)
}

// request sends one message and waits for its status.
func (c *Conn) request(ctx context.Context, p *pending, t MsgType, fill func(*Builder)) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opt.CallTimeout)
		defer cancel()
	}
	seq, err := c.reserve(p)
	if err != nil {
		return err
	}
	m := Begin(nil, t, seq, p.peer)
	if fill != nil {
		fill(m)
	}
	frame, err := m.End()
	if err == nil {
		err = c.out.put(ctx, frame)
	}
	if err != nil {
		c.release(seq)
		return ended(err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		c.abandon(seq, p)
		return ended(ctx.Err())
	}
	if p.err != nil {
		return p.err
	}
	p.ended = true
	switch {
	case p.size > maxAnswer:
		return fmt.Errorf("answer of %d bytes, at most %d: %w", p.size, maxAnswer, ErrTooLarge)
	case p.status != StatusOK:
		return &StatusError{Status: p.status, broker: p.broker}
	}
	return nil
}

// ended turns a deadline into the status that libubus gives it.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &StatusError{Status: StatusTimeout}
	}
	return err
}

// Ping asks ubusd for a sign of life. It answers after everything that was
// written before.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.request(ctx, &pending{}, MsgPing, nil); err != nil {
		return fmt.Errorf("ping ubusd: %w", err)
	}
	return nil
}

// MethodInfo is a method as its object announces it.
type MethodInfo struct {
	Name string
	Args []Arg
}

// ObjectInfo is an object as ubusd lists it.
type ObjectInfo struct {
	Path    string
	ID      uint32
	Type    uint32 // id of the signature, shared by objects of one kind
	Methods []MethodInfo
}

// List returns the objects whose path equals pattern, or starts with it if it
// ends with *, in order; the empty pattern means all.
func (c *Conn) List(ctx context.Context, pattern string) ([]ObjectInfo, error) {
	p := &pending{}
	err := c.request(ctx, p, MsgLookup, func(m *Builder) {
		if pattern != "" {
			m.Text(AttrObjPath, pattern)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look up %q: %w", pattern, err)
	}
	list := make([]ObjectInfo, 0, len(p.bodies))
	for _, body := range p.bodies {
		a := ParseAttrs(body)
		if !a.Has(AttrObjID) || !a.Has(AttrObjPath) {
			continue
		}
		list = append(list, ObjectInfo{Path: a.ObjPath, ID: a.ObjID, Type: a.ObjType, Methods: parseSignature(a.Signature)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

// Lookup returns one object by its path.
func (c *Conn) Lookup(ctx context.Context, path string) (ObjectInfo, error) {
	list, err := c.List(ctx, path)
	if err != nil {
		return ObjectInfo{}, err
	}
	if path == "" || len(list) != 1 { // ubusd lists no object without a signature
		return ObjectInfo{}, fmt.Errorf("look up %q: %w", path, &StatusError{Status: StatusNotFound})
	}
	return list[0], nil
}

// parseSignature keeps what it understands: a signature is only documentation.
func parseSignature(b []byte) []MethodInfo {
	t, err := ParseTable(b)
	if err != nil {
		return nil
	}
	methods := make([]MethodInfo, 0, len(t))
	for _, f := range t {
		m := MethodInfo{Name: f.Name}
		args, _ := f.Value.(Table)
		for _, arg := range args {
			n, _ := toInt(arg.Value)
			m.Args = append(m.Args, Arg{arg.Name, Type(n)})
		}
		methods = append(methods, m)
	}
	return methods
}

// objectID looks a path up once per connection.
func (c *Conn) objectID(ctx context.Context, path string) (id uint32, cached bool, err error) {
	c.mu.Lock()
	id, cached = c.ids[path]
	c.mu.Unlock()
	if cached {
		return id, true, nil
	}
	info, err := c.Lookup(ctx, path)
	if err != nil {
		return 0, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[path] = info.ID
	return info.ID, false, nil
}

func (c *Conn) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ids, path)
}

// Call invokes a method of the object at a path. args is what Marshal takes;
// the answer is the fields of all DATA messages, one after the other. A status
// other than ok is a *StatusError. Without a deadline in ctx the connection's
// CallTimeout holds: a callee that dies leaves its callers without an answer.
func (c *Conn) Call(ctx context.Context, object, method string, args any) (Table, error) {
	t, err := c.call(ctx, object, method, args)
	if err != nil {
		return t, fmt.Errorf("call %s %s: %w", object, method, err)
	}
	return t, nil
}

func (c *Conn) call(ctx context.Context, object, method string, args any) (Table, error) {
	id, cached, err := c.objectID(ctx, object)
	if err != nil {
		return nil, err
	}
	t, err := c.invoke(ctx, id, method, args)
	var s *StatusError
	if cached && errors.As(err, &s) && s.Status == StatusNotFound && s.broker {
		// The object was registered anew under another id; ubusd has
		// delivered nothing, so asking again is safe.
		c.forget(object)
		if id, _, err = c.objectID(ctx, object); err != nil {
			return nil, err
		}
		return c.invoke(ctx, id, method, args)
	}
	return t, err
}

func (c *Conn) invoke(ctx context.Context, id uint32, method string, args any) (Table, error) {
	p := &pending{peer: id}
	err := c.request(ctx, p, MsgInvoke, func(m *Builder) {
		m.Uint32(AttrObjID, id).Text(AttrMethod, method).Content(AttrData, args)
	})
	if !p.ended {
		return nil, err
	}
	t, perr := p.table()
	var s *StatusError
	if !errors.As(err, &s) {
		return t, errors.Join(err, perr)
	}
	s.Data = t
	s.Message, _ = t.Text("message", "")
	return t, s
}

// table joins the DATA attributes of an answer.
func (p *pending) table() (Table, error) {
	var all Table
	for _, body := range p.bodies {
		a := ParseAttrs(body)
		t, err := ParseTable(a.Data)
		if err != nil {
			return all, fmt.Errorf("answer: %w", err)
		}
		if all == nil {
			all = t
			continue
		}
		all = append(all, t...)
	}
	return all, nil
}

// Send sends an event to whoever listens. data is what Marshal takes.
func (c *Conn) Send(ctx context.Context, event string, data any) error {
	if data == nil {
		data = Table{}
	}
	if _, err := c.invoke(ctx, EventObject, "send", Table{{"id", event}, {"data", data}}); err != nil {
		return fmt.Errorf("send event %s: %w", event, err)
	}
	return nil
}
