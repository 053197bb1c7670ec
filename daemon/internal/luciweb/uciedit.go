package luciweb

import (
	"context"
	"strconv"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// edit is one call that changes things: they are put on the pack, and become part
// of the session's delta when nothing was wrong.
type edit struct {
	*pack
	made []change
}

func (e *edit) do(c change) {
	if e.apply(c) == nil {
		e.made = append(e.made, c)
	}
}

// keep adds an edit to the session's delta.
func (u *uciStore) keep(q *query, e *edit) {
	delta, name := u.delta(q.sid), q.text("config")
	delta[name] = append(delta[name], e.made...)
}

// change runs one call that changes a file.
func (u *uciStore) change(q *query, fn func(e *edit) (any, ubus.Status)) (any, ubus.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, status := u.open(q, "write")
	if status != ubus.StatusOK {
		return nil, status
	}
	e := &edit{pack: p}
	reply, status := fn(e)
	if status == ubus.StatusOK {
		u.keep(q, e)
	}
	return reply, status
}

func (u *uciStore) add(_ context.Context, q *query) (any, ubus.Status) {
	typ, name := q.text("type"), q.text("name")
	if typ == "" || !validName(typ, true) || (q.args.Has("name") && !validName(name, false)) {
		return nil, ubus.StatusInvalidArgument
	}
	return u.change(q, func(e *edit) (any, ubus.Status) {
		if name != "" {
			e.do(change{cmd: "set", section: name, value: typ})
		} else {
			name = e.fresh(typ)
			e.do(change{cmd: "add", section: name, value: typ})
		}
		values, err := q.args.Table("values")
		if err != nil {
			return nil, ubus.StatusInvalidArgument
		}
		for _, f := range values {
			if status := e.merge(name, f); status != ubus.StatusOK {
				return nil, status
			}
		}
		return map[string]string{"section": name}, ubus.StatusOK
	})
}

func (u *uciStore) set(_ context.Context, q *query) (any, ubus.Status) {
	values, err := q.args.Table("values")
	if err != nil || values == nil || (!q.args.Has("section") && !q.args.Has("type") && !q.args.Has("match")) {
		return nil, ubus.StatusInvalidArgument
	}
	return u.change(q, func(e *edit) (any, ubus.Status) {
		sections := e.chosen(q)
		if len(sections) == 0 {
			return nil, ubus.StatusNotFound
		}
		for _, s := range sections {
			for _, f := range values {
				if status := e.merge(s, f); status != ubus.StatusOK {
					return nil, status
				}
			}
		}
		return nil, ubus.StatusOK
	})
}

// chosen names the sections that a call means.
func (e *edit) chosen(q *query) []string {
	if q.args.Has("section") {
		if s := e.find(q.text("section")); s != nil {
			return []string{s.Name}
		}
		return nil
	}
	var out []string
	for i := range e.sections {
		if matches(&e.sections[i], q) {
			out = append(out, e.sections[i].Name)
		}
	}
	return out
}

// merge is rpc_uci_merge_set: an array replaces the option by a list, a value
// replaces a list, and an equal value changes nothing.
func (e *edit) merge(section string, f ubus.Field) ubus.Status {
	if !validName(f.Name, false) {
		return ubus.StatusInvalidArgument
	}
	s := e.find(section)
	if s == nil {
		return ubus.StatusNotFound
	}
	old := option(s, f.Name)
	remove := change{cmd: "remove", section: section, option: f.Name}
	if items, ok := f.Value.([]any); ok {
		if old != nil {
			e.do(remove)
		}
		status := ubus.StatusInvalidArgument // also for no item at all
		for _, item := range items {
			if text, ok := format(item); ok {
				e.do(change{cmd: "list-add", section: section, option: f.Name, value: text})
				status = ubus.StatusOK
			}
		}
		return status
	}
	text, ok := format(f.Value)
	if !ok {
		return ubus.StatusInvalidArgument
	}
	if old != nil && (old.List || text == "") {
		e.do(remove)
		old = nil
	}
	if text == "" {
		return ubus.StatusOK // nothing is the same as no option
	}
	if old == nil || old.Values[0] != text {
		e.do(change{cmd: "set", section: section, option: f.Name, value: text})
	}
	return ubus.StatusOK
}

func (u *uciStore) delete(_ context.Context, q *query) (any, ubus.Status) {
	if !q.args.Has("section") && !q.args.Has("type") && !q.args.Has("match") {
		return nil, ubus.StatusInvalidArgument
	}
	return u.change(q, func(e *edit) (any, ubus.Status) {
		sections := e.chosen(q)
		if len(sections) == 0 {
			return nil, ubus.StatusNotFound
		}
		for _, s := range sections {
			if status := e.remove(q, e.find(s)); status != ubus.StatusOK {
				return nil, status
			}
		}
		return nil, ubus.StatusOK
	})
}

// remove takes away a section, or the options that a call names.
func (e *edit) remove(q *query, s *config.UCISection) ubus.Status {
	var names []string
	list, err := q.args.List("options")
	switch {
	case err != nil:
		return ubus.StatusInvalidArgument
	case list != nil:
		for _, v := range list {
			if name, ok := v.(string); ok {
				names = append(names, name)
			}
		}
	case q.args.Has("option"):
		names = []string{q.text("option")}
	default:
		e.do(change{cmd: "remove", section: s.Name})
		return ubus.StatusOK
	}
	status := ubus.StatusNotFound
	for _, name := range names {
		if option(s, name) != nil {
			e.do(change{cmd: "remove", section: s.Name, option: name})
			status = ubus.StatusOK
		}
	}
	return status
}

func (u *uciStore) rename(_ context.Context, q *query) (any, ubus.Status) {
	name := q.text("name")
	if !q.args.Has("section") || !validName(name, false) {
		return nil, ubus.StatusInvalidArgument
	}
	return u.change(q, func(e *edit) (any, ubus.Status) {
		s := e.find(q.text("section"))
		if s == nil || (q.args.Has("option") && option(s, q.text("option")) == nil) {
			return nil, ubus.StatusNotFound
		}
		e.do(change{cmd: "rename", section: s.Name, option: q.text("option"), value: name})
		return nil, ubus.StatusOK
	})
}

func (u *uciStore) order(_ context.Context, q *query) (any, ubus.Status) {
	sections, err := q.args.List("sections")
	if err != nil || sections == nil {
		return nil, ubus.StatusInvalidArgument
	}
	return u.change(q, func(e *edit) (any, ubus.Status) {
		for i, v := range sections {
			name, ok := v.(string)
			if !ok {
				return nil, ubus.StatusInvalidArgument
			}
			s := e.find(name)
			if s == nil {
				return nil, ubus.StatusNotFound
			}
			e.do(change{cmd: "order", section: s.Name, value: strconv.Itoa(i)})
		}
		return nil, ubus.StatusOK
	})
}
