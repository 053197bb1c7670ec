package netns_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// TestBenchStockPace prints what the figures of TestBenchFailover leave out: what comes
// of the card after a silent cut at a bank that believes the connection before to
// stand. A stock bank never finds out, until its operator takes the slot away and
// gives it again. (The server's connection is on the unmetered path, and stays.) `make
// bench-failover` runs it.
func TestBenchStockPace(t *testing.T) {
	if os.Getenv("REMSIM_FAILOVER_ROUNDS") == "" {
		t.Skip("runs by `make bench-failover`: REMSIM_FAILOVER_ROUNDS is not set")
	}
	t.Parallel()
	w := newWorld(t, "fast")
	w.takeCard()
	stop := w.traffic()
	defer stop()
	begun := time.Now()
	for _, c := range cuts {
		if c.name == "silent drop of what is sent" {
			c.do(w, w.paths["iot"])
			defer c.undo(w, w.paths["iot"])
		}
	}
	w.daemon.Until("control on wan", func(s *rig.Status) bool { return s.Failover.Control == "wan" })
	moved := time.Since(begun)
	s := w.patient("the bank is asked", func(s *rig.Status) bool { return s.Sessions[0].Bankd.State != "connected" })
	require.Equal(t, "ride_through", s.State, "the card is held meanwhile")
	asked := time.Now()
	w.far.Do("unassign bank 1 slot 2")
	w.far.Do("assign client 7 slot 1 bank 1 slot 2")
	w.patient("the card is back", func(s *rig.Status) bool { return s.State == "operational" && w.connected(s) })
	w.cardStayed()
	t.Logf("stock pace after a silent cut: control moved after %v; the bank held the slot for the connection before until it was\n"+
		"unmapped and mapped again, and had the card back %v after that",
		moved.Round(10*time.Millisecond), time.Since(asked).Round(10*time.Millisecond))
}

// patient waits longer than a test of ours would have to: for the others' clocks.
func (w *world) patient(what string, so func(*rig.Status) bool) *rig.Status {
	w.Helper()
	for range 5 {
		watch := w.daemon.Begin(rig.Options{}, "status", "--watch", "--json")
		s := rig.Statuses(watch, so)
		watch.End()
		if s != nil {
			return s
		}
	}
	w.Fatalf("not so within %s: %s; the daemon's log:\n%s", 5*rig.Bound, what, w.daemon.Stderr)
	return nil
}
