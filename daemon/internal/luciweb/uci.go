package luciweb

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// uciStore is rpcd's object `uci` over a directory of files. What a session sets
// stays its own until it applies.
type uciStore struct {
	dir      string
	sessions *sessions
	changed  func(ctx context.Context, config string)
	// elsewhere answers for files that are not in dir; nil: there are none.
	elsewhere func(args ubus.Table) (ubus.Table, ubus.Status)

	mu      sync.Mutex          // guards every session's delta too
	shared  map[string][]change // set by callers without a session
	pending *pending            // an apply that waits for its confirmation
}

// pending is what comes back if nobody confirms.
type pending struct {
	sid    string
	files  map[string][]byte   // as they were
	deltas map[string][]change // what the session had set
	timer  *time.Timer
}

func newUCIStore(dir string, s *sessions, changed func(ctx context.Context, config string)) *uciStore {
	if changed == nil {
		changed = func(context.Context, string) {}
	}
	return &uciStore{dir: dir, sessions: s, changed: changed, shared: make(map[string][]change)}
}

// delta is what a session has set, by file. It ends with the session.
func (u *uciStore) delta(sid string) map[string][]change {
	if sid == "" {
		return u.shared
	}
	if ses := u.sessions.get(sid); ses != nil {
		return ses.delta
	}
	return map[string][]change{}
}

// close rolls nothing back: a router that is switched off keeps what it has.
func (u *uciStore) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending != nil {
		u.pending.timer.Stop()
	}
}

// object is `uci` on the bus.
func (u *uciStore) object() *ubus.Object {
	o := &ubus.Object{Path: "uci"}
	arg := func(pairs ...string) (out []ubus.Arg) {
		types := map[string]ubus.Type{"values": ubus.TableType, "match": ubus.TableType, "options": ubus.Array, "sections": ubus.Array, "timeout": ubus.Int32, "rollback": ubus.Bool}
		for _, name := range append(pairs, "ubus_rpc_session") {
			typ, ok := types[name]
			if !ok {
				typ = ubus.String
			}
			out = append(out, ubus.Arg{Name: name, Type: typ})
		}
		return out
	}
	for _, m := range []struct {
		name string
		args []ubus.Arg
		do   func(ctx context.Context, q *query) (any, ubus.Status)
	}{
		{"configs", nil, u.configs},
		{"get", arg("config", "section", "option", "type", "match"), u.get},
		{"add", arg("config", "type", "name", "values"), u.add},
		{"set", arg("config", "section", "type", "match", "values"), u.set},
		{"delete", arg("config", "section", "type", "match", "option", "options"), u.delete},
		{"rename", arg("config", "section", "option", "name"), u.rename},
		{"order", arg("config", "sections"), u.order},
		{"changes", arg("config"), u.changes},
		{"revert", arg("config"), u.revert},
		{"commit", arg("config"), u.commit},
		{"apply", arg("rollback", "timeout"), u.apply},
		{"confirm", arg(), u.confirm},
		{"rollback", arg(), u.rollback},
	} {
		o.Methods = append(o.Methods, ubus.Method{Name: m.name, Args: m.args, Handler: func(ctx context.Context, req *ubus.Request) {
			reply, status := m.do(ctx, &query{sid: req.Session, args: req.Args})
			end(req, status, reply)
		}})
	}
	return o
}

// query is one call: who asks, and its arguments.
type query struct {
	sid  string
	args ubus.Table
}

// text is a string argument, "" when it is absent or no string (as for
// blobmsg_parse).
func (q *query) text(name string) string {
	s, err := q.args.Text(name, "")
	if err != nil {
		return ""
	}
	return s
}

// may tells whether the caller may read or write a file. Without a session the
// call comes from the bus, where nobody is asked.
func (u *uciStore) may(q *query, perm, name string) bool {
	return q.sid == "" || u.sessions.allowed(q.sid, "uci", name, perm)
}

// open checks the right and reads the file with the session's changes.
func (u *uciStore) open(q *query, perm string) (*pack, ubus.Status) {
	name := q.text("config")
	if name == "" {
		return nil, ubus.StatusInvalidArgument
	}
	if !u.may(q, perm, name) {
		return nil, ubus.StatusPermissionDenied
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, ubus.StatusInvalidArgument
	}
	p, err := u.load(name, u.delta(q.sid)[name])
	return p, statusOf(err)
}

func statusOf(err error) ubus.Status {
	switch {
	case err == nil:
		return ubus.StatusOK
	case errors.Is(err, errNotFound):
		return ubus.StatusNotFound
	}
	return ubus.StatusUnknownError
}

func (u *uciStore) configs(context.Context, *query) (any, ubus.Status) {
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return nil, ubus.StatusNotFound
	}
	names := []string{}
	for _, e := range entries {
		if e.Type().IsRegular() && validName(e.Name(), true) {
			names = append(names, e.Name())
		}
	}
	return map[string]any{"configs": names}, ubus.StatusOK
}

// get answers with nothing for a section or an option that is not there, as rpcd
// does.
func (u *uciStore) get(_ context.Context, q *query) (any, ubus.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, status := u.open(q, "read")
	if status == ubus.StatusNotFound && u.elsewhere != nil {
		return u.elsewhere(q.args)
	}
	if status != ubus.StatusOK {
		return nil, status
	}
	name := q.text("section")
	if name == "" {
		return ubus.Table{{Name: "values", Value: p.dump(q)}}, ubus.StatusOK
	}
	s := p.find(name)
	if s == nil {
		return nil, ubus.StatusOK
	}
	if !q.args.Has("option") {
		return ubus.Table{{Name: "values", Value: dumpSection(s, -1)}}, ubus.StatusOK
	}
	o := option(s, q.text("option"))
	if o == nil {
		return nil, ubus.StatusOK
	}
	return ubus.Table{{Name: "value", Value: valueOf(*o)}}, ubus.StatusOK
}

// changes lists what a session has set in one file or in all that it may read.
func (u *uciStore) changes(_ context.Context, q *query) (any, ubus.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if q.args.Has("config") {
		if _, status := u.open(q, "read"); status != ubus.StatusOK {
			return nil, status
		}
		return map[string]any{"changes": dumpChanges(u.delta(q.sid)[q.text("config")])}, ubus.StatusOK
	}
	all := make(map[string]any)
	for name, delta := range u.delta(q.sid) {
		if len(delta) > 0 && u.may(q, "read", name) {
			all[name] = dumpChanges(delta)
		}
	}
	return map[string]any{"changes": all}, ubus.StatusOK
}

// changedFiles names the files in which a session has set something.
func (u *uciStore) changedFiles(q *query) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.delta(q.sid)))
}

// dump is all sections that a query's `type` and `match` let through.
func (p *pack) dump(q *query) ubus.Table {
	out := ubus.Table{}
	for i := range p.sections {
		if s := &p.sections[i]; matches(s, q) {
			out = append(out, ubus.Field{Name: s.Name, Value: dumpSection(s, i)})
		}
	}
	return out
}

func dumpSection(s *config.UCISection, index int) ubus.Table {
	t := ubus.Table{{Name: ".anonymous", Value: s.Anonymous}, {Name: ".type", Value: s.Type}, {Name: ".name", Value: s.Name}}
	if index >= 0 {
		t = append(t, ubus.Field{Name: ".index", Value: index})
	}
	for _, o := range s.Options {
		t = append(t, ubus.Field{Name: o.Name, Value: valueOf(o)})
	}
	return t
}

// valueOf is a string, or an array for a list.
func valueOf(o config.UCIOption) any {
	if o.List {
		return append([]string{}, o.Values...)
	}
	return o.Values[0]
}

func dumpChanges(delta []change) []any {
	out := []any{}
	for _, c := range delta {
		line := []any{c.cmd, c.section}
		if c.option != "" {
			line = append(line, c.option)
		}
		if n, err := strconv.Atoi(c.value); c.cmd == "order" && err == nil {
			line = append(line, n)
		} else if c.value != "" {
			line = append(line, c.value)
		}
		out = append(out, line)
	}
	return out
}

// matches is rpc_uci_match_section: the type, and each option's value or one item
// of it.
func matches(s *config.UCISection, q *query) bool {
	if typ := q.text("type"); typ != "" && s.Type != typ {
		return false
	}
	want, err := q.args.Table("match")
	if err != nil || len(want) == 0 {
		return true
	}
	found := false
	for _, f := range want {
		text, ok := format(f.Value)
		o := option(s, f.Name)
		if !ok || o == nil {
			continue
		}
		words := o.Values
		if !o.List {
			words = strings.Fields(o.Values[0])
		}
		if !slices.Contains(words, text) {
			return false
		}
		found = true
	}
	return found
}

// format is an argument as the text that stands in a file.
func format(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	case int8:
		return strconv.Itoa(int(v)), true
	case int16:
		return strconv.Itoa(int(v)), true
	case int32:
		return strconv.Itoa(int(v)), true
	case int64:
		return strconv.FormatInt(v, 10), true
	}
	return "", false
}
