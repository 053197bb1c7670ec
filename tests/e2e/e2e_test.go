// Package e2e holds the black-box tests of the router program: the real binaries,
// started as procd and a user start them, against fakes that speak the real wires.
// What goes over ubus runs against our own broker and, where it is on the PATH,
// OpenWrt's ubusd.
package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// The card of tests/worlds/tour.txt, and who it is for.
const (
	assign = "assign client 7 slot 1 bank 1 slot 2"
	iccid  = "8988211000000000011"
)

// stage is a router in its world.
type stage struct {
	*testing.T
	peers  *rig.Peers
	bus    *rig.Bus
	daemon *rig.Daemon
}

// newStage starts the peers of the tour and the daemon. Edit changes its configuration.
func newStage(t *testing.T, kind rig.BusKind, edit func(s *stage, uci string) string) *stage {
	t.Helper()
	s := &stage{T: t, peers: rig.StartPeers(t, "tour.txt")}
	s.bus = kind.Start(t, s.peers)
	uci := s.peers.UCI()
	if edit != nil {
		uci = edit(s, uci)
	}
	s.daemon = rig.StartDaemon(t, rig.DaemonOptions{Bus: s.bus, UCI: uci})
	return s
}

// onEachBus runs a test once per kind of broker.
func onEachBus(t *testing.T, test func(t *testing.T, kind rig.BusKind)) {
	t.Helper()
	t.Parallel()
	for _, kind := range rig.BusKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

// at is t's stage in a subtest.
func (s *stage) at(t *testing.T) *stage {
	return &stage{T: t, peers: s.peers, bus: s.bus, daemon: s.daemon}
}

// useCard has the operator assign the card, and the modem work with it.
func (s *stage) useCard() {
	s.Helper()
	s.peers.Do(assign)
	s.work()
}

// work has the modem power the card that it is given, read it and authenticate.
func (s *stage) work() {
	s.Helper()
	s.daemon.Until("the card is shown", rig.CardIs("present", "ready"))
	s.peers.Do("modem primary power-on")
	s.peers.Do("modem primary read-iccid " + iccid)
	s.peers.Do("modem primary authenticate")
	s.daemon.Until("the card is at work", func(st *rig.Status) bool {
		return st.State == "operational" && st.Modems[0].Card.State == "ready" && st.Sessions[0].TPDU.Received >= 6
	})
}

// want is what a command must leave behind.
type want struct {
	args   string // split at blanks
	code   int
	stdout []string // must stand in it
	not    []string // must not stand in it
	stderr []string // must stand in it; none: it must be empty
}

// check runs commands one after the other.
func (s *stage) check(wants ...want) {
	s.Helper()
	for _, w := range wants {
		w.check(s.T, s.daemon.CLI(strings.Fields(w.args)...))
	}
}

func (w want) check(t *testing.T, r rig.Result) {
	t.Helper()
	all := fmt.Sprintf("$ remsim %s\n%s%s(status %d)", w.args, r.Stdout, r.Stderr, r.Code)
	require.Equal(t, w.code, r.Code, all)
	for _, text := range w.stdout {
		require.Contains(t, r.Stdout, text, all)
	}
	for _, text := range w.not {
		require.NotContains(t, r.Stdout, text, all)
	}
	for _, text := range w.stderr {
		require.Contains(t, r.Stderr, text, all)
	}
	if len(w.stderr) == 0 {
		require.Empty(t, r.Stderr, all)
	}
}

// object reads JSON of one object.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &o), text)
	return o
}

func keys(o map[string]any) []string {
	var names []string
	for k := range o {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// field walks into JSON: the names of keys, or "0" for the first of a list.
func field(t *testing.T, o any, path ...string) any {
	t.Helper()
	for _, p := range path {
		switch v := o.(type) {
		case map[string]any:
			require.Contains(t, v, p)
			o = v[p]
		case []any:
			require.Equal(t, "0", p)
			require.NotEmpty(t, v)
			o = v[0]
		default:
			require.FailNow(t, "no such field", "%s of %v", p, o)
		}
	}
	return o
}
