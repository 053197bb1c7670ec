package luciweb

import (
	"context"
	"log/slog"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// end answers a call: with a table, or with a status. That the caller has gone
// away meanwhile is its own matter.
func end(req *ubus.Request, status ubus.Status, reply any) {
	var err error
	switch {
	case status != ubus.StatusOK:
		err = req.Fail(status, "")
	case reply == nil:
		err = req.Done()
	default:
		err = req.Reply(reply)
	}
	if err != nil {
		slog.Debug("not answered", "method", req.Method, "err", err)
	}
}

// defaultTime is how long a session lives whose login names no timeout.
const defaultTime = 300 * time.Second

func (s *sessions) onLogin(_ context.Context, req *ubus.Request) {
	name, err1 := req.Args.Text("username", "")
	password, err2 := req.Args.Text("password", "")
	seconds, err3 := req.Args.Int("timeout", int64(defaultTime/time.Second))
	if err1 != nil || err2 != nil || err3 != nil || !req.Args.Has("username") || !req.Args.Has("password") {
		end(req, ubus.StatusInvalidArgument, nil)
		return
	}
	ses := s.login(name, password, time.Duration(seconds)*time.Second)
	if ses == nil {
		end(req, ubus.StatusPermissionDenied, nil)
		return
	}
	end(req, ubus.StatusOK, ses.dump())
}

// dump is what rpcd tells about a session.
func (ses *session) dump() ubus.Table {
	expires := int64(0)
	if !ses.until.IsZero() {
		expires = int64(time.Until(ses.until) / time.Second)
	}
	return ubus.Table{
		{Name: "ubus_rpc_session", Value: ses.id},
		{Name: "timeout", Value: int64(ses.timeout / time.Second)},
		{Name: "expires", Value: expires},
		{Name: "acls", Value: ses.access.table()},
		{Name: "data", Value: ses.values},
	}
}

// table is the rules as scope -> object -> functions.
func (a access) table() map[string]map[string][]string {
	out := make(map[string]map[string][]string)
	for scope, grants := range a {
		out[scope] = make(map[string][]string)
		for _, g := range grants {
			out[scope][g.object] = append(out[scope][g.object], g.function)
		}
	}
	return out
}

// of returns the session that a call names, and answers if there is none.
func (s *sessions) of(req *ubus.Request) *session {
	if req.Session == "" {
		end(req, ubus.StatusInvalidArgument, nil)
		return nil
	}
	ses := s.get(req.Session)
	if ses == nil {
		end(req, ubus.StatusNotFound, nil)
	}
	return ses
}

func (s *sessions) onAccess(_ context.Context, req *ubus.Request) {
	ses := s.of(req)
	if ses == nil {
		return
	}
	scope, err1 := req.Args.Text("scope", "ubus")
	object, err2 := req.Args.Text("object", "")
	function, err3 := req.Args.Text("function", "")
	switch {
	case err1 != nil || err2 != nil || err3 != nil:
		end(req, ubus.StatusInvalidArgument, nil)
	case req.Args.Has("object") && req.Args.Has("function"):
		end(req, ubus.StatusOK, map[string]bool{"access": ses.access.allows(scope, object, function)})
	default:
		end(req, ubus.StatusOK, ses.access.table())
	}
}

func (s *sessions) onList(_ context.Context, req *ubus.Request) {
	if ses := s.of(req); ses != nil {
		end(req, ubus.StatusOK, ses.dump())
	}
}

func (s *sessions) onGet(_ context.Context, req *ubus.Request) {
	ses := s.of(req)
	if ses == nil {
		return
	}
	keys, err := req.Args.List("keys")
	if err != nil {
		end(req, ubus.StatusInvalidArgument, nil)
		return
	}
	s.mu.Lock()
	values := ses.values
	s.mu.Unlock()
	if keys != nil {
		var some ubus.Table
		for _, k := range keys {
			if name, ok := k.(string); ok && values.Has(name) {
				v, _ := values.Get(name)
				some = append(some, ubus.Field{Name: name, Value: v})
			}
		}
		values = some
	}
	end(req, ubus.StatusOK, ubus.Table{{Name: "values", Value: values}})
}

func (s *sessions) onSet(_ context.Context, req *ubus.Request) {
	ses := s.of(req)
	if ses == nil {
		return
	}
	values, err := req.Args.Table("values")
	if err != nil || values == nil {
		end(req, ubus.StatusInvalidArgument, nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	merged := append(ubus.Table(nil), values...)
	for _, f := range ses.values {
		if _, new := values.Get(f.Name); !new {
			merged = append(merged, f)
		}
	}
	ses.values = merged
	end(req, ubus.StatusOK, nil)
}

func (s *sessions) onDestroy(_ context.Context, req *ubus.Request) {
	switch {
	case req.Session == "":
		end(req, ubus.StatusInvalidArgument, nil)
	case req.Session == nobody:
		end(req, ubus.StatusPermissionDenied, nil)
	case !s.destroy(req.Session):
		end(req, ubus.StatusNotFound, nil)
	default:
		end(req, ubus.StatusOK, nil)
	}
}
