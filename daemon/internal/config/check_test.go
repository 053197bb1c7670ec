package config

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// enabled is the least to put rules on: two modems that need nothing else.
const enabled = "config remsim 'main'\n\toption enabled '1'\n" +
	"config modem 'a'\n\toption match 'usb:1-1'\n\toption source 'local'\n" +
	"config modem 'b'\n\toption match 'usb:1-2'\n\toption source 'local'\n" +
	"config link 'wan'\n\toption network 'wan'\n"

// One row per rule between options and sections: what is added to `enabled`,
// and the problems that this makes, whole.
func TestRules(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"nothing added", "", nil},
		{"same match twice", "config modem 'c'\n\toption match 'usb:1-1'\n\toption source 'local'\n", []string{
			`remsim.c.match="usb:1-1" (line 12): is the modem of section a already; each modem needs a match of its own`}},
		{"same IMEI twice is masked", "config modem 'c'\n\toption match 'imei:490154203237518'\n\toption source 'local'\n" +
			"config modem 'd'\n\toption match 'imei:490154203237518'\n\toption source 'local'\n", []string{
			`remsim.d.match="imei:…7518" (line 15): is the modem of section c already; each modem needs a match of its own`}},
		{"no match", "config modem 'c'\n\toption source 'local'\n", []string{
			`remsim.c.match (line 11): is needed to know which modem it is; accepted: usb:PATH (as usb:2-1.4), imei:15 DIGITS, serial:TEXT or dev:/dev/NAME`}},
		{"no match with vpcd", "config modem 'c'\n\toption source 'local'\n\toption front 'vpcd'\n", nil},
		{"same client twice", "config modem 'c'\n\toption match 'usb:1-3'\n\toption source 'local'\n\toption client_id '5'\n" +
			"config modem 'd'\n\toption match 'usb:1-4'\n\toption source 'local'\n\toption client_id '05'\n", []string{
			`remsim.d.client_id="5" (line 18): with client_slot 0 is the client of section c already; each modem needs a pair of its own`}},
		{"same client id, other slot", "config modem 'c'\n\toption match 'usb:1-3'\n\toption source 'local'\n\toption client_id '5'\n" +
			"config modem 'd'\n\toption match 'usb:1-4'\n\toption source 'local'\n\toption client_id '5'\n\toption client_slot '1'\n", nil},
		{"remote without client id and way", "config modem 'c'\n\toption match 'usb:1-3'\n", []string{
			`remsim.c.client_id (line 11): is needed for a remote card while no orchestrator assigns one; accepted: a whole number, 0 to 1023`,
			`remsim.c.source="remote" (line 11): there is no way to a remote card: add config server with option host, or config bank with option host and list modem 'c', ` +
				`or enable config ionmesh 'ionmesh'; or set option source 'local'`}},
		{"bad client id is told once", "config modem 'c'\n\toption match 'usb:1-3'\n\toption client_id 'x'\nconfig server\n\toption host 'h'\n", []string{
			`remsim.c.client_id="x" (line 13): is not a whole number; accepted: a whole number, 0 to 1023`}},
		{"orchestrator assigns", "config modem 'c'\n\toption match 'usb:1-3'\nconfig ionmesh 'ionmesh'\n\toption enabled '1'\n\toption url 'https://h'\n", nil},
		{"direct bank needs a client id", "config modem 'c'\n\toption match 'usb:1-3'\nconfig bank\n\toption host 'h'\n\tlist modem 'c'\n", []string{
			`remsim.c.client_id (line 11): is needed for a remote card while no orchestrator assigns one; accepted: a whole number, 0 to 1023`}},
		{"another modem's bank is no way", "config modem 'c'\n\toption match 'usb:1-3'\n\toption client_id '1'\nconfig bank\n\toption host 'h'\n\tlist modem 'a'\n", []string{
			`remsim.c.source="remote" (line 11): there is no way to a remote card: add config server with option host, or config bank with option host and list modem 'c', ` +
				`or enable config ionmesh 'ionmesh'; or set option source 'local'`}},
		{"no front for a remote card", "config modem 'c'\n\toption client_id '1'\n\toption front 'none'\nconfig server\n\toption host 'h'\n", []string{
			`remsim.c.front="none" (line 13): warning: with source remote: the card is reached, but no modem will see it`}},
		{"device of another front", "config modem 'c'\n\toption match 'usb:1-3'\n\toption source 'local'\n\toption front 'cardem'\n\toption front_device 'qmi:/dev/cdc-wdm0'\n", []string{
			`remsim.c.front_device="qmi:/dev/cdc-wdm0" (line 15): does not fit front cardem; accepted: usb:PATH[:INTERFACE] or serial:TEXT[:INTERFACE]`}},
		{"uim-remote on USB", "config modem 'c'\n\toption match 'usb:1-3'\n\toption source 'local'\n\toption front 'uim-remote'\n\toption front_device 'usb:1-3'\n", []string{
			`remsim.c.front_device="usb:1-3" (line 15): does not fit front uim-remote; accepted: qmi:/dev/NAME[:SLOT]`}},
		{"vpcd on a serial number", "config modem 'c'\n\toption source 'local'\n\toption front 'vpcd'\n\toption front_device 'serial:ABC'\n", []string{
			`remsim.c.front_device="serial:ABC" (line 14): does not fit front vpcd; accepted: HOST:PORT of vpcd`}},
		{"device without a front", "config modem 'c'\n\toption source 'local'\n\toption front 'none'\n\toption front_device 'usb:1-3'\n", []string{
			`remsim.c.front_device="usb:1-3" (line 14): does not fit front none; accepted: nothing: front none opens no device`}},
		{"vpcd elsewhere", "config modem 'c'\n\toption source 'local'\n\toption front 'vpcd'\n\toption front_device 'pc.lan:35963'\n", []string{
			`remsim.c.front_device="pc.lan:35963" (line 14): warning: vpcd has no encryption: everyone on the way can read what the card is asked and answers`}},
		{"vpcd here", "config modem 'c'\n\toption source 'local'\n\toption front 'vpcd'\n\toption front_device '[::1]:35963'\n", nil},
		{"network of two", "config link 'x'\n\toption network 'wan'\n", []string{
			`remsim.x.network="wan" (line 12): is the network of section wan already; a link belongs to one section`}},
		{"link without a network", "config link 'x'\n", []string{
			`remsim.x.network (line 11): is needed; accepted: a name from /etc/config/network: letters, digits and _`}},
		{"server without a host", "config server\n", []string{
			`remsim.@server[0].host (line 11): is needed; accepted: a host name, an IPv4 address, or an IPv6 address without brackets`}},
		{"server in clear text", "config server\n\toption host '127.0.0.1'\n\toption tls '0'\nconfig server\n\toption host 'h'\n\toption tls '0'\n", []string{
			`remsim.@server[1].tls="0" (line 16): clear text to h is refused: set option tls '1', or add to section @server[1] the line: option allow_insecure '1'`}},
		{"server in clear text as wanted", "config server\n\toption host 'h'\n\toption tls '0'\n\toption allow_insecure '1'\n", nil},
		{"clear text to this router", "config server\n\toption host '::1'\n\toption tls 'no'\nconfig server\n\toption host '127.9.9.9'\n\toption tls 'no'\n" +
			"config server\n\toption host 'x.localhost.'\n\toption tls 'no'\nconfig server\n\toption host '::ffff:127.0.0.1'\n\toption tls 'no'\n", nil},
		{"clear text to a look-alike", "config server\n\toption host 'localhost.example.com'\n\toption tls '0'\n", []string{
			`remsim.@server[0].tls="0" (line 13): clear text to localhost.example.com is refused: set option tls '1', or add to section @server[0] the line: option allow_insecure '1'`}},
		{"bank in clear text", "config bank 'lab'\n\toption host '10.0.0.1'\n\toption tls '0'\n\tlist modem 'a'\n", []string{
			`remsim.lab.tls="0" (line 13): clear text to 10.0.0.1 is refused: set option tls '1', or add to section lab the line: option allow_insecure '1'`}},
		{"correction in clear text", "config bank\n\toption tls '0'\n", []string{
			`remsim.@bank[0].tls="0" (line 12): clear text to wherever the server says is refused: set option tls '1', or add to section @bank[0] the line: option allow_insecure '1'`}},
		{"orchestrator in clear text", "config ionmesh 'ionmesh'\n\toption enabled '1'\n\toption url 'http://ionmesh.example.com:5000'\n", []string{
			`remsim.ionmesh.url="http://ionmesh.example.com:5000" (line 13): clear text to ionmesh.example.com is refused: write https://, ` +
				`or add to section ionmesh the line: option allow_insecure '1'`}},
		{"orchestrator off", "config ionmesh 'ionmesh'\n\toption url 'http://ionmesh.example.com:5000'\n", nil},
		{"orchestrator without url", "config ionmesh 'ionmesh'\n\toption enabled '1'\n", []string{
			`remsim.ionmesh.url (line 11): is needed when enabled is 1; accepted: https://HOST[:PORT][/PATH], an IPv6 address in brackets`}},
		{"certificate without key", "config server\n\toption host 'h'\n\toption client_cert 'me'\n", []string{
			`remsim.@server[0].client_key (line 11): is needed with client_cert; accepted: an absolute path, or the name of a stored credential (letters, digits, . _ -)`}},
		{"key without certificate", "config server\n\toption host 'h'\n\toption client_key 'me'\n", []string{
			`remsim.@server[0].client_cert (line 11): is needed with client_key; accepted: an absolute path, or the name of a stored credential (letters, digits, . _ -)`}},
		{"certificates in clear text", "config server\n\toption host 'localhost'\n\toption tls '0'\n\toption ca_cert 'x'\n", []string{
			`remsim.@server[0].tls="0" (line 13): warning: means clear text: ca_cert, client_cert and client_key are not used`}},
		{"bank with modems and no host", "config bank\n\tlist modem 'a'\n", []string{
			`remsim.@bank[0].host (line 11): is needed with list modem; accepted: a host name, an IPv4 address, or an IPv6 address without brackets`}},
		{"bank of an unknown modem", "config bank\n\toption host 'h'\n\tlist modem 'a'\n\tlist modem 'primry'\n", []string{
			`remsim.@bank[0].modem="primry" (line 14): is no modem of this file; accepted: one of ["a" "b"]`}},
		{"bank of a link", "config bank\n\toption host 'h'\n\tlist modem 'wan'\n", []string{
			`remsim.@bank[0].modem="wan" (line 13): is no modem of this file; accepted: one of ["a" "b"]`}},
		{"modem in two banks", "config bank\n\toption host 'h'\n\tlist modem 'a'\nconfig bank\n\toption host 'i'\n\tlist modem 'a'\n", []string{
			`remsim.@bank[1].modem="a" (line 16): uses the bank of section @bank[0] already; a modem has one card`}},
		{"modem twice in a bank", "config bank\n\toption host 'h'\n\tlist modem 'a'\n\tlist modem 'a'\n", []string{
			`remsim.@bank[0].modem="a" (line 14): stands here twice; accepted: the name of a config modem section`}},
		{"slot of two modems", "config bank\n\toption host 'h'\n\tlist modem 'a'\nconfig bank\n\toption host 'h'\n\tlist modem 'b'\n", []string{
			`remsim.@bank[1].slot="0" (line 14): slot 0 of this bank is modem a's already; a card has one user`}},
		{"slots run out", "config bank\n\toption host 'h'\n\toption slot '1023'\n\tlist modem 'a'\n\tlist modem 'b'\n", []string{
			`remsim.@bank[0].slot="1023" (line 13): leaves no slot for the last of 2 modems; slots end at 1023`}},
		{"two corrections", "config bank\n\toption bank_id '2'\n\toption port '1'\nconfig bank\n\toption bank_id '2'\n", []string{
			`remsim.@bank[1].bank_id="2" (line 15): is corrected in section @bank[0] already`}},
		{"unknown control path", "config failover 'failover'\n\tlist control_path 'a'\n\tlist control_path 'wna'\n", []string{
			`remsim.failover.control_path="wna" (line 13): is no modem or link of this file; accepted: one of ["a" "b" "wan"], did you mean "wan"`}},
		{"control path twice", "config failover 'failover'\n\toption control_path 'a wan a'\n", []string{
			`remsim.failover.control_path="a" (line 12): stands here twice; accepted: the name of a config modem or config link section`}},
		{"budget without link", "config budget\n", []string{
			`remsim.@budget[0].link (line 11): is needed; accepted: the name of a config modem or config link section`}},
		{"budget of an unknown link", "config budget\n\toption link 'lte'\n", []string{
			`remsim.@budget[0].link="lte" (line 12): is no modem or link of this file; accepted: one of ["a" "b" "wan"]`}},
		{"two budgets for a link", "config budget\n\toption link 'a'\nconfig budget\n\toption link 'a'\n", []string{
			`remsim.@budget[1].link="a" (line 14): has its budget in section @budget[0] already`}},
		{"hook without script", "config hook\n", []string{`remsim.@hook[0].script (line 11): is needed; accepted: an absolute path`}},
		{"metrics for everyone", "config metrics 'metrics'\n\toption enabled '1'\n\toption listen '0.0.0.0:9187'\n", []string{
			`remsim.metrics.listen="0.0.0.0:9187" (line 13): warning: everyone who reaches this address can read the metrics`}},
		{"metrics off", "config metrics 'metrics'\n\toption listen '0.0.0.0:9187'\n", nil},
		{"list where one value belongs", "config server\n\tlist host 'a'\n\tlist host 'b'\n", []string{
			`remsim.@server[0].host="a b" (line 13): is a list of 2 values; accepted: one option, a host name, an IPv4 address, or an IPv6 address without brackets`}},
		{"list of one value", "config server\n\tlist host 'a'\n", nil},
		{"only ways over the card itself", "config failover 'failover'\n\tlist control_path 'r'\n" +
			"config modem 'r'\n\toption match 'usb:1-9'\n\toption network 'x'\n\toption client_id '1'\nconfig server\n\toption host 'h'\n", []string{
			`remsim.failover.control_path="r" (line 12): r needs the remote card to be online, and the card is reached over them; ` +
				`add a modem with source local or a config link, or set option fallback 'local'`}},
		{"a way over the card under another name", "config failover 'failover'\n\tlist control_path 'l'\n" +
			"config modem 'r'\n\toption match 'usb:1-9'\n\toption network 'x'\n\toption client_id '1'\nconfig server\n\toption host 'h'\nconfig link 'l'\n\toption network 'x_4'\n", []string{
			`remsim.failover.control_path="l" (line 12): l is the interface x_4 of modem r, which needs the remote card to be online, and the card is reached over them; ` +
				`add a modem with source local or a config link, or set option fallback 'local'`}},
		{"modem without a name", "config modem\n\toption match 'usb:1-9'\n\toption source 'local'\n", []string{
			`remsim.@modem[2] (line 11): has no name, by which the rest of the file would call it: write config modem 'NAME'`}},
		{"second main", "config remsim 'other'\n", []string{
			`remsim.other (line 11): is the second "remsim" section after main; only one is accepted`}},
		{"failover by another name", "config failover\n\toption detect 'fast'\n", []string{
			`remsim.@failover[0] (line 11): warning: is read, but LuCI looks for it under the name "failover": config failover 'failover'`}},
		{"unknown option", "config server\n\toption host 'h'\n\toption prot '1'\n", []string{
			`remsim.@server[0].prot="1" (line 13): warning: is not known and is not used; did you mean "port"?`}},
		{"option of another section", "config server\n\toption host 'h'\n\toption detect 'fast'\n", []string{
			`remsim.@server[0].detect="fast" (line 13): warning: is not known and is not used; it belongs into config failover`}},
		{"unknown section", "config sever\n\toption host 'h'\n", []string{
			`remsim.@sever[0] (line 11): warning: section type "sever" is not known and is not used; did you mean "server"?`}},
		{"the original's section", "config client 'client'\n\toption client_id '1'\n", []string{
			"remsim.client (line 11): warning: section type \"client\" is not known and is not used; client_id and client_slot stand in each config modem, " +
				"a name for the router in option device_id of config remsim 'main'; `remsim config import FILE` converts a file of the original project"}},
		{"the original's option", "config server 'server'\n\toption host 'h'\n\toption atr_ignore_rspro '0'\n", []string{
			`remsim.server.atr_ignore_rspro="0" (line 13): warning: is not known and is not used; an option atr in config modem always wins over the bank's`}},
		{"a statement that uci loses", "config hook\n\toption script /a;option x 1\n", []string{
			`remsim (line 12): warning: uci ignores what follows an unquoted ';' on this line; quote the value or start a new line`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, got := lines(t, enabled+tc.text)
			require.Equal(t, tc.want, got)
		})
	}
}

// All errors come at once, in the order of the file.
func TestAllErrorsAtOnce(t *testing.T) {
	_, problems, err := Parse("remsim", []byte(`config remsim 'main'
	option enabled 'ja'
config modem 'a'
	option role 'x'
	option client_id '9999'
config server
	option port 'http'
config budget
	option link 'nowhere'
`))
	require.NoError(t, err)
	var at []int
	for _, p := range problems {
		at = append(at, p.Line)
	}
	require.Equal(t, []int{2, 4, 5, 7, 9}, at)
}

// While it is not enabled, a configuration may be incomplete but not wrong.
func TestDisabledMayBeIncomplete(t *testing.T) {
	cfg, got := lines(t, "config modem 'a'\nconfig server\n\toption host 'h'\n\toption tls '0'\n")
	require.Len(t, got, 1)
	require.Contains(t, got[0], "clear text to h is refused")
	require.Len(t, cfg.Missing(), 2)
}

func TestSecretsAreMasked(t *testing.T) {
	const secretText = "S3CRET"
	for _, tc := range []struct{ section, option, value string }{
		{"modem 'a'", "pin", secretText},
		{"modem 'a'", "ki", secretText},
		{"modem 'a'", "imsi", secretText},
		{"server", "client_key", "not a name " + secretText},
		{"server", "ca_cert", "-----BEGIN CERTIFICATE-----\n" + secretText},
		{"ionmesh 'ionmesh'", "api_key", secretText},
		{"ionmesh 'ionmesh'", "api_key_file", "two words " + secretText},
		{"ionmesh 'ionmesh'", "url", "https://user:" + secretText + "@host"},
		{"ionmesh 'ionmesh'", "password", secretText},
		{"ionmesh 'ionmesh'", "auth_token", secretText},
	} {
		t.Run(tc.option, func(t *testing.T) {
			_, problems, err := Parse("remsim", []byte("config "+tc.section+"\n\toption "+tc.option+" '"+tc.value+"'\n"))
			require.NoError(t, err)
			require.NotEmpty(t, problems)
			require.Equal(t, "****", problems[0].Value)
			for _, p := range problems {
				require.NotContains(t, p.String(), secretText)
			}
		})
	}
	// A path is no secret, and helps to find the mistake.
	_, problems, err := Parse("remsim", []byte("config server\n\toption client_key '/etc/remsim/key/'\n"))
	require.NoError(t, err)
	require.Equal(t, "/etc/remsim/key/", problems[0].Value)
	// IMEIs are personal.
	_, problems, err = Parse("remsim", []byte("config modem 'a'\n\toption match 'imei:4901542032375'\n"))
	require.NoError(t, err)
	require.Equal(t, "imei:…2375", problems[0].Value)
}

// FuzzParse: whatever the text is, checking it ends without a panic, and what
// is reported can be shown: valid UTF-8, short values, not too many.
func FuzzParse(f *testing.F) {
	f.Add([]byte(working))
	f.Add([]byte(enabled + "config bank\n\tlist modem 'a b'\n\toption slot '1023'\n"))
	f.Add([]byte("config modem 'm'\n\toption match 'serial:\xff'\n\toption front_device ':::'\n\toption sim_line ':'\n\toption atr '3B'\n"))
	f.Add([]byte("config ionmesh\n\toption enabled 1\n\toption url 'http://[::1'\n\toption mcc_mnc '-----'\n"))
	f.Add([]byte("config failover 'x'\n\toption control_path ''\n\tlist control_path ''\n\tlist probe '\xff'\n"))
	f.Add([]byte("config budget\n\tlist link ''\nconfig hook\n\toption script '//'\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, problems, err := Parse("remsim", text)
		require.Equal(t, err != nil, cfg == nil)
		require.LessOrEqual(t, len(problems), maxProblems+1)
		for _, p := range problems {
			require.NotEmpty(t, p.Message)
			require.True(t, utf8.ValidString(p.Value), "%q", p.Value)
			require.LessOrEqual(t, len(p.Value), 60)
			require.Less(t, strings.Count(p.String(), "\n"), 1)
		}
		if cfg != nil {
			cfg.Costs()
			cfg.Corrections()
		}
	})
}
