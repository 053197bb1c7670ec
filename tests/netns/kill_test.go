package netns_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// moments is how often the daemon is killed.
const moments = 50

// TestKilledAtAnyMoment kills the daemon at random moments after its start, and
// meanwhile another program takes some of its rules away or an earlier
// configuration has left some behind: the next start leaves exactly the wanted ones.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, "fast")
	w.daemon.Until("links", func(s *rig.Status) bool { return s.Link("wan").Usable && s.Link("iot").Usable })
	want := w.complete()
	for n := range moments {
		w.daemon.End()
		require.Equal(t, want, sorted(w.rules()), "the rules stay when the daemon dies")
		switch n % 3 {
		case 1:
			w.router.Run("ip rule del pref 400 fwmark 0x10000000/0xf0000000\nip -6 route flush table 17202\nip route flush table 17201")
		case 2:
			w.router.Run("ip rule add pref 400 fwmark 0x30000000/0xf0000000 table 17203 protocol 173\nip route add unreachable default table 17203 metric 4294967295 protocol 173")
		}
		w.daemon.Start()
		pause(time.Duration(random.Int64N(int64(600 * time.Millisecond))))
		w.daemon.End()
		w.daemon.Start()
		w.daemon.Until("it is up", func(s *rig.Status) bool { return s.Failover.Control == "iot" })
		w.wants(want)
	}
	w.leave()
}

// perPath is how many rules and routes a path has: by mark, device (two) and source
// (two), its network, default and end in both families, and IPv6's link-local one.
const perPath = 5 + 3 + 5 + 4

// complete waits until both paths have all of theirs.
func (w *world) complete() (lines []string) {
	w.Helper()
	require.Eventually(w, func() bool {
		lines = sorted(w.rules())
		return len(lines) == 2*perPath
	}, rig.Bound, 20*time.Millisecond)
	return lines
}

// wants waits until the kernel holds exactly these rules and routes of ours.
func (w *world) wants(want []string) {
	w.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for begun := time.Now(); time.Since(begun) < rig.Bound; <-poll.C {
		if slices.Equal(want, sorted(w.rules())) {
			return
		}
	}
	require.Equal(w, want, sorted(w.rules()), w.daemon.Stderr)
}

// sorted are the lines in an order that does not depend on who came first.
func sorted(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return lines
}

// pause is the random moment itself; nothing is waited for.
func pause(d time.Duration) { <-time.After(d) }
