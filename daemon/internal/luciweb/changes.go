package luciweb

import (
	"context"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// rollbackTime is how long "Save & Apply" waits for the browser to come back, in
// seconds: LuCI's least.
const rollbackTime = 90

// changes serves admin/uci/WHAT, by which LuCI applies what a session has set.
// The session confirms with the token that the apply has answered with.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	what := r.PathValue("what")
	ses := s.visitor(r)
	if ses == nil {
		loginRequired(w)
		return
	}
	token := s.sessions.confirmToken(ses, "")
	if what != "confirm" {
		token = ses.token
	}
	if token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(r.FormValue("token"))) != 1 {
		http.Error(w, "Invalid security token", http.StatusForbidden)
		return
	}
	ctx, q := r.Context(), &query{sid: ses.id}
	var status ubus.Status
	switch what {
	case "apply_rollback":
		q.args = ubus.Table{{Name: "rollback", Value: true}, {Name: "timeout", Value: int64(rollbackTime)}}
		if _, status = s.uci.apply(ctx, q); status == ubus.StatusOK {
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
			s.write(w, map[string]string{"token": s.sessions.confirmToken(ses, random())})
			return
		}
	case "apply_unchecked":
		status = s.applyUnchecked(ctx, q)
	case "confirm":
		_, status = s.uci.confirm(ctx, q)
	case "revert":
		status = s.eachChanged(ctx, q, s.uci.revert)
	default:
		http.NotFound(w, r)
		return
	}
	stateToHTTP(w, status)
}

// applyUnchecked commits each changed file, as LuCI does, and applies, for which
// nothing is left.
func (s *Server) applyUnchecked(ctx context.Context, q *query) ubus.Status {
	if status := s.eachChanged(ctx, q, s.uci.commit); status != ubus.StatusOK {
		return status
	}
	_, status := s.uci.apply(ctx, q)
	return status
}

func (s *Server) eachChanged(ctx context.Context, q *query, do func(context.Context, *query) (any, ubus.Status)) ubus.Status {
	for _, name := range s.uci.changedFiles(q) {
		one := &query{sid: q.sid, args: ubus.Table{{Name: "config", Value: name}}}
		if _, status := do(ctx, one); status != ubus.StatusOK {
			return status
		}
	}
	return ubus.StatusOK
}

// stateToHTTP is ubus_state_to_http of LuCI's controller.
func stateToHTTP(w http.ResponseWriter, status ubus.Status) {
	code := map[ubus.Status]int{
		ubus.StatusOK: 200, ubus.StatusInvalidCommand: 400, ubus.StatusInvalidArgument: 400, ubus.StatusMethodNotFound: 404, ubus.StatusNotFound: 404,
		ubus.StatusNoData: 204, ubus.StatusPermissionDenied: 403, ubus.StatusTimeout: 504, ubus.StatusConnectionFailed: 503, ubus.StatusParseError: 400,
	}[status]
	if code == 0 {
		code = 500
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	if code != http.StatusNoContent {
		_, _ = w.Write([]byte(status.String()))
	}
}

// confirmToken sets the token by which a session confirms an apply, or returns
// the one that is set and still good.
func (s *sessions) confirmToken(ses *session, set string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if set != "" {
		ses.confirm, ses.confirmBy = set, now.Add(rollbackTime*time.Second)
	}
	if now.After(ses.confirmBy) {
		return ""
	}
	return ses.confirm
}
