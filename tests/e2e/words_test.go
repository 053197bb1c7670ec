package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// badUCI has four errors and one thing that is only reported.
const badUCI = `
config remsim 'main'
	option enabled '1'

config modem 'primary'
	option front 'usb'
	option client_id '5000'
	option atr 'zz'
	option colour 'red'
	option match 'usb:2-1'

config server
	option host 'remsim.example.com'
	option port '99999'
`

// badWords are what must be said of it: section, option, value, what is accepted.
var badWords = []string{
	`error:   remsim.primary.client_id="5000"`, "accepted: a whole number, 0 to 1023\n",
	`error:   remsim.primary.front="usb"`, "accepted: one of auto, cardem, uim-remote, vpcd, none\n",
	`error:   remsim.primary.atr="zz"`, "accepted: 2 to 33 bytes in hexadecimal digits",
	`error:   remsim.@server[0].port="99999"`, "accepted: a whole number, 1 to 65535\n",
	`warning: remsim.primary.colour="red"`, ": is not known and is not used\n",
}

// These need no daemon.
func TestWordsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, w := range []want{
		{args: "help", stdout: []string{"usage: remsim COMMAND", "  status [--watch]\n        state of modems, sessions and health\n"}},
		{args: "", stdout: []string{"usage: remsim COMMAND"}},
		{args: "version", stdout: []string{"remsim "}},
		{args: "version --json", stdout: []string{`"version": "`}},
		{args: "nosuch", code: 2, stderr: []string{`remsim: there is no command "nosuch"`, "usage: remsim COMMAND"}},
		{args: "status --nosuch", code: 2, stderr: []string{"remsim status: flag provided but not defined: -nosuch\n", "usage: remsim status [--watch]\n", "  --ubus SOCKET    "}},
		{args: "status --help", stdout: []string{"usage: remsim status [--watch]\n", "  --watch          refresh in place until Ctrl-C\n"}},
		{args: "status extra", code: 2, stderr: []string{`remsim status: "extra" is one word too many`}},
		{args: "map 1", code: 2, stderr: []string{"remsim map: a word is missing\n", "BANK SLOT\n"}},
		{args: "map one 2", code: 2, stderr: []string{`bank "one" and slot "2" must be numbers, 0..1023`}},
		{args: "test", code: 2, stderr: []string{"remsim test: a word is missing\n"}},
		{args: "trace maybe", code: 2, stderr: []string{`"maybe" is neither on nor off`}},
		{args: "events --limit many", code: 2, stderr: []string{`invalid value "many" for flag -limit`}},
		{args: "config colour", code: 2, stderr: []string{`"colour" is neither check nor reload`}},
		{args: "daemon --nosuch", code: 2, stderr: []string{"remsim daemon: flag provided but not defined: -nosuch\n", "  --state DIR "}},
		{args: "daemon now", code: 2, stderr: []string{`"now" is one word too many`}},
		{args: "status --ubus /nonexistent/ubus.sock", code: 1, stderr: []string{"remsim status: connect to ubusd: ", "/nonexistent/ubus.sock", "is ubusd running?\n"}},
		{args: "status --watch --ubus /nonexistent/ubus.sock", code: 1, stderr: []string{"is ubusd running?\n"}},
		{args: "config check /nonexistent", code: 1, stderr: []string{"remsim config: ", "/nonexistent/remsim: no such file or directory\n"}},
	} {
		w.check(t, rig.Remsim(t, strings.Fields(w.args)...))
	}
}

func TestConfigCheckListsEveryError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(uci string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "remsim"), []byte(uci), 0o644))
	}
	write(badUCI)
	w := want{args: "config check", code: 2, stdout: append([]string{" (line 7): is out of range", "/remsim: refused, 4 errors\n"}, badWords...)}
	w.check(t, rig.Remsim(t, "config", "check", dir))

	r := rig.Remsim(t, "config", "check", dir, "--json")
	require.Equal(t, 2, r.Code)
	o := object(t, r.Stdout)
	require.Equal(t, []string{"costs", "errors", "ok", "path", "warnings"}, keys(o))
	require.Equal(t, false, o["ok"])
	require.Len(t, o["errors"], 4)
	first := field(t, o, "errors", "0").(map[string]any)
	require.Equal(t, []string{"message", "option", "section", "value"}, keys(first))

	write("config modem 'primary\n")
	w = want{args: "config check", code: 2, stdout: []string{"error:", "line 1", "refused, 1 errors\n"}}
	w.check(t, rig.Remsim(t, "config", "check", dir))

	write("config remsim 'main'\n\toption enabled '1'\n\nconfig modem 'primary'\n\toption front 'vpcd'\n\toption client_id '7'\n\nconfig server\n\toption host 'remsim.example.com'\n")
	w = want{args: "config check", stdout: []string{"what the settings cost\n", "/remsim: accepted\n"}, not: []string{"error", "warning"}}
	w.check(t, rig.Remsim(t, "config", "check", dir))
}

func TestWithoutADaemonTheCommandLineSaysSo(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		bus := kind.Start(t, rig.StartPeers(t, "tour.txt"))
		for _, command := range []string{
			"status", "status --watch", "status --json", "events", "doctor", "test server", "trace", "trace on", "sim local", "map 1 2", "unmap", "config", "config reload",
		} {
			w := want{args: command, code: 1, stderr: []string{": the daemon is not on the bus; is the service remsim running?\n"}}
			w.check(t, rig.Remsim(t, append(strings.Fields(command), "--ubus", bus.Socket)...))
		}
	})
}
