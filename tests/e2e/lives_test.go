package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// stopLimit is what the contract gives SIGTERM.
const stopLimit = 3 * time.Second

func (s *stage) stop() {
	s.Helper()
	code, took := s.daemon.Stop()
	require.Zero(s, code, s.daemon.Stderr)
	s.Logf("ended %s after SIGTERM", took.Round(time.Millisecond))
	require.Less(s, took, stopLimit, s.daemon.Stderr)
}

func TestUbusProgramOfOpenWrt(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		ubus := rig.Find(t, "ubus", "OpenWrt")
		s := newStage(t, kind, nil)
		s.daemon.Until("registered", rig.Registered)
		call := func(args ...string) string {
			t.Helper()
			r := rig.Run(t, ubus, append([]string{"-s", s.bus.Socket}, args...)...)
			require.Zero(t, r.Code, r.Stderr)
			return r.Stdout
		}
		status := object(t, call("call", "remsim", "status"))
		require.Equal(t, "demo-router", status["device_id"])
		require.Equal(t, keys(object(t, s.daemon.OK("status", "--json"))), keys(status))
		require.Contains(t, call("list"), "remsim\n")
		require.Contains(t, call("-v", "list", "remsim"), `"map":{"modem":"String","host":"String","port":"Integer","bank_id":"Integer","slot":"Integer"}`)
		require.Contains(t, call("call", "remsim", "events", `{"limit":1}`), `"events": [`)
		s.useCard()
		require.Equal(t, true, object(t, call("call", "remsim", "test", `{"target":"card","ubus_rpc_session":"00000000000000000000000000000000"}`))["ok"])
		bad := rig.Run(t, ubus, "-s", s.bus.Socket, "call", "remsim", "map", `{"bank_id":5000,"slot":1}`)
		require.NotZero(t, bad.Code)
		require.Contains(t, bad.Stderr, "(Invalid argument)")
		require.Contains(t, bad.Stdout, `"message": "argument bank_id: 5000 is not 0..1023"`, "says why")
	})
}

func TestTermination(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, nil)
		s.daemon.Stderr.Contains(t, `msg="started, version`)
		s.stop() // just started, and connecting

		s.daemon.Start()
		s.useCard()
		s.stop()
		s.check(want{args: "status", code: 1, stderr: []string{"the daemon is not on the bus"}})

		s.daemon.Start()
		before := s.daemon.Until("the card is back", rig.CardIs("present", "ready")).Sequence
		s.peers.Do("modem primary power-on")
		s.peers.Do("bank stall")
		asked := make(chan error, 1)
		go func() {
			_, err := s.peers.Ask("modem primary read-iccid " + iccid)
			asked <- err
		}()
		s.daemon.Until("the command is on its way", func(st *rig.Status) bool { return st.Sessions[0].TPDU.Sent > st.Sessions[0].TPDU.Received })
		s.stop() // in the middle of a command
		require.Error(t, <-asked, "the modem is told that its card went away")
		s.peers.Do("bank resume")

		s.daemon.Start()
		require.Greater(t, s.daemon.Until("registered", rig.Registered).Sequence, before, "sequences never repeat")
		s.daemon.Signal(syscall.SIGINT)
		require.Zero(t, s.daemon.Wait())
	})
}

func TestTerminationWhileNothingAnswers(t *testing.T) {
	t.Parallel()
	peers := rig.StartPeers(t, "tour.txt")
	bus := &rig.Bus{Socket: rig.Dir(t) + "/nobody.sock"}
	s := &stage{T: t, peers: peers, bus: bus, daemon: rig.StartDaemon(t, rig.DaemonOptions{Bus: bus, UCI: peers.UCI()})}
	peers.Do("server stop")
	s.daemon.Stderr.Contains(t, `msg="started, version`)
	s.stop()
}

func TestBrokerRestarts(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, nil)
		s.useCard()
		watch := s.daemon.Begin(rig.Options{}, "status", "--watch")
		follow := s.daemon.Begin(rig.Options{}, "events", "--follow")
		watch.Stdout.Contains(t, "health 100 of 100")
		follow.Stdout.Contains(t, "the modem powered the card")
		s.bus.Restart()
		for _, p := range []*rig.Process{watch, follow} {
			require.Equal(t, 1, p.Wait(), "it does not hang: %s", p.Stderr)
			require.Contains(t, p.Stderr.String(), ": the connection to ubusd ended\n")
		}
		s.daemon.Until("on the bus again", rig.InState("operational"))
		s.peers.Do("modem primary read-more")
		s.peers.Do("modem primary no-reset-since")
	})
}

func TestReloadBySignal(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, nil)
		s.useCard()
		good := s.peers.UCI()

		s.daemon.Write(strings.Replace(good, "demo-router", "another-name", 1))
		s.daemon.Signal(syscall.SIGHUP)
		s.daemon.Until("the new name", func(st *rig.Status) bool { return st.DeviceID == "another-name" })
		s.peers.Do("modem primary read-more")
		s.peers.Do("modem primary no-reset-since") // what did not change was left alone

		s.daemon.Write(badUCI)
		s.daemon.Signal(syscall.SIGHUP)
		st := s.daemon.Until("refused", rig.HasFinding("config-refused"))
		require.Equal(t, "another-name", st.DeviceID)
		require.Equal(t, "critical", st.Finding("config-refused").Severity)
		require.Equal(t, "ready", st.Modems[0].Card.State, "the card stays")
		s.check(
			want{args: "config", code: 1, stdout: badWords},
			want{args: "status", stdout: []string{"critical config: ", "remsim config check"}},
			want{args: "doctor", code: 1, stdout: []string{"FAIL  configuration "}},
		)
		s.daemon.Stderr.Contains(t, "configuration refused")

		s.daemon.Write(strings.Replace(good, "enabled '1'", "enabled '0'", 1))
		s.daemon.Signal(syscall.SIGHUP)
		s.daemon.Until("switched off", rig.InState("stopped"))
		s.check(want{args: "status", stdout: []string{"stopped"}})

		s.daemon.Write(good)
		s.daemon.Signal(syscall.SIGHUP)
		s.daemon.Until("all is well", func(st *rig.Status) bool { return rig.CardIs("present", "ready")(st) && len(st.Health.Findings) == 0 })
	})
}

func TestBadConfigurationAtStart(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, func(*stage, string) string { return badUCI })
		st := s.daemon.Until("published all the same", rig.InState("stopped"))
		require.NotNil(t, st.Finding("config-invalid"))
		s.check(
			want{args: "status", stdout: []string{"stopped", "modems\n  none configured\n", "critical config: ", "remsim.primary.front"}},
			want{args: "config", code: 1, stdout: append([]string{"refused, 4 errors\n"}, badWords...)},
			want{args: "doctor", code: 1, stdout: []string{"FAIL  configuration ", "-> Run `remsim config check`"}},
			want{args: "test server", code: 1, stderr: []string{"no modem is set up for a remote card"}},
		)

		// Corrected, it works without a new start.
		s.daemon.Write(s.peers.UCI())
		s.check(want{args: "config reload", stdout: []string{"accepted\n"}})
		s.daemon.Until("registered", rig.Registered)

		// Spoilt between two lives, the last good one is used.
		s.daemon.Write(badUCI)
		s.stop()
		s.daemon.Start()
		s.daemon.Until("registered with the last good one", func(st *rig.Status) bool {
			return rig.Registered(st) && st.DeviceID == "demo-router" && st.Finding("config-refused") != nil
		})
		s.check(want{args: "config", code: 1, stdout: badWords})
		s.stop()
	})
}

func TestWithoutAConfigurationFile(t *testing.T) {
	t.Parallel()
	s := newStage(t, rig.BusKinds()[0], nil)
	s.daemon.Stderr.Contains(t, `msg="started, version`)
	s.stop()
	other := rig.StartDaemon(t, rig.DaemonOptions{Bus: s.bus, UCI: ""})
	st := other.Until("it lives", rig.InState("stopped"))
	require.NotEmpty(t, st.Reason)
}
