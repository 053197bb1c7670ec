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
)

// TestIdle measures a connected daemon that has nothing to do: the card is in the
// reader and powered, nobody sends it a command or asks for the status. The program is
// the plain build. `make size` prints its figures.
func TestIdle(t *testing.T) {
	t.Parallel()
	peers := rig.StartPeers(t, "tour.txt")
	d := rig.StartDaemon(t, rig.DaemonOptions{Bus: rig.BusKinds()[0].Start(t, peers), UCI: peers.UCI(), Build: rig.Plain})
	s := &stage{T: t, peers: peers, daemon: d}
	s.useCard()
	s.peers.Do("modem primary rest") // the fake reader asks for the card all the time, to see it go

	before := switches(t, d.PID())
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	begin := time.Now()
	<-timer.C
	after, took := switches(t, d.PID()), time.Since(begin)

	rss := float64(field1(t, d.PID(), "status", "VmRSS:")) / 1024 // it is in KiB
	rate := float64(woken(before, after)) / took.Seconds()
	fmt.Printf("    idle RSS %.1f MB (limit %d)\n", rss, idleMB)
	fmt.Printf("    idle wake-ups %.1f /s (limit %d)\n", rate, idleWakeups)
	require.LessOrEqual(t, rss, float64(idleMB), "MB")
	require.LessOrEqual(t, rate, float64(idleWakeups), "wake-ups a second")
	require.Equal(t, "ready", d.Until("still at work", rig.InState("operational")).Modems[0].Card.State)
}

// switches counts how often each thread of a process went to sleep of its own
// accord: as often it had been woken.
func switches(t *testing.T, pid int) map[string]int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	require.NoError(t, err)
	require.NotEmpty(t, tasks)
	counts := make(map[string]int)
	for _, task := range tasks {
		counts[task] = field1(t, pid, filepath.Join("task", filepath.Base(task), "status"), "voluntary_ctxt_switches:")
	}
	return counts
}

// woken adds up what was counted in between, in new threads too.
func woken(before, after map[string]int) (n int) {
	for task, count := range after {
		n += count - before[task]
	}
	return n
}

// field1 reads a number of a file in /proc/PID.
func field1(t *testing.T, pid int, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
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
