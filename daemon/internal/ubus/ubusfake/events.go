package ubusfake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// pattern is what an object wants to hear.
type pattern struct {
	text   string
	prefix bool
	object *object
}

func (pt *pattern) matches(event string) bool {
	return event == pt.text || pt.prefix && strings.HasPrefix(event, pt.text)
}

func (b *Broker) invokeEvent(p *peer, a *ubus.Attrs) ubus.Status {
	var run func(*peer, ubus.Table) ubus.Status
	switch a.Method {
	case "register":
		run = b.register
	case "send":
		run = b.sendFrom
	default:
		return ubus.StatusInvalidCommand
	}
	t, err := ubus.ParseTable(a.Data)
	if !a.Has(ubus.AttrData) || err != nil {
		return ubus.StatusInvalidArgument
	}
	return run(p, t)
}

// value returns the first field of this name and type, as a policy does.
func value[T any](t ubus.Table, name string) (v T, ok bool) {
	for _, f := range t {
		if v, is := f.Value.(T); is && f.Name == name {
			return v, true
		}
	}
	return v, false
}

func (b *Broker) register(p *peer, t ubus.Table) ubus.Status {
	n, hasObject := value[int32](t, "object")
	text, hasPattern := value[string](t, "pattern")
	id := uint32(n)
	switch {
	case !hasObject || !hasPattern:
		return ubus.StatusInvalidArgument
	case id < ubus.FirstObject:
		return ubus.StatusPermissionDenied
	}
	o := b.objects[id]
	switch {
	case o == nil:
		return ubus.StatusNotFound
	case o.owner != p, text == "", !p.trusted:
		return ubus.StatusPermissionDenied
	}
	pt := &pattern{object: o}
	pt.text, pt.prefix = strings.CutSuffix(text, "*")
	b.patterns = append(b.patterns, pt)
	slices.SortStableFunc(b.patterns, func(x, y *pattern) int { return strings.Compare(x.text, y.text) })
	return ubus.StatusOK
}

func (b *Broker) sendFrom(p *peer, t ubus.Table) ubus.Status {
	id, hasID := value[string](t, "id")
	data, hasData := value[ubus.Table](t, "data")
	switch {
	case !hasID || !hasData:
		return ubus.StatusInvalidArgument
	case strings.HasPrefix(id, "ubus."), !p.trusted:
		return ubus.StatusPermissionDenied
	}
	b.sendEvent(p, id, data)
	return ubus.StatusOK
}

// sendEvent delivers an event, to each object once and never back to who sent it.
func (b *Broker) sendEvent(from *peer, event string, data ubus.Table) {
	seen := map[*object]bool{}
	for _, pt := range b.patterns {
		o := pt.object
		if !pt.matches(event) || o.owner == from || seen[o] {
			continue
		}
		seen[o] = true
		b.eventSeq++
		b.send(o.owner, ubus.Begin(nil, ubus.MsgInvoke, b.eventSeq, 0).
			Uint32(ubus.AttrObjID, o.id).Text(ubus.AttrMethod, event).Content(ubus.AttrData, data).Frame())
	}
}

func (b *Broker) sendObjectEvent(o *object, event string) {
	b.sendEvent(nil, event, ubus.Table{{Name: "id", Value: int32(o.id)}, {Name: "path", Value: o.path}})
}

// String lists the objects with their methods and subscribers, and the event
// patterns.
func (b *Broker) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, path := range b.sortedPaths() {
		o := b.paths[path]
		fmt.Fprintf(&s, "'%s' @%08x client %08x user %s subscribers %d\n",
			path, o.id, o.owner.id, o.owner.user, len(o.subscribers))
		if o.typ == nil {
			continue
		}
		for _, m := range o.typ.methods {
			args, _ := m.Value.(ubus.Table)
			words := make([]string, 0, len(args))
			for _, arg := range args {
				n, _ := arg.Value.(int32)
				words = append(words, arg.Name+" "+ubus.Type(n).String())
			}
			fmt.Fprintf(&s, "\t%s(%s)\n", m.Name, strings.Join(words, ", "))
		}
	}
	for _, pt := range b.patterns {
		star := ""
		if pt.prefix {
			star = "*"
		}
		fmt.Fprintf(&s, "event '%s%s' client %08x\n", pt.text, star, pt.object.owner.id)
	}
	return s.String()
}
