package app_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var remoteICCID = cardfake.Default().ICCID.String()

// cardSwitches is run on every rack: the fake as versions of ModemManager, and
// the real one with AT and with MBIM modems.
var cardSwitches = map[string]func(w *switchWorld){
	"there and back":                     thereAndBack,
	"wrong card":                         wrongCard,
	"bank goes away meanwhile":           bankAway,
	"daemon restarted meanwhile":         restarted,
	"modem under a new number meanwhile": renumbered,
}

// atOnce is how many rows run at the same time: they wait more than they work.
const atOnce = 6

func TestCardSwitchOnEveryModemManager(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for name, build := range racks {
		for what, play := range cardSwitches {
			all.Go(func() {
				turn <- struct{}{}
				t.Run(name+"/"+what, func(t *testing.T) { play(newSwitchWorld(t, build)) })
				<-turn
			})
		}
	}
	all.Wait()
}

// onLocal starts the daemon on the local card, with the remote one within reach.
func (w *switchWorld) onLocal(more string) {
	w.Helper()
	w.write(w.configure("local", more))
	w.assign()
	w.startSwitch()
	w.settled(model.SourceLocal, localICCID)
}

// choose asks for a card and forgets what the modem showed before.
func (w *switchWorld) choose(source model.Source) time.Time {
	w.Helper()
	w.eyes.forget()
	begun := time.Now()
	require.NoError(w, w.call("sim", map[string]any{"source": source}, nil))
	return begun
}

func thereAndBack(w *switchWorld) {
	w.onLocal("")
	for _, way := range []struct {
		source model.Source
		iccid  string
	}{{model.SourceRemote, remoteICCID}, {model.SourceLocal, localICCID}} {
		before, calls := w.eyes.objects(), len(w.netifd.Calls("wwan0"))
		begun := w.choose(way.source)
		w.wait("the switch to the "+string(way.source)+" card begins", func() bool { return len(w.netifd.Calls("wwan0")) > calls })
		w.settled(way.source, way.iccid)
		require.Greater(w, w.eyes.objects(), before, "a card change is a new object")
		require.Equal(w, []string{"down", "up"}, w.netifd.Calls("wwan0")[calls:])
		w.eyes.mu.Lock()
		w.Logf("to the %s card: ICCID seen after %v, registered after %v", way.source,
			w.eyes.cards[model.ICCID(way.iccid)].Sub(begun).Round(time.Millisecond), w.eyes.home[model.ICCID(way.iccid)].Sub(begun).Round(time.Millisecond))
		w.eyes.mu.Unlock()
	}
}

func wrongCard(w *switchWorld) {
	w.crossed.Store(true)
	w.onLocal("	option fallback 'local'\n")
	w.choose(model.SourceRemote)
	f := w.untilFinding("wrong-card")
	require.Contains(w, f.Text, "the modem shows …0045, expected …0011")
	w.settled(model.SourceLocal, localICCID)
	require.Contains(w, last(w.steps()), "the local card is back")
}

func bankAway(w *switchWorld) {
	w.turning = sync.OnceFunc(w.bank.Stop)
	w.onLocal("	option fallback 'local'\n")
	w.choose(model.SourceRemote)
	w.wait("the way back", func() bool { s := w.steps(); return len(s) > 0 && ended(last(s)) })
	w.settled(model.SourceLocal, localICCID)
	require.Contains(w, last(w.steps()), "the local card is back")
	require.Contains(w, last(w.steps()), "the front shows no card")
}

// restarted: the daemon is stopped with the network down, the line turned and
// the slot still empty, and started again.
func restarted(w *switchWorld) {
	w.onLocal("")
	w.frozen.Store(true)
	w.choose(model.SourceRemote)
	w.wait("the line turned and the slot empty", func() bool { return w.gpio.Level(w.chip, simLine) && w.slot() == "" })
	w.stop()
	require.Equal(w, "down", last(w.netifd.Calls("wwan0")))
	w.frozen.Store(false)
	w.write(w.configure("remote", ""))
	w.startSwitch()
	w.settled(model.SourceRemote, remoteICCID)
}

// renumbered: something else makes ModemManager probe the modem anew while the
// card is on its way.
func renumbered(w *switchWorld) {
	w.onLocal("")
	w.frozen.Store(true)
	w.choose(model.SourceRemote)
	w.wait("the line turned and the slot empty", func() bool { return w.gpio.Level(w.chip, simLine) && w.slot() == "" })
	if !w.replugsHidden() {
		w.wait("the modem without a card", func() bool { m := w.eyes.modem(); return m != nil && m.SIM == nil })
	}
	before := w.eyes.objects()
	w.replug()
	w.frozen.Store(false)
	w.settled(model.SourceRemote, remoteICCID)
	require.Greater(w, w.eyes.objects(), before)
}
