package ionmesh_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
)

// history is one random life of a router with its orchestrator. Package lease plays
// the same with messages alone, late and doubled ones among them; here the whole
// client runs, on a wire.
type history struct {
	*world
	*rand.Rand
	owner   map[int]int64       // slot -> the newest epoch that may use it
	ends    map[int64]time.Time // by epoch, the latest end that was granted
	highest int64
	story   []string
	held    int
}

// step lets something happen.
func (h *history) step() {
	what := ""
	switch h.IntN(14) {
	case 0:
		what = "crash"
		h.restart()
	case 1:
		off := h.spell(3 * time.Hour)
		what = "power off for " + off.String()
		h.reboot(off)
	case 2:
		what = "the clock is set, or not right any more"
		h.clock.mu.Lock()
		h.clock.trusted = !h.clock.trusted
		h.clock.bound = h.spell(time.Minute)
		h.clock.wall = time.Duration((h.Float64()*2 - 1) * float64(time.Hour))
		if h.clock.trusted {
			h.clock.wall = time.Duration((h.Float64()*2 - 1) * float64(h.clock.bound))
		}
		h.clock.mu.Unlock()
	case 3, 4:
		kinds := []ionmeshfake.Kind{ionmeshfake.Lose, ionmeshfake.Hang, ionmeshfake.Hangup, ionmeshfake.Half, ionmeshfake.HTML}
		f := ionmeshfake.Fault{Kind: kinds[h.IntN(len(kinds))], Times: 1 + h.IntN(4)}
		what = fmt.Sprintf("%s %d times", f.Kind, f.Times)
		h.fake.Misbehave(f)
	case 5:
		what = "outage"
		h.fake.Stop()
	case 6, 7:
		what = "the orchestrator is back"
		_ = h.fake.Resume() // it may be there
	case 8:
		what = "a move"
		slot := h.IntN(4)
		if _, err := h.fake.Move("router", 1, slot); err != nil {
			what = "no move"
		}
	case 9:
		h.fake.Set(func(o *ionmeshfake.Options) { o.Lease = time.Minute + h.spell(2*time.Hour) })
		what = "another length"
	case 10:
		h.fake.CutLean()
		what = "lean connections are cut"
	case 11:
		h.pipes.setCut(h.IntN(2) == 0)
		what = "the path is there, or not"
	default:
		what = "time"
	}
	h.story = append(h.story, what)
	for range 1 + h.IntN(4) {
		pass(h.spell(40 * time.Minute))
		h.check()
	}
}

func (h *history) spell(limit time.Duration) time.Duration {
	return time.Duration(h.Float64() * h.Float64() * h.Float64() * float64(limit))
}

// check compares what the router uses with what it was given.
func (h *history) check() {
	if v, ok := h.fake.Client("router"); ok && v.LeaseEnds.After(h.ends[v.Epoch]) {
		h.ends[v.Epoch] = v.LeaseEnds
		h.owner[v.Slot] = v.Epoch
	}
	_, l := h.now("primary")
	if l.Epoch < h.highest {
		h.fail("epoch %d is obeyed, and %d was seen", l.Epoch, h.highest)
	}
	h.highest = l.Epoch
	if !l.May {
		return
	}
	h.held++
	if end := h.ends[l.Epoch]; !time.Now().Before(end) {
		h.fail("epoch %d is used %v after its end", l.Epoch, time.Since(end))
	}
	if newest := h.owner[int(l.Card.Bank.Slot)]; newest != l.Epoch {
		h.fail("slot %d is used under epoch %d, and belongs to %d", l.Card.Bank.Slot, l.Epoch, newest)
	}
}

func (h *history) fail(format string, args ...any) {
	h.t.Fatalf("%s\n%s\n%v", fmt.Sprintf(format, args...), h.story, h.fake)
}

// TestHistoriesOfTheClient plays 1,000 random histories. REMSIM_SEED repeats a run.
func TestHistoriesOfTheClient(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("REMSIM_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("REMSIM_SEED=%d", seed)
	held := 0
	for n := range 1000 {
		synctest.Test(t, func(t *testing.T) {
			h := &history{Rand: rand.New(rand.NewPCG(seed, uint64(n))), owner: map[int]int64{}, ends: map[int64]time.Time{}}
			h.world = &world{t: t, pipes: newPipes(), clock: newClock(), memory: &memory{}}
			o := ionmeshfake.Options{Capabilities: []string{"lease", "commands"}, Listen: h.pipes.listen, Skew: time.Duration((h.Float64()*2 - 1) * float64(time.Hour))}
			if h.IntN(2) == 0 {
				o.Capabilities = append(o.Capabilities, "lean-beat")
			}
			var err error
			h.fake, err = ionmeshfake.Start(o)
			require.NoError(t, err)
			defer h.fake.Close()
			for slot := range 4 {
				h.fake.Add(ionmeshfake.Card{Bank: 1, Slot: slot, Endpoint: "192.0.2.7:9999"})
			}
			h.plan = plan(h.fake.URL())
			h.begin()
			defer func() { h.stop() }()
			for range 12 {
				h.step()
			}
			held += h.held
		})
	}
	require.Greater(t, held, 5000, "the histories must show cards in use")
	t.Logf("a card was in use at %d of the moments that were looked at", held)
}
