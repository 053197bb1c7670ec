package luciweb

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// nobody is the session of whoever has none.
const nobody = "00000000000000000000000000000000"

// loginTime is how long a session stays without being used: LuCI's
// luci.sauth.sessiontime.
const loginTime = time.Hour

// session is one login. Every use restarts its timeout.
type session struct {
	id      string
	user    string
	token   string // what forms must send along
	timeout time.Duration
	until   time.Time // zero: never ends
	access  access
	values  ubus.Table

	confirm   string // by which a pending apply is confirmed
	confirmBy time.Time

	delta map[string][]change // what it has set in UCI files and not applied; guarded by uciStore.mu
}

// sessions are rpcd's session.c as far as a browser sees it.
type sessions struct {
	groups map[string][]group
	users  []User

	mu   sync.Mutex
	byID map[string]*session
}

func newSessions(groups map[string][]group, users []User) *sessions {
	s := &sessions{groups: groups, users: users, byID: make(map[string]*session)}
	s.byID[nobody] = &session{id: nobody, access: accessOf(groups, nil), delta: make(map[string][]change)}
	return s
}

// get returns a session that is alive and restarts its timeout.
func (s *sessions) get(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.byID[id]
	if ses == nil {
		return nil
	}
	now := time.Now()
	if !ses.until.IsZero() && now.After(ses.until) {
		delete(s.byID, id)
		return nil
	}
	if ses.timeout > 0 {
		ses.until = now.Add(ses.timeout)
	}
	return ses
}

// allowed tells whether a session may call a function; one that does not exist
// may nothing.
func (s *sessions) allowed(id, scope, object, function string) bool {
	ses := s.get(id)
	return ses != nil && ses.access.allows(scope, object, function)
}

// login makes a session; nil if the name or the password is wrong.
func (s *sessions) login(name, password string, timeout time.Duration) *session {
	for i := range s.users {
		u := &s.users[i]
		right := subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) == 1
		if u.Name != name || !right {
			continue
		}
		ses := &session{id: random(), user: name, token: random(), timeout: timeout, access: accessOf(s.groups, u), delta: make(map[string][]change)}
		if timeout > 0 {
			ses.until = time.Now().Add(timeout)
		}
		ses.values = ubus.Table{{Name: "username", Value: name}}
		s.mu.Lock()
		s.byID[ses.id] = ses
		s.mu.Unlock()
		return ses
	}
	return nil
}

// destroy ends a session; false if there is none.
func (s *sessions) destroy(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[id] == nil || id == nobody {
		return false
	}
	delete(s.byID, id)
	return true
}

func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// object is `session` on the bus.
func (s *sessions) object() *ubus.Object {
	sid := ubus.Arg{Name: "ubus_rpc_session", Type: ubus.String}
	return &ubus.Object{Path: "session", Methods: []ubus.Method{
		{Name: "login", Args: []ubus.Arg{{Name: "username", Type: ubus.String}, {Name: "password", Type: ubus.String}, {Name: "timeout", Type: ubus.Int32}}, Handler: s.onLogin},
		{Name: "access", Args: []ubus.Arg{sid, {Name: "scope", Type: ubus.String}, {Name: "object", Type: ubus.String}, {Name: "function", Type: ubus.String}}, Handler: s.onAccess},
		{Name: "list", Args: []ubus.Arg{sid}, Handler: s.onList},
		{Name: "get", Args: []ubus.Arg{sid, {Name: "keys", Type: ubus.Array}}, Handler: s.onGet},
		{Name: "set", Args: []ubus.Arg{sid, {Name: "values", Type: ubus.TableType}}, Handler: s.onSet},
		{Name: "destroy", Args: []ubus.Arg{sid}, Handler: s.onDestroy},
	}}
}
