package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// newPage wipes the terminal and starts at its top.
const newPage = "\x1b[H\x1b[J"

func TestWatchRefreshesInPlace(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, nil)
		s.daemon.Until("registered", func(st *rig.Status) bool { return st.State == "waiting" && rig.Registered(st) })
		terminal, screen := rig.Terminal(t)
		watch := s.daemon.Begin(rig.Options{Terminal: terminal}, "status", "--watch")
		screen.Contains(t, "waiting")
		s.useCard()
		text, ok := screen.Until(func(text string) bool {
			pages := strings.Split(text, newPage)
			return strings.Contains(pages[len(pages)-1], "remote card ready, ICCID …0011") && strings.Contains(pages[len(pages)-1], "health 100")
		})
		require.True(t, ok, "the last page shows the change:\n%q", text)
		pages := strings.Split(text, newPage)
		require.Empty(t, pages[0], "everything stands on pages")
		for _, page := range pages[1:] {
			require.Equal(t, 1, strings.Count(page, "\nmodems"), "one status a page: %q", page)
		}
		watch.Signal(os.Interrupt)
		require.Zero(t, watch.Wait(), "Ctrl-C is a good end")
	})
}

func TestWatchAppendsToAFileAndEndsWithTheDaemon(t *testing.T) {
	onEachBus(t, func(t *testing.T, kind rig.BusKind) {
		s := newStage(t, kind, nil)
		s.daemon.Until("registered", rig.Registered)
		watch := s.daemon.Begin(rig.Options{}, "status", "--watch")
		watch.Stdout.Contains(t, "waiting")
		s.stop()
		require.Equal(t, 1, watch.Wait())
		require.NotContains(t, watch.Stdout.String(), "\x1b")
		require.Contains(t, watch.Stderr.String(), "remsim status: the daemon left the bus\n")
	})
}

func TestLongWorkShowsProgressOnATerminal(t *testing.T) {
	t.Parallel()
	s := newStage(t, rig.BusKinds()[0], nil)
	s.useCard()
	s.peers.Do("bank stall")
	terminal, screen := rig.Terminal(t)
	test := s.daemon.Begin(rig.Options{Terminal: terminal}, "test", "bank")
	screen.Contains(t, "\r\x1b[Ktest … 1 s")
	s.peers.Do("bank resume")
	test.Wait()
	screen.Contains(t, "keep-alive")
	last := screen.String()[strings.LastIndex(screen.String(), "\x1b[K"):]
	require.NotContains(t, last, " … ", "the progress is wiped before the result is shown: %q", screen)
}
