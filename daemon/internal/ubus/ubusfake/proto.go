package ubusfake

import (
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// handle answers one message. Broker.mu is held.
func (b *Broker) handle(p *peer, m ubus.Message) {
	a := ubus.ParseAttrs(m.Body)
	var s ubus.Status
	switch m.Type {
	case ubus.MsgPing:
		echo := m
		echo.Type = ubus.MsgData
		b.send(p, echo.AppendTo(nil))
	case ubus.MsgLookup:
		if len(p.out) > 0 {
			p.lookups = append(p.lookups, &lookup{m: m, a: a})
			return
		}
		l := &lookup{m: m, a: a}
		if s = b.lookup(p, l); l.waits {
			p.lookups = append(p.lookups, l)
			return
		}
	case ubus.MsgInvoke:
		if s = b.invoke(p, m, &a); s == forwarded {
			return
		}
	case ubus.MsgStatus, ubus.MsgData:
		b.respond(p, m, &a)
		return
	case ubus.MsgAddObject:
		s = b.add(p, m, &a)
	case ubus.MsgRemoveObject:
		s = b.remove(p, m, &a)
	case ubus.MsgSubscribe:
		s = b.subscribe(p, &a)
	case ubus.MsgUnsubscribe:
		s = b.unsubscribe(p, &a)
	case ubus.MsgNotify:
		if s = b.notify(p, m, &a); s == forwarded {
			return
		}
	default:
		s = ubus.StatusInvalidCommand
	}
	b.status(p, m, s)
}

// forwarded is no status: somebody else answers, or nobody.
const forwarded = ^ubus.Status(0)

func (b *Broker) status(p *peer, m ubus.Message, s ubus.Status) {
	b.send(p, ubus.Begin(nil, ubus.MsgStatus, m.Seq, m.Peer).Uint32(ubus.AttrStatus, uint32(s)).Frame())
}

// lookup is a LOOKUP that may have to wait until what was sent before is read.
type lookup struct {
	m     ubus.Message
	a     ubus.Attrs
	next  string // path to go on with
	waits bool
}

// resumeLookups goes on with what waited for an empty queue.
func (b *Broker) resumeLookups(p *peer) {
	for len(p.lookups) > 0 && len(p.out) == 0 {
		l := p.lookups[0]
		l.waits = false
		s := b.lookup(p, l)
		if l.waits {
			return
		}
		p.lookups = p.lookups[1:]
		b.status(p, l.m, s)
	}
}

func (b *Broker) sortedPaths() []string {
	paths := make([]string, 0, len(b.paths))
	for path := range b.paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func (b *Broker) lookup(p *peer, l *lookup) ubus.Status {
	if !l.a.Has(ubus.AttrObjPath) {
		for _, path := range b.sortedPaths() {
			if path < l.next {
				continue
			}
			if len(p.out) > 0 {
				l.next, l.waits = path, true
				return ubus.StatusOK
			}
			b.sendObject(p, l.m, b.paths[path])
		}
		return ubus.StatusOK
	}
	want := l.a.ObjPath
	if want == "" {
		return ubus.StatusInvalidArgument
	}
	prefix, wild := strings.CutSuffix(want, "*")
	found := false
	for _, path := range b.sortedPaths() {
		if path == want && !wild || wild && strings.HasPrefix(path, prefix) {
			found = true
			b.sendObject(p, l.m, b.paths[path])
		}
	}
	if !found {
		return ubus.StatusNotFound
	}
	return ubus.StatusOK
}

// sendObject shows an object to a peer: never one without a signature, and of
// the others only methods that the peer may call.
func (b *Broker) sendObject(p *peer, m ubus.Message, o *object) {
	if o.typ == nil || !p.trusted && len(o.typ.methods) > 0 {
		return
	}
	b.send(p, ubus.Begin(nil, ubus.MsgData, m.Seq, m.Peer).
		Text(ubus.AttrObjPath, o.path).Uint32(ubus.AttrObjID, o.id).Uint32(ubus.AttrObjType, o.typ.id).
		Content(ubus.AttrSignature, o.typ.methods).Frame())
}

func (b *Broker) invoke(p *peer, m ubus.Message, a *ubus.Attrs) ubus.Status {
	if !a.Has(ubus.AttrMethod) || !a.Has(ubus.AttrObjID) {
		return ubus.StatusInvalidArgument
	}
	switch a.ObjID {
	case ubus.EventObject:
		return b.invokeEvent(p, a)
	case ubus.ACLObject:
		return b.invokeACL(p, m, a)
	case ubus.MonitorObject:
		return b.invokeMonitor(p, a)
	}
	o := b.objects[a.ObjID]
	if o == nil {
		return ubus.StatusNotFound
	}
	if o.hasPath && !p.trusted {
		return ubus.StatusPermissionDenied
	}
	b.forward(ubus.Begin(nil, ubus.MsgInvoke, m.Seq, p.id), p, o, a)
	return forwarded
}

// forward hands a call or notification to the owner of an object, with the
// sender's names.
func (b *Broker) forward(f *ubus.Builder, from *peer, o *object, a *ubus.Attrs) {
	f.Uint32(ubus.AttrObjID, o.id).Text(ubus.AttrMethod, a.Method).
		Text(ubus.AttrUser, from.user).Text(ubus.AttrGroup, from.group)
	if a.Has(ubus.AttrData) {
		f.Nested(ubus.AttrData, a.Data)
	}
	b.send(o.owner, f.Frame())
}

// respond takes an answer to the client that its header names, if it comes from
// the object that it claims. What is wrong is dropped.
func (b *Broker) respond(p *peer, m ubus.Message, a *ubus.Attrs) {
	if !a.Has(ubus.AttrObjID) ||
		m.Type == ubus.MsgStatus && !a.Has(ubus.AttrStatus) ||
		m.Type == ubus.MsgData && !a.Has(ubus.AttrData) {
		return
	}
	o, to := b.objects[a.ObjID], b.peers[m.Peer]
	if o == nil || o.owner != p || to == nil {
		return
	}
	m.Peer = a.ObjID
	b.send(to, m.AppendTo(nil))
}

func (b *Broker) notify(p *peer, m ubus.Message, a *ubus.Attrs) ubus.Status {
	if !a.Has(ubus.AttrMethod) || !a.Has(ubus.AttrObjID) {
		return ubus.StatusInvalidArgument
	}
	o := b.find(a.ObjID)
	if o == nil {
		return ubus.StatusNotFound
	}
	if o.owner != p {
		return ubus.StatusPermissionDenied
	}
	if !a.NoReply {
		var ids []byte
		for _, s := range o.subscribers {
			ids = append(ids, 0, 0, 0, 8, byte(s.id>>24), byte(s.id>>16), byte(s.id>>8), byte(s.id))
		}
		b.send(p, ubus.Begin(nil, ubus.MsgStatus, m.Seq, m.Peer).Uint32(ubus.AttrObjID, o.id).
			Nested(ubus.AttrSubscribers, ids).Uint32(ubus.AttrStatus, 0).Frame())
	}
	for _, s := range o.subscribers {
		f := ubus.Begin(nil, ubus.MsgInvoke, m.Seq, p.id)
		if a.NoReply {
			f.Bool(ubus.AttrNoReply, true)
		}
		b.forward(f, p, s, a)
	}
	return forwarded
}

// invokeACL answers `query`: the access lists for the caller's objects. There
// are none, and none were ever loaded (seq).
func (b *Broker) invokeACL(p *peer, m ubus.Message, a *ubus.Attrs) ubus.Status {
	if a.Method != "query" {
		return ubus.StatusInvalidCommand
	}
	b.send(p, ubus.Begin(nil, ubus.MsgData, m.Seq, m.Peer).Uint32(ubus.AttrObjID, ubus.ACLObject).
		Content(ubus.AttrData, ubus.Table{{Name: "seq", Value: int32(0)}, {Name: "acl", Value: []any{}}}).Frame())
	return ubus.StatusOK
}
