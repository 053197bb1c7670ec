package luciweb_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/luciweb"
)

func (w *world) file() string {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	require.NoError(w.t, err)
	return string(text)
}

func TestUCIReads(t *testing.T) {
	w := newWorld(t)
	root := w.login("root")
	for _, tt := range []struct{ name, args, want string }{
		{"a section", `{"config":"remsim","section":"main"}`, `[0,{"values":{".anonymous":false,".type":"remsim",".name":"main","enabled":"1"}}]`},
		{"an option", `{"config":"remsim","section":"@server[1]","option":"host"}`, `[0,{"value":"two"}]`},
		{"the last of a type", `{"config":"remsim","section":"@server[-1]","option":"host"}`, `[0,{"value":"two"}]`},
		{"a list", `{"config":"remsim","section":"failover","option":"control_path"}`, `[0,{"value":["iot","wan"]}]`},
		{"a type", `{"config":"remsim","type":"failover"}`, `[0,{"values":{"failover":{".anonymous":false,".type":"failover",".name":"failover",".index":3,"control_path":["iot","wan"]}}}]`},
		{"a match in a list", `{"config":"remsim","match":{"control_path":"wan"}}`, `[0,{"values":{"failover":{".anonymous":false,".type":"failover",".name":"failover",".index":3,"control_path":["iot","wan"]}}}]`},
		{"no match", `{"config":"remsim","match":{"host":"three"}}`, `[0,{"values":{}}]`},
		{"no such section", `{"config":"remsim","section":"gone"}`, `[0]`},
		{"no such option", `{"config":"remsim","section":"main","option":"gone"}`, `[0]`},
		{"a file that this user may not read", `{"config":"network"}`, `[6]`},
		{"a path", `{"config":"../config/remsim"}`, `[6]`},
		{"no file", `{}`, `[2]`},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, w.rpc(root, "uci", "get", tt.args)) })
	}
	require.Equal(t, `[4]`, w.rpc(root, "uci", "get", `{"config":"system"}`), "it may read that, but it is not there")
}

func TestUCIChangesStayInTheirSessionUntilApplied(t *testing.T) {
	w := newWorld(t)
	root, other := w.login("root"), w.login("root")
	denied := `{"code":-32002,"message":"Access denied"}`
	require.Equal(t, denied, w.rpc(w.login("viewer"), "uci", "set", `{"config":"remsim","section":"main","values":{"enabled":"0"}}`))
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"main","values":{"enabled":false,"device_id":"a'b"}}`))
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"@server[0]","values":{"host":"one"}}`), "equal: no change")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"failover","values":{"control_path":["x"]}}`))
	require.Equal(t, `[0,{"section":"lte"}]`, w.rpc(root, "uci", "add", `{"config":"remsim","type":"modem","name":"lte","values":{"client_id":7}}`))
	require.Regexp(t, `^\[0,\{"section":"cfg[0-9a-f]{6}"\}\]$`, w.rpc(root, "uci", "add", `{"config":"remsim","type":"bank"}`))
	require.Equal(t, `[0]`, w.rpc(root, "uci", "delete", `{"config":"remsim","section":"@server[0]"}`))
	require.Equal(t, `[4]`, w.rpc(root, "uci", "delete", `{"config":"remsim","section":"main","option":"gone"}`))
	require.Equal(t, `[0]`, w.rpc(root, "uci", "rename", `{"config":"remsim","section":"failover","name":"paths"}`))
	require.Equal(t, `[0]`, w.rpc(root, "uci", "order", `{"config":"remsim","sections":["lte"]}`))
	for _, tt := range []struct{ method, args string }{
		{"set", `{"config":"remsim","section":"main","values":{"bad-name":"1"}}`}, {"set", `{"config":"remsim","section":"main"}`},
		{"set", `{"config":"remsim","section":"main","values":{"enabled":[]}}`}, {"add", `{"config":"remsim","type":"bad type"}`},
		{"rename", `{"config":"remsim","section":"main","name":"bad-name"}`}, {"order", `{"config":"remsim"}`},
	} {
		require.Equal(t, `[2]`, w.rpc(root, "uci", tt.method, tt.args), "%s %s", tt.method, tt.args)
	}
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"lte","values":{"gone":"","client_id":""}}`), "nothing removes")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"lte","values":{"client_id":"7"}}`))
	require.Equal(t, uciText, w.file())
	require.Equal(t, `[0,{"value":"1"}]`, w.rpc(other, "uci", "get", `{"config":"remsim","section":"main","option":"enabled"}`))
	require.Equal(t, `[0,{"value":"0"}]`, w.rpc(root, "uci", "get", `{"config":"remsim","section":"main","option":"enabled"}`))
	changes := w.rpc(root, "uci", "changes", `{}`)
	require.True(t, strings.HasPrefix(changes, `[0,{"changes":{"remsim":[["set","main","enabled","0"],["set","main","device_id","a'b"],["remove","failover","control_path"],["list-add","failover","control_path","x"],["set","lte","modem"],["set","lte","client_id","7"],`), changes)
	require.Contains(t, changes, `["order","lte",0]`)

	require.Equal(t, `[0]`, w.rpc(root, "uci", "apply", `{}`))
	require.Equal(t, "\nconfig modem 'lte'\n\toption client_id '7'\n\nconfig remsim 'main'\n\toption enabled '0'\n\toption device_id 'a'\\''b'\n\nconfig server\n\toption host 'two'\n\nconfig failover 'paths'\n\tlist control_path 'x'\n\nconfig bank\n", w.file())
	require.Equal(t, 1, w.changes())
	require.Equal(t, `[5]`, w.rpc(root, "uci", "apply", `{}`), "nothing is left")
	require.Equal(t, `[0,{"changes":{}}]`, w.rpc(root, "uci", "changes", `{}`))
}

func TestUCIRollsBackUnlessConfirmed(t *testing.T) {
	w := newWorld(t)
	root, other := w.login("root"), w.login("root")
	set := func(sid, value string) {
		t.Helper()
		require.Equal(t, `[0]`, w.rpc(sid, "uci", "set", `{"config":"remsim","section":"main","values":{"device_id":"`+value+`"}}`))
	}
	require.Equal(t, `[5]`, w.rpc(root, "uci", "confirm", `{}`))
	set(root, "kept")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "apply", `{"rollback":true,"timeout":60}`))
	set(other, "late")
	require.Equal(t, `[6]`, w.rpc(other, "uci", "apply", `{"rollback":true}`), "one at a time")
	require.Equal(t, `[6]`, w.rpc(other, "uci", "confirm", `{}`))
	require.Equal(t, `[6]`, w.rpc(other, "uci", "revert", `{"config":"remsim"}`))
	require.Equal(t, `[0]`, w.rpc(root, "uci", "confirm", `{}`))
	require.Contains(t, w.file(), "device_id 'kept'")

	set(root, "gone")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "apply", `{"rollback":true,"timeout":60}`))
	require.Contains(t, w.file(), "device_id 'gone'")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "rollback", `{}`))
	require.Contains(t, w.file(), "device_id 'kept'")
	require.Contains(t, w.rpc(root, "uci", "changes", `{}`), `"gone"`, "what was set is set again")
	require.Equal(t, 3, w.changes())

	require.Equal(t, `[0]`, w.rpc(root, "uci", "apply", `{"rollback":true,"timeout":1}`))
	require.Contains(t, w.file(), "device_id 'gone'")
	require.Eventually(t, func() bool { return strings.Contains(w.file(), "device_id 'kept'") }, 20*time.Second, 20*time.Millisecond, "nobody confirmed")
	require.Eventually(t, func() bool { return w.changes() == 5 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, `[0]`, w.rpc(root, "uci", "revert", `{"config":"remsim"}`))
	require.Equal(t, `[0,{"changes":{}}]`, w.rpc(root, "uci", "changes", `{}`))
}

// What LuCI's own "Save & Apply" posts.
func TestApplyThroughTheDispatcher(t *testing.T) {
	w := newWorld(t)
	root := w.login("root")
	_, page := w.do("GET", "/cgi-bin/luci/admin/services/app", root, "")
	_, rest, _ := strings.Cut(page, `"token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	post := func(what, token string) (int, string) {
		res, body := w.do("POST", "/cgi-bin/luci/admin/uci/"+what+"?sid="+root+"&token="+token, root, "")
		return res.StatusCode, body
	}
	code, _ := post("apply_rollback", "wrong")
	require.Equal(t, http.StatusForbidden, code)
	code, _ = post("apply_rollback", token)
	require.Equal(t, http.StatusNoContent, code, "nothing to apply")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"main","values":{"device_id":"new"}}`))
	code, body := post("apply_rollback", token)
	require.Equal(t, http.StatusOK, code)
	require.Regexp(t, `^\{"token":"[0-9a-f]{32}"\}\n$`, body)
	code, _ = post("confirm", token)
	require.Equal(t, http.StatusForbidden, code, "the other token confirms")
	code, _ = post("confirm", body[10:42])
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, w.file(), "device_id 'new'")

	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"main","values":{"device_id":"newer"}}`))
	code, _ = post("apply_unchecked", token)
	require.Equal(t, http.StatusNoContent, code)
	require.Contains(t, w.file(), "device_id 'newer'")
	require.Equal(t, `[0]`, w.rpc(root, "uci", "set", `{"config":"remsim","section":"main","values":{"device_id":"x"}}`))
	code, _ = post("revert", token)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, `[0,{"changes":{}}]`, w.rpc(root, "uci", "changes", `{}`))
}

// What is read as arguments is JSON again when it is written, and reads the same.
func FuzzParseTable(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[true,null,"x"],"c":{"d":-1.5e300}}`, `{"a":9223372036854775808}`, `[]`, `{"a":{"a":{"a":{}}}}`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := luciweb.ParseTable(data)
		if err != nil {
			return
		}
		twice, err := luciweb.ParseTable(once)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}

func FuzzParsePO(f *testing.F) {
	f.Add([]byte("msgctxt \"c\"\nmsgid \"a\"\nmsgid_plural \"b\"\nmsgstr[0] \"x\"\nmsgstr[1] \"y\"\n"))
	f.Add([]byte("#, fuzzy\nmsgid \"\"\n\"a\\n\"\nmsgstr \"\"\n\"b\"\n"))
	f.Add([]byte("\"text before any keyword\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := luciweb.ParsePO(data)
		require.LessOrEqual(t, n, strings.Count(string(data), "msgstr"), "%v", err)
	})
}
