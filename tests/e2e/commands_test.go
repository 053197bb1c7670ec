package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// withBank adds a section for the bank of the world, so that `map` knows the way.
func withBank(s *stage, uci string) string {
	host, port, _ := strings.Cut(s.peers.Banks["1"], ":")
	return uci + "\nconfig bank\n\toption bank_id '1'\n\toption host '" + host + "'\n\toption port '" + port + "'\n\toption tls '0'\n"
}

// Each part goes on where the one before left off.
func TestCommandsOfADay(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, withBank)
		for _, part := range []struct {
			name string
			run  func(s *stage)
		}{
			{"without a card", withoutCard},
			{"with a card", withCard},
			{"status as JSON", statusJSON},
			{"trace", traced},
			{"events", events},
			{"bank away", bankAway},
			{"taken away and given back", takenAway},
			{"local card", localCard},
			{"configuration", configuration},
			{"words that the daemon refuses", refusedByDaemon},
		} {
			require.True(t, t.Run(part.name, func(t *testing.T) { part.run(s.at(t)) }))
		}
	})
}

func withoutCard(s *stage) {
	s.daemon.Until("registered, no card yet", func(st *rig.Status) bool { return st.State == "waiting" && rig.Registered(st) })
	s.check(
		want{args: "status", stdout: []string{
			" on demo-router: waiting (up ", "registered as client 7 slot 1, no card assigned yet",
			"primary    primary  remote card absent, front vpcd",
			"server  " + s.peers.Server + " connected for ", ", clear text\n",
			"health ", "warning  primary: no card is assigned to this modem", "Create a slot map for this client id and slot",
		}, not: []string{"round trip"}},
		want{args: "doctor", code: 1, stdout: []string{
			"ok    configuration          accepted\n", "ok    primary server         connected to " + s.peers.Server,
			"FAIL  primary assignment     no bank slot is assigned\n", "-> Create a slot map",
			"FAIL  primary bank           not checked, because this failed: primary assignment\n",
			"\n\nprimary assignment: no bank slot is assigned\n", // the verdict
		}},
		want{args: "doctor --json", code: 1, stdout: []string{`"verdict": "primary assignment: no bank slot is assigned"`}},
		want{args: "doctor primary", code: 1, stdout: []string{"primary assignment"}},
		want{args: "test server", stdout: []string{"ok    keep-alive ", " ms  connected to " + s.peers.Server + ", which answers\n"}},
		want{args: "test bank", code: 1, stdout: []string{"FAIL  ", "primary has no bank to connect to now\n"}},
		want{args: "test card primary", code: 1, stdout: []string{"FAIL  bank", "no bank is connected\n"}},
		want{args: "test bank --json", code: 1, stdout: []string{`"ok": false`, `"steps": [`}},
		want{args: "trace", stdout: []string{"nothing traced; `remsim trace on` starts it\n"}},
		want{args: "trace on", stdout: []string{"trace switched on; `remsim trace` shows it\n"}},
	)
}

func withCard(s *stage) {
	s.useCard()
	bank := s.peers.Banks["1"]
	s.check(
		want{args: "status", stdout: []string{
			" on demo-router: operational (up ", "primary uses the card in bank 1 slot 2\n",
			"remote card ready, ICCID …0011, front vpcd\n", "connected, client 7 slot 1, bank 1 slot 2\n",
			"bank    " + bank + " connected for ", " answered, 0 errors, round trip ", "health 100 of 100\n",
		}, not: []string{iccid}},
		want{args: "doctor", stdout: []string{
			"ok    primary assignment     bank 1 slot 2\n", "ok    primary bank           connected to " + bank,
			"ok    primary card           ready, ICCID …0011\n", "ok    primary answers        ", "\n\neverything that was checked works\n",
		}, not: []string{"FAIL"}},
		want{args: "doctor --json", stdout: []string{`"verdict": "everything that was checked works"`}},
		want{args: "test server", stdout: []string{"ok    keep-alive"}},
		want{args: "test bank", stdout: []string{"ok    keep-alive", "connected to " + bank + ", which answers\n"}},
		want{args: "test card", stdout: []string{
			"ok    bank ", "ok    card ", "ok    atr ", "3B9F96801FC78031A073BE211372656D73696D0001B3\n", "ok    iccid ", "…0011\n",
			"ok    status ", "20 round trips: p50 ", "the service table (EF.UST) names 16 services of 136\n",
			"with a MAC failure, as it should\n", "ok    verdict ",
		}, not: []string{"FAIL", iccid}},
	)
	s.peers.Do("modem primary no-reset-since")
}

// The keys are those of docs/UBUS.md.
func statusJSON(s *stage) {
	text := s.daemon.OK("status", "--json")
	require.NotContains(s, text, iccid, "masked")
	o := object(s.T, text)
	require.Equal(s, []string{
		"budget", "device_id", "failover", "health", "ionmesh", "links", "modems", "reason", "sequence", "sessions", "state", "time", "uptime_s", "version",
	}, keys(o))
	require.Equal(s, "operational", o["state"])
	require.Equal(s, "…0011", field(s.T, o, "modems", "0", "card", "iccid"))
	require.Equal(s, "3B9F96801FC78031A073BE211372656D73696D0001B3", field(s.T, o, "modems", "0", "card", "atr"))
	require.Equal(s, map[string]any{"id": 7.0, "slot": 1.0}, field(s.T, o, "sessions", "0", "client"))
	require.Equal(s, map[string]any{"id": 1.0, "slot": 2.0}, field(s.T, o, "sessions", "0", "bank"))
	require.Equal(s, s.peers.Banks["1"], field(s.T, o, "sessions", "0", "bankd", "address"))
	require.Equal(s, 100.0, field(s.T, o, "health", "score"))
	require.Empty(s, field(s.T, o, "health", "findings"))
}

func traced(s *stage) {
	text := s.daemon.OK("trace")
	for _, words := range []string{"SELECT MF\n", "SELECT ADF USIM\n", "READ BINARY EF.ICCID\n", "AUTHENTICATE\n", "> 0088008122{34 bytes hidden}\n", "< {53 bytes hidden}  9000 ok\n"} {
		require.Contains(s, text, words)
	}
	// Nothing of what the card and its network said to each other in secret.
	authenticated := 0
	for _, e := range s.peers.Log(1) {
		if strings.HasPrefix(e.Command, "008800") {
			authenticated++
			for _, secret := range []string{e.Command[12:44], e.Command[46:78]} { // RAND, AUTN
				require.NotContains(s, strings.ToLower(text), secret)
			}
		}
		if strings.HasPrefix(e.Answer, "db08") {
			require.NotContains(s, strings.ToLower(text), e.Answer[4:20], "RES")
		}
	}
	require.NotZero(s, authenticated)

	file := filepath.Join(s.TempDir(), "trace.pcap")
	require.Contains(s, s.daemon.OK("trace", "--pcap", file), " APDUs written to "+file)
	capture, err := os.ReadFile(file)
	require.NoError(s, err)
	require.Equal(s, "\xD4\xC3\xB2\xA1", string(capture[:4]), "the magic of a capture file")
	require.Greater(s, len(capture), 24+16+44+7, "a SELECT is in it")
	s.check(want{args: "trace off", stdout: []string{"trace switched off\n"}})
	var reply struct{ APDUs []map[string]any }
	require.NoError(s, json.Unmarshal([]byte(s.daemon.OK("trace", "--limit", "1", "--json")), &reply))
	require.Len(s, reply.APDUs, 1)
	require.Equal(s, []string{"command", "id", "modem", "ms", "name", "response", "status", "time"}, keys(reply.APDUs[0]))
	before := s.daemon.OK("trace")
	s.peers.Do("modem primary read-more")
	require.Equal(s, before, s.daemon.OK("trace"), "nothing more is traced")
}

func events(s *stage) {
	text := s.daemon.OK("events")
	last := 0
	for _, words := range []string{ // in the order in which they happened
		"connected to server " + s.peers.Server, "waiting: primary: registered as client 7 slot 1, no card assigned yet",
		"bank 1 slot 2 assigned to client 7 slot 1 (by server)", "connected to bank " + s.peers.Banks["1"],
		"the modem powered the card", "APDU trace switched off",
	} {
		at := strings.Index(text, words)
		require.GreaterOrEqual(s, at, last, "%q, newest last:\n%s", words, text)
		last = at
	}
	require.Regexp(s, `(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  server     primary    connected to server `, text)
	for line := range strings.Lines(s.daemon.OK("events", "--kind", "card")) {
		require.Contains(s, line, "  card       primary    ")
	}
	require.Equal(s, 2, strings.Count(s.daemon.OK("events", "--limit", "2"), "\n"))
	var reply struct{ Events []map[string]any }
	require.NoError(s, json.Unmarshal([]byte(s.daemon.OK("events", "--limit", "1", "--json")), &reply))
	require.Len(s, reply.Events, 1)
	require.Equal(s, "command", reply.Events[0]["kind"])
	require.Equal(s, "APDU trace switched off", reply.Events[0]["text"])
	s.check(want{args: "events --kind colour", code: 2, stderr: []string{`kind "colour" is not one of daemon config `}})
}

// bankAway follows the events of an outage in two windows.
func bankAway(s *stage) {
	all := s.daemon.Begin(rig.Options{}, "events", "--follow")
	banks := s.daemon.Begin(rig.Options{}, "events", "--follow", "--kind", "bank", "--json", "--limit", "1")
	all.Stdout.Contains(s, "APDU trace switched off") // the past comes first
	banks.Stdout.Contains(s, "connected to bank")
	s.peers.Do("bank stop")
	s.daemon.Until("the outage", rig.InState("ride_through"))
	s.check(
		want{args: "status", stdout: []string{"ride_through", "is away (", ", the card is held\n", "remote card lost"}},
		want{args: "doctor", code: 1, stdout: []string{"FAIL  primary bank ", "-> "}},
		want{args: "test card", code: 1, stdout: []string{"FAIL  bank"}},
	)
	all.Stdout.Contains(s, "the bank is lost, the card is held")
	s.check(want{args: "test bank", code: 1, stdout: []string{"FAIL  "}})
	s.peers.Do("bank start")
	s.daemon.Until("all is well", func(st *rig.Status) bool { return st.State == "operational" && len(st.Health.Findings) == 0 })
	all.Stdout.Contains(s, "the bank is back with the same card")
	_, ok := banks.Stdout.Until(func(text string) bool { return strings.Count(text, `"connected to bank `) >= 2 })
	require.True(s, ok, banks.Stdout)
	require.NotContains(s, banks.Stdout.String(), `"kind": "card"`)
	for _, p := range []*rig.Process{all, banks} {
		p.Signal(os.Interrupt)
		require.Zero(s, p.Wait(), "Ctrl-C is a good end")
		require.Empty(s, p.Stderr.String())
	}
	s.peers.Do("modem primary read-more") // below what was selected before the outage
	s.peers.Do("modem primary no-reset-since")
}

func takenAway(s *stage) {
	s.check(want{args: "unmap", stdout: []string{"remote card taken away; see `remsim status`\n"}})
	s.daemon.Until("taken away", func(st *rig.Status) bool { return st.State == "waiting" && st.Finding("unmapped") != nil })
	s.check(
		want{args: "status", stdout: []string{"unmapped by command", "Run `remsim map`"}},
		want{args: "map 1 2", stdout: []string{"assigned: bank 1 slot 2; see `remsim status`\n"}},
	)
	s.daemon.Until("back", rig.CardIs("present"))
	host, port, _ := strings.Cut(s.peers.Banks["1"], ":")
	s.check(
		want{args: "unmap primary", stdout: []string{"taken away"}},
		want{args: "map --modem primary --host " + host + " --port " + port + " 1 2 --json", stdout: []string{`"sequence": `}},
	)
	s.work()
}

func localCard(s *stage) {
	s.check(want{args: "sim local", stdout: []string{"card source: local; see `remsim status`\n"}})
	s.daemon.Until("local", func(st *rig.Status) bool {
		return st.Modems[0].Card.Source == "local" && st.Modems[0].Card.State == "none"
	})
	s.check(
		want{args: "status", stdout: []string{"operational", "no modem uses a remote card\n", "primary    primary  local card\n"}},
		want{args: "doctor", stdout: []string{"uses its own local card\n"}},
		want{args: "sim primary remote", stdout: []string{"card source: remote; see `remsim status`\n"}},
	)
	s.daemon.Until("remote again", rig.CardIs("present"))
}

func configuration(s *stage) {
	good := s.peers.UCI()
	s.check(
		want{args: "config", stdout: []string{"  seconds   MB a month  what the settings cost\n", "     40.0 ", "pings with the server every 30 s", "/config/remsim: accepted\n"}},
		want{args: "config reload", stdout: []string{"/config/remsim: accepted\n"}, not: []string{"error"}},
		want{args: "config --json", stdout: []string{`"ok": true`, `"costs": [`, `"errors": [`, `"path": "`}},
	)
	s.daemon.Write(badUCI)
	s.check(
		want{args: "config reload", code: 1, stdout: append([]string{"refused, 4 errors\n"}, badWords...)},
		want{args: "config reload --json", code: 1, stdout: []string{`"ok": false`, `"option": "client_id"`}},
		want{args: "config", code: 1, stdout: append([]string{"/config/remsim: refused, 4 errors\n"}, badWords...)},
	)
	st := s.daemon.Until("the finding", rig.HasFinding("config-refused"))
	require.NotEqual(s, "stopped", st.State, "what was accepted before stays in use")
	s.daemon.Write(good)
	s.check(want{args: "config reload --json", stdout: []string{`"ok": true`}})
	s.daemon.Until("the finding is gone", func(st *rig.Status) bool { return st.Finding("config-refused") == nil })
}

func refusedByDaemon(s *stage) {
	s.check(
		want{args: "sim both", code: 1, stderr: []string{`remsim sim: source "both" is neither remote nor local`}},
		want{args: "sim nosuch local", code: 1, stderr: []string{`there is no modem "nosuch"; configured: primary`}},
		want{args: "unmap nosuch", code: 1, stderr: []string{`there is no modem "nosuch"; configured: primary`}},
		want{args: "map 1 1024", code: 1, stderr: []string{"argument slot: 1024 is not 0..1023"}},
		want{args: "map 7 1", code: 1, stderr: []string{"argument host is missing: bank 7 is in no bank section and was not reached yet"}},
		want{args: "map --port 70000 1 1", code: 1, stderr: []string{"argument port: 70000 is not 1..65535"}},
		want{args: "test moon", code: 1, stderr: []string{`"moon" is not one of server bank card`}},
		want{args: "trace --limit 201", code: 1, stderr: []string{"argument limit: 201 is not 1..200"}},
		want{args: "events --limit 0", code: 1, stderr: []string{"argument limit: 0 is not 1..500"}},
		want{args: "doctor nosuch", code: 1, stderr: []string{"there is no modem nosuch"}},
	)
}
