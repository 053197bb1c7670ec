package ubusfake

import (
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// object is something that a peer has registered.
type object struct {
	id          uint32
	owner       *peer
	path        string
	hasPath     bool
	typ         *objectType // nil: never listed
	subscribers []*object   // newest first
	targets     []*object   // what it is subscribed to, newest first
	seq         uint16      // of messages that the broker sends for it
}

// objectType is a signature, shared by the objects that name it.
type objectType struct {
	id      uint32
	users   int
	methods ubus.Table
}

// add registers an object. A path that exists, or that the peer may not
// publish, is an invalid argument; a signature that is no blobmsg makes an
// object without one.
func (b *Broker) add(p *peer, m ubus.Message, a *ubus.Attrs) ubus.Status {
	if a.Has(ubus.AttrObjPath) && (!p.trusted || b.paths[a.ObjPath] != nil) {
		return ubus.StatusInvalidArgument
	}
	o := &object{id: freeID(b.objects), owner: p, path: a.ObjPath, hasPath: a.Has(ubus.AttrObjPath)}
	switch {
	case a.Has(ubus.AttrObjType):
		o.typ = b.types[a.ObjType]
	case a.Has(ubus.AttrSignature):
		o.typ = b.newType(a.Signature)
	}
	if o.typ != nil {
		o.typ.users++
	}
	b.objects[o.id] = o
	p.objects = slices.Insert(p.objects, 0, o)
	if o.hasPath {
		b.paths[o.path] = o
		b.sendObjectEvent(o, "ubus.object.add")
	}
	f := ubus.Begin(nil, ubus.MsgData, m.Seq, m.Peer).Uint32(ubus.AttrObjID, o.id)
	if a.Has(ubus.AttrSignature) && o.typ != nil {
		f.Uint32(ubus.AttrObjType, o.typ.id)
	}
	b.send(p, f.Frame())
	return ubus.StatusOK
}

func (b *Broker) newType(signature []byte) *objectType {
	methods, err := ubus.ParseTable(signature)
	if err != nil || slices.ContainsFunc(methods, func(f ubus.Field) bool { return f.Name == "" }) {
		return nil
	}
	t := &objectType{id: freeID(b.types), methods: methods}
	b.types[t.id] = t
	return t
}

func (b *Broker) remove(p *peer, m ubus.Message, a *ubus.Attrs) ubus.Status {
	if !a.Has(ubus.AttrObjID) {
		return ubus.StatusInvalidArgument
	}
	o := b.find(a.ObjID)
	switch {
	case o == nil:
		return ubus.StatusNotFound
	case o.owner != p:
		return ubus.StatusPermissionDenied
	}
	f := ubus.Begin(nil, ubus.MsgData, m.Seq, m.Peer).Uint32(ubus.AttrObjID, o.id)
	if o.typ != nil && o.typ.users == 1 {
		f.Uint32(ubus.AttrObjType, o.typ.id)
	}
	b.send(p, f.Frame())
	b.free(o)
	return ubus.StatusOK
}

// find returns an object; the broker's own have no owner.
func (b *Broker) find(id uint32) *object {
	if id >= ubus.EventObject && id <= ubus.MonitorObject {
		return &object{id: id}
	}
	return b.objects[id]
}

// free removes an object and tells whom it concerns, in the real broker's order.
func (b *Broker) free(o *object) {
	for _, target := range slices.Clone(o.targets) {
		b.endSubscription(o, target)
	}
	for _, s := range slices.Clone(o.subscribers) {
		s.seq++
		b.send(s.owner, ubus.Begin(nil, ubus.MsgUnsubscribe, s.seq, 0).
			Uint32(ubus.AttrObjID, s.id).Uint32(ubus.AttrTarget, o.id).Frame())
		b.endSubscription(s, o)
	}
	b.patterns = slices.DeleteFunc(b.patterns, func(pt *pattern) bool { return pt.object == o })
	if o.hasPath {
		b.sendObjectEvent(o, "ubus.object.remove")
		delete(b.paths, o.path)
	}
	o.owner.objects = slices.DeleteFunc(o.owner.objects, func(x *object) bool { return x == o })
	delete(b.objects, o.id)
	if o.typ != nil {
		if o.typ.users--; o.typ.users == 0 {
			delete(b.types, o.typ.id)
		}
	}
}

func (b *Broker) disconnect(p *peer) {
	b.monitors = slices.DeleteFunc(b.monitors, func(mon *monitor) bool { return mon.peer == p })
	for _, o := range slices.Clone(p.objects) {
		b.free(o)
	}
	delete(b.peers, p.id)
}

func (b *Broker) subscribe(p *peer, a *ubus.Attrs) ubus.Status {
	if !a.Has(ubus.AttrObjID) || !a.Has(ubus.AttrTarget) {
		return ubus.StatusInvalidArgument
	}
	o := b.find(a.ObjID)
	if o == nil {
		return ubus.StatusNotFound
	}
	if o.owner != p {
		return ubus.StatusInvalidArgument
	}
	target := b.find(a.Target)
	if target == nil || target.owner == nil {
		return ubus.StatusNotFound
	}
	if target.owner == p {
		return ubus.StatusInvalidArgument
	}
	if target.hasPath && !p.trusted || !target.hasPath && target.owner.user != p.user && target.owner.group != p.group {
		return ubus.StatusNotFound
	}
	first := len(target.subscribers) == 0
	target.subscribers = slices.Insert(target.subscribers, 0, o)
	o.targets = slices.Insert(o.targets, 0, target)
	if first {
		b.sendActive(target)
	}
	return ubus.StatusOK
}

func (b *Broker) unsubscribe(p *peer, a *ubus.Attrs) ubus.Status {
	if !a.Has(ubus.AttrObjID) || !a.Has(ubus.AttrTarget) {
		return ubus.StatusInvalidArgument
	}
	o := b.find(a.ObjID)
	if o == nil {
		return ubus.StatusNotFound
	}
	if o.owner != p {
		return ubus.StatusInvalidArgument
	}
	for _, target := range o.targets {
		if target.id == a.Target {
			b.endSubscription(o, target)
			return ubus.StatusOK
		}
	}
	return ubus.StatusNotFound
}

// endSubscription removes one of o's subscriptions to target.
func (b *Broker) endSubscription(o, target *object) {
	if i := slices.Index(o.targets, target); i >= 0 {
		o.targets = slices.Delete(o.targets, i, i+1)
	}
	if i := slices.Index(target.subscribers, o); i >= 0 {
		target.subscribers = slices.Delete(target.subscribers, i, i+1)
	}
	if len(target.subscribers) == 0 {
		b.sendActive(target)
	}
}

// sendActive tells an owner whether anybody is subscribed.
func (b *Broker) sendActive(o *object) {
	o.seq++
	b.send(o.owner, ubus.Begin(nil, ubus.MsgNotify, o.seq, 0).
		Uint32(ubus.AttrObjID, o.id).Bool(ubus.AttrActive, len(o.subscribers) > 0).Frame())
}
