package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// What an idle daemon may take, and for how long it is watched.
const (
	idleMB      = 14 // megabytes of 2^20 bytes
	idleWakeups = 2  // a second
	idleTime    = 10 * time.Second
	settleTime  = 3 * time.Second // the counters of its last work are told, then all is quiet
	sampleTime  = 50 * time.Millisecond
)

// TestIdle measures a connected daemon that has nothing to do: the card is in the
// reader and powered, nobody sends it a command or asks for the status. The program is
// the plain build. `make size` prints its figures.
//
// A wake-up is an interval of 50 ms in which any of its threads ran, so that one
// event counts once, however many threads of the Go run time it takes and however
// often they look around before they sleep again. The switches of all threads are
// printed beside it.
func TestIdle(t *testing.T) {
	t.Parallel()
	peers := rig.StartPeers(t, "tour.txt")
	d := rig.StartDaemon(t, rig.DaemonOptions{Bus: rig.BusKinds()[0].Start(t, peers), UCI: peers.UCI(), Build: rig.Plain})
	s := &stage{T: t, peers: peers, daemon: d}
	s.useCard()
	s.peers.Do("modem primary rest") // the fake reader asks for the card all the time, to see it go

	watch(t, d.PID(), settleTime)
	woken, switched := watch(t, d.PID(), idleTime)
	rss := float64(number(t, fmt.Sprintf("/proc/%d/status", d.PID()), "VmRSS:")) / 1024 // it is in KiB
	fmt.Printf("    idle RSS %.1f MB (limit %d)\n", rss, idleMB)
	fmt.Printf("    idle wake-ups %.1f /s (limit %d)\n", woken, idleWakeups)
	fmt.Printf("    idle switches %.1f /s (all threads together)\n", switched)
	require.LessOrEqual(t, rss, float64(idleMB), "MB")
	require.LessOrEqual(t, woken, float64(idleWakeups), "wake-ups a second")
	require.Equal(t, "ready", d.Until("still at work", rig.InState("operational")).Modems[0].Card.State)
}

// watch counts for a while how often per second a process woke, and how often its
// threads went to sleep of their own accord.
func watch(t *testing.T, pid int, long time.Duration) (woken, switched float64) {
	t.Helper()
	tick := time.NewTicker(sampleTime)
	defer tick.Stop()
	begin, counts := time.Now(), switches(t, pid)
	var wakeups, sum int
	for time.Since(begin) < long {
		<-tick.C
		now := switches(t, pid)
		more := 0
		for thread, count := range now {
			more += count - counts[thread] // a new thread counts from 0
		}
		if more > 0 {
			wakeups++
		}
		sum += more
		counts = now
	}
	seconds := time.Since(begin).Seconds()
	return float64(wakeups) / seconds, float64(sum) / seconds
}

// switches counts how often each thread of a process went to sleep of its own
// accord: as often it had been woken.
func switches(t *testing.T, pid int) map[string]int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	counts := make(map[string]int)
	for _, file := range files {
		counts[file] = number(t, file, "voluntary_ctxt_switches:")
	}
	return counts
}

// number reads a field of a file in /proc.
func number(t *testing.T, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			require.NoError(t, err)
			return n
		}
	}
	require.FailNow(t, "no such field", "%s in %s", name, file)
	return 0
}
