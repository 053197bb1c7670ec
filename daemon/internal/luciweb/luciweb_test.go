package luciweb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/luciweb"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

const nobody = "00000000000000000000000000000000"

// world is a server over a bus on which an object `remsim` answers.
type world struct {
	t      *testing.T
	url    string
	config string // the UCI file
	broker *ubusfake.Broker
	object *ubus.Object
	conn   *ubus.Conn

	mu      sync.Mutex
	changed []string
}

const uciText = "\nconfig remsim 'main'\n\toption enabled '1'\n\nconfig server\n\toption host 'one'\n\nconfig server\n\toption host 'two'\n\nconfig failover 'failover'\n\tlist control_path 'iot'\n\tlist control_path 'wan'\n"

const aclText = `{
	"app-status": { "read": { "ubus": { "remsim": [ "status", "wor*", ":subscribe" ], "session": [ "access", "destroy" ] } } },
	"app": { "read": { "uci": [ "remsim" ] }, "write": { "ubus": { "remsim": [ "switch" ], "uci": [ "revert", "rollback" ] }, "uci": [ "remsim" ] } }
}`

const menuText = `{
	"admin/services/app": { "title": "App", "order": 3, "action": { "type": "firstchild" }, "depends": { "acl": [ "app-status" ] } },
	"admin/services/app/one": { "title": "One", "order": 1, "action": { "type": "view", "path": "app/one" } },
	"admin/services/app/set": { "title": "Set", "order": 2, "action": { "type": "view", "path": "app/set" }, "depends": { "acl": [ "app" ], "uci": { "remsim": { "@server": { "host": "two" } } } } },
	"admin/services/app/none": { "title": "None", "order": 0, "action": { "type": "view", "path": "app/none" }, "depends": { "uci": { "gone": true } } }
}`

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, config: filepath.Join(dir, "config", "remsim")}
	write(t, w.config, uciText)
	write(t, filepath.Join(dir, "acl.d", "app.json"), aclText)
	write(t, filepath.Join(dir, "app/root/usr/share/luci/menu.d/app.json"), menuText)
	write(t, filepath.Join(dir, "app/htdocs/luci-static/resources/view/app/one.js"), "'use strict';\n")
	write(t, filepath.Join(dir, "app/htdocs/luci-static/resources/view/status/include/90_app.js"), "'use strict';\n")
	write(t, filepath.Join(dir, "app/po/de/app.po"), "msgid \"\"\nmsgstr \"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\nmsgid \"Card\"\nmsgstr \"Karte\"\n\nmsgid \"one\"\nmsgid_plural \"many\"\nmsgstr[0] \"eins\"\nmsgstr[1] \"viele\"\n")
	var err error
	socket := filepath.Join(dir, "ubus.sock")
	w.broker, err = ubusfake.Start(socket)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.broker.Close()) })
	w.publish(socket)
	s, err := luciweb.New(luciweb.Options{
		Socket: socket, Config: filepath.Dir(w.config), App: filepath.Join(dir, "app"), ACL: []string{filepath.Join(dir, "acl.d")}, Hostname: "router<1>",
		Users:   []luciweb.User{{Name: "root", Password: "secret", Write: []string{"*"}}, {Name: "viewer", Password: "secret", Read: []string{"*", "!unauthenticated"}}},
		Changed: w.onChange,
	})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-served) })
	require.Eventually(t, func() bool { _, ok := w.broker.Owner("uci"); return ok }, 10*time.Second, 5*time.Millisecond)
	return w
}

// publish puts `remsim` on the bus: status answers with what it was given.
func (w *world) publish(socket string) {
	var err error
	w.conn, err = ubus.Dial(w.t.Context(), socket)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, w.conn.Close()) })
	echo := func(_ context.Context, req *ubus.Request) {
		_ = req.Reply(ubus.Table{{Name: "args", Value: req.Args}, {Name: "session", Value: req.Session}})
	}
	refuse := func(_ context.Context, req *ubus.Request) { _ = req.Fail(ubus.StatusNotFound, "no such link") }
	w.object = &ubus.Object{Path: "remsim", Methods: []ubus.Method{{Name: "status", Handler: echo}, {Name: "switch", Handler: refuse}, {Name: "working", Handler: func(_ context.Context, req *ubus.Request) { _ = req.Done() }}}}
	require.NoError(w.t, w.conn.AddObject(w.t.Context(), w.object))
}

func (w *world) onChange(_ context.Context, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = append(w.changed, name)
}

func (w *world) changes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changed)
}

// browser is a client that keeps its cookie and follows no redirection.
func (w *world) browser() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do makes a request and returns the answer with its body.
func (w *world) do(method, path, sid, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	if sid != "" {
		req.AddCookie(&http.Cookie{Name: "sysauth_http", Value: sid})
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := w.browser().Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	return res, string(data)
}

// login returns the session of a user.
func (w *world) login(user string) string {
	w.t.Helper()
	form := url.Values{"luci_username": {user}, "luci_password": {"secret"}}
	res, _ := w.do("POST", "/cgi-bin/luci/admin/services", "", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(w.t, http.StatusFound, res.StatusCode)
	require.Equal(w.t, "/cgi-bin/luci/admin/services", res.Header.Get("Location"))
	require.Len(w.t, res.Cookies(), 1)
	c := res.Cookies()[0]
	require.True(w.t, c.HttpOnly)
	require.Equal(w.t, http.SameSiteStrictMode, c.SameSite)
	return c.Value
}

// rpc calls a method and returns its result as JSON, or the fault.
func (w *world) rpc(sid, object, method, args string) string {
	w.t.Helper()
	_, body := w.do("POST", "/ubus/", "", `{"jsonrpc":"2.0","id":7,"method":"call","params":["`+sid+`","`+object+`","`+method+`",`+args+`]}`)
	var reply struct {
		ID     int             `json:"id"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	require.NoError(w.t, json.NewDecoder(bytes.NewBufferString(body)).Decode(&reply), body)
	require.Equal(w.t, 7, reply.ID)
	if reply.Error != nil {
		return string(reply.Error)
	}
	return string(reply.Result)
}

func TestCallsNeedTheRightThatTheirSessionHas(t *testing.T) {
	w := newWorld(t)
	root, viewer := w.login("root"), w.login("viewer")
	denied := `{"code":-32002,"message":"Access denied"}`
	for _, tt := range []struct{ name, sid, object, method, args, want string }{
		{"the session is added to the arguments", root, "remsim", "status", `{"since":5}`, `[0,{"args":{"since":5},"session":"` + root + `"}]`},
		{"read for a user who may only read", viewer, "remsim", "status", `{}`, `[0,{"args":{},"session":"` + viewer + `"}]`},
		{"a pattern of functions", viewer, "remsim", "working", `{}`, `[0]`},
		{"write for a user who may only read", viewer, "remsim", "switch", `{}`, denied},
		{"a status comes with what was said", root, "remsim", "switch", `{}`, `[4,{"message":"no such link"}]`},
		{"nobody", nobody, "remsim", "status", `{}`, denied},
		{"a session that does not exist", "11111111111111111111111111111111", "remsim", "status", `{}`, denied},
		{"an object that does not exist comes first", nobody, "nothing", "status", `{}`, `{"code":-32000,"message":"Object not found"}`},
		{"somebody else's session in the arguments", viewer, "remsim", "status", `{"ubus_rpc_session":"` + root + `"}`, `{"code":-32602,"message":"Invalid parameters"}`},
		{"arguments that are no table", root, "remsim", "status", `[]`, `{"code":-32700,"message":"Parse error"}`},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, w.rpc(tt.sid, tt.object, tt.method, tt.args)) })
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	w := newWorld(t)
	parse := `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`
	for _, tt := range []struct{ name, body, want string }{
		{"no JSON", `{`, parse},
		{"nothing", ``, parse},
		{"a number", `7`, parse},
		{"too long", `[` + strings.Repeat(" ", 70000) + `]`, parse},
		{"an empty batch", `[]`, `[]`},
		{"no version", `{"id":1,"method":"list"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"Parse error"}}`},
		{"an unknown method", `{"jsonrpc":"2.0","id":"x","method":"dance"}`, `{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"Method not found"}}`},
		{"three parameters", `{"jsonrpc":"2.0","id":1,"method":"call","params":["a","b","c"]}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"Parse error"}}`},
		{"a batch in order", `[{"jsonrpc":"2.0","id":1,"method":"dance"},7]`, `[{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}},` + parse + `]`},
		{"signatures", `{"jsonrpc":"2.0","id":1,"method":"list","params":["luci"]}`, `{"jsonrpc":"2.0","id":1,"result":{"luci":{"getFeatures":{}}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, body := w.do("POST", "/ubus", "", tt.body)
			require.Equal(t, tt.want, strings.ReplaceAll(body, "\n", ""))
		})
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name   string
		header []string
		want   int
	}{
		{"a name that points at loopback", []string{"Host", "evil.example:80"}, 403},
		{"an address of the network", []string{"Host", "192.168.1.1"}, 403},
		{"localhost", []string{"Host", "localhost:1"}, 200},
		{"another site's page", []string{"Origin", "http://evil.example"}, 403},
		{"another port's page", []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"our own page", []string{"Origin", w.url}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, _ := w.do("POST", "/ubus", "", `[]`, tt.header...)
			require.Equal(t, tt.want, res.StatusCode)
		})
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	s, err := luciweb.New(luciweb.Options{App: t.TempDir()})
	require.NoError(t, err)
	require.ErrorContains(t, s.Serve(t.Context(), l), "only loopback is allowed")
}

func TestSession(t *testing.T) {
	w := newWorld(t)
	root, viewer := w.login("root"), w.login("viewer")
	require.Equal(t, `[6]`, w.rpc(nobody, "session", "login", `{"username":"root","password":"wrong"}`))
	require.Contains(t, w.rpc(nobody, "session", "login", `{"username":"viewer","password":"secret","timeout":60}`), `"timeout":60,"expires":59,"acls":{`)
	require.Equal(t, `[0,{"access":true}]`, w.rpc(root, "session", "access", `{"scope":"uci","object":"remsim","function":"write"}`))
	require.Equal(t, `[0,{"access":false}]`, w.rpc(viewer, "session", "access", `{"scope":"uci","object":"remsim","function":"write"}`))
	require.Equal(t, `[0,{"access":true}]`, w.rpc(viewer, "session", "access", `{"scope":"access-group","object":"app","function":"read"}`))
	require.Contains(t, w.rpc(viewer, "session", "access", `{}`), `"access-group":{"app":["read"],"app-status":["read"],"luci-base":["read"]}`)
	require.Equal(t, `[0]`, w.rpc(viewer, "session", "destroy", `{}`))
	require.Equal(t, `{"code":-32002,"message":"Access denied"}`, w.rpc(viewer, "session", "access", `{}`))
	res, _ := w.do("GET", "/cgi-bin/luci/admin/logout", root, "")
	require.Equal(t, http.StatusFound, res.StatusCode)
	res, _ = w.do("GET", "/cgi-bin/luci/admin/menu", root, "")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Equal(t, "yes", res.Header.Get("X-LuCI-Login-Required"))
}

func TestMenuAndPages(t *testing.T) {
	w := newWorld(t)
	root, viewer := w.login("root"), w.login("viewer")
	menu := func(sid string) (tree struct {
		Children map[string]struct {
			Children map[string]struct {
				Children map[string]struct {
					Children map[string]struct {
						Satisfied bool
						ReadOnly  bool
					}
				}
			}
		}
	}) {
		_, body := w.do("GET", "/cgi-bin/luci/admin/menu", sid, "")
		require.NoError(t, json.Unmarshal([]byte(body), &tree), body)
		return tree
	}
	for _, tt := range []struct {
		sid      string
		readonly bool
	}{{root, false}, {viewer, true}} {
		app := menu(tt.sid).Children["admin"].Children["services"].Children["app"].Children
		require.True(t, app["one"].Satisfied)
		require.True(t, app["set"].Satisfied)
		require.Equal(t, tt.readonly, app["set"].ReadOnly)
		require.False(t, app["none"].Satisfied, "its file does not exist")
	}
	res, body := w.do("GET", "/cgi-bin/luci/admin/services/app", root, "")
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, body, "ui.instantiateView('app/one')")
	require.Contains(t, body, `"dispatchpath":["admin","services","app","one"]`)
	require.Contains(t, body, "<title>router&lt;1&gt; | One</title>")
	require.Contains(t, body, `"sessionid":"`+root+`"`)
	res, _ = w.do("GET", "/cgi-bin/luci/admin/services/app/none", root, "")
	require.Equal(t, 404, res.StatusCode)
	res, body = w.do("GET", "/cgi-bin/luci/admin/services/app", "", "")
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, body, "luci_password")
	require.NotContains(t, body, "sessionid")
	res, _ = w.do("GET", "/luci-static/resources/view/app/one.js", "", "")
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, res.Header.Get("Content-Type"), "javascript")
	for _, path := range []string{"/luci-static/../../etc/passwd", "/luci-static/%2e%2e/acl.d/demo.json", "/luci-static/", "/luci-static/resources"} {
		res, _ = w.do("GET", path, "", "")
		require.NotEqual(t, 200, res.StatusCode, path)
	}
	require.Contains(t, w.rpc(root, "file", "list", `{"path":"/www/luci-static/resources/view/status/include"}`), `"90_app.js"`)
	require.Equal(t, `[6]`, w.rpc(root, "file", "list", `{"path":"/etc"}`))
}

func TestTranslations(t *testing.T) {
	w := newWorld(t)
	_, body := w.do("GET", "/cgi-bin/luci/admin/translations/de", "", "")
	require.Contains(t, body, `"Card":"Karte"`)
	require.Contains(t, body, `"00000000":"plural=(n != 1);"`)
	require.Contains(t, body, `"one\u00020":"eins"`)
	for text, want := range map[string]string{ // as LuCI's own cbi.js (x-wrt/luci 0ed70d9aed01) has them
		"Card": "8d2d2a6a", "Karten und Öl…": "a189025f", "a": "115ea782", "ab": "516b8b44", "abc": "d2be198a", "context\x01x\x020": "e46e43a5",
	} {
		require.Equal(t, want, luciweb.HashKey(text), text)
	}
	require.Contains(t, body, `"8d2d2a6a":"Karte"`)
	_, body = w.do("GET", "/cgi-bin/luci/admin/translations/xx", "", "")
	require.Equal(t, "window.TR={};\nwindow.TRtext={};\n", body)
	root := w.login("root")
	_, body = w.do("GET", "/cgi-bin/luci/admin/services/app", root, "", "Accept-Language", "fr, de-AT;q=0.8")
	require.Contains(t, body, `<html lang="de">`)
}

func TestEventStream(t *testing.T) {
	w := newWorld(t)
	_, body := w.do("GET", "/ubus/subscribe/remsim", "", "")
	require.JSONEq(t, `{"code":-13,"message":"Permission denied"}`, body)
	_, body = w.do("GET", "/ubus/subscribe/nothing", "", "", "Authorization", "Bearer "+w.login("root"))
	require.JSONEq(t, `{"code":-13,"message":"Permission denied"}`, body)

	req, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/ubus/subscribe/remsim", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+w.login("viewer"))
	res, err := w.browser().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Eventually(t, w.object.HasSubscribers, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, w.object.Notify(t.Context(), "change", map[string]int64{"sequence": 9}))
	want := "event: change\ndata: {\"sequence\":9}\n\n"
	got := make([]byte, len(want))
	_, err = io.ReadFull(res.Body, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	require.NoError(t, w.conn.RemoveObject(t.Context(), w.object))
	rest, err := io.ReadAll(res.Body)
	require.NoError(t, err, "the stream ends with the object")
	require.Empty(t, rest)
}
