package lease_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
)

// world is a router and an orchestrator with real time between them, and a
// network that drops, delays and repeats. Its invariant: no card is used after the
// last end that the orchestrator has ever given it, and the newest epoch that the
// router has seen is the one that it obeys.
type world struct {
	*rand.Rand
	now    time.Duration // real time
	server struct {
		skew   time.Duration // its clock against real time
		epoch  int64
		length time.Duration
		ends   map[int64]time.Duration // by epoch, the latest that was granted
	}
	router struct {
		booted  time.Duration
		boots   int
		rate    float64 // of its clock
		skew    time.Duration
		trusted bool
		bound   time.Duration
		rec     lease.Record
		flash   lease.Record
		seen    int64
	}
	flying []flight
}

// flight is an answer under way.
type flight struct {
	lands  time.Duration
	answer lease.Answer
	boots  int
}

func (w *world) clock() lease.Clock {
	c := lease.Clock{
		Boot:   time.Duration(float64(w.now-w.router.booted) * w.router.rate),
		BootID: strconv.Itoa(w.router.boots), Trusted: w.router.trusted, Bound: w.router.bound,
	}
	c.Wall = noon.Add(w.now + w.router.skew)
	if !c.Trusted && w.IntN(3) == 0 {
		c.Wall = time.Unix(0, 0).Add(c.Boot) // a router without a battery
	}
	return c
}

// ask is a request that reaches the orchestrator at once and whose answer may be
// lost, late or there twice.
func (w *world) ask() {
	asked := w.clock()
	a := lease.Answer{Asked: asked, AskedEpoch: w.router.rec.Epoch, Epoch: w.server.epoch, HasLength: true, Length: w.server.length, ID: fmt.Sprint(w.server.epoch)}
	arrives := w.now + w.spell(40*time.Second)
	serverNow := noon.Add(arrives + w.server.skew).Truncate(time.Second)
	if w.IntN(2) == 0 {
		a.ServerTime = serverNow
		if w.IntN(2) == 0 {
			a.Until = serverNow.Add(w.server.length)
			a.HasLength = w.IntN(2) == 0
		}
	}
	if w.IntN(2) == 0 {
		a.Card = card(uint16(w.server.epoch % 100))
	}
	w.server.ends[w.server.epoch] = max(w.server.ends[w.server.epoch], arrives+w.server.length)
	for range []int{0, 1, 1, 1, 2}[w.IntN(5)] {
		w.flying = append(w.flying, flight{arrives + w.spell(10*time.Minute), a, w.router.boots})
	}
}

// spell is a time of up to limit, often short.
func (w *world) spell(limit time.Duration) time.Duration {
	return time.Duration(w.Float64() * w.Float64() * w.Float64() * float64(limit))
}

func (w *world) land() {
	var still []flight
	for _, f := range w.flying {
		switch {
		case f.boots != w.router.boots: // its connection died
		case f.lands > w.now:
			still = append(still, f)
		default:
			w.deliver(f.answer)
		}
	}
	w.flying = still
}

func (w *world) deliver(a lease.Answer) {
	r, err := lease.Take(w.router.rec, "router", a)
	if err != nil {
		if !errors.Is(err, lease.ErrStale) && !errors.Is(err, lease.ErrLate) && !errors.Is(err, lease.ErrNewGrant) {
			panic(err)
		}
		return
	}
	if lease.Worth(w.router.rec, r) || w.IntN(4) == 0 {
		w.router.flash = r
	}
	w.router.rec = r
	w.router.seen = max(w.router.seen, r.Epoch)
}

func (w *world) reboot(off time.Duration) {
	w.now += off
	w.router.boots++
	w.router.booted = w.now
	w.router.rec = w.router.flash
	w.router.trusted = false
	w.router.seen = w.router.rec.Epoch
}

// step lets something happen.
func (w *world) step() string {
	switch w.IntN(12) {
	case 0, 1, 2, 3:
		w.ask()
		return "ask"
	case 4: // a crash of the daemon: the run directory has the newest record
		return "crash"
	case 5:
		w.reboot(w.spell(3 * time.Hour))
		return "reboot"
	case 6: // NTP has answered, or lost its servers
		w.router.trusted = !w.router.trusted
		w.router.bound = 50*time.Millisecond + w.spell(time.Minute)
		w.router.skew = time.Duration((w.Float64()*2 - 1) * float64(time.Hour))
		if w.router.trusted {
			w.router.skew = time.Duration((w.Float64()*2 - 1) * float64(w.router.bound))
		}
		return "clock"
	case 7: // the card goes to another slot, once the lease before is over or kept alive
		w.server.epoch += 1 + w.Int64N(3)
		return "move"
	case 8:
		w.server.length = time.Minute + w.spell(2*time.Hour)
		return "length"
	case 9:
		c := w.clock()
		if r, ok := lease.ProveBySystem(w.router.rec, c); ok {
			w.router.rec = r
		}
		return "prove by system"
	case 10: // an answer that tells nothing but the time
		c := w.clock()
		serverNow := noon.Add(w.now + w.server.skew).Truncate(time.Second)
		w.now += w.spell(time.Minute)
		if r, ok := lease.ProveByServer(w.router.rec, w.clock(), c.Boot, serverNow); ok {
			w.router.rec = r
		}
		return "prove by server"
	}
	w.now += w.spell(2 * time.Hour)
	return "time"
}

func (w *world) check() error {
	state, left := lease.Judge(w.router.rec, w.clock())
	stops := w.now + time.Duration(float64(left)/w.router.rate) // if nothing else happens
	switch {
	case state == lease.Held && stops > w.server.ends[w.router.rec.Epoch]:
		return fmt.Errorf("epoch %d will be used for %s after its end", w.router.rec.Epoch, stops-w.server.ends[w.router.rec.Epoch])
	case w.router.rec.Epoch < w.router.seen:
		return fmt.Errorf("epoch %d is obeyed, and %d was seen", w.router.rec.Epoch, w.router.seen)
	case state == lease.Held && int64(w.router.rec.Card.Bank.Slot) != w.router.rec.Epoch%100:
		return fmt.Errorf("epoch %d is used with the card of another", w.router.rec.Epoch)
	}
	return nil
}

// TestHistories plays 1,000 random histories. REMSIM_SEED repeats a run.
func TestHistories(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("REMSIM_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("REMSIM_SEED=%d", seed)
	held, ended, proven := 0, 0, 0
	for history := range 1000 {
		w := &world{Rand: rand.New(rand.NewPCG(seed, uint64(history)))}
		w.server.skew = time.Duration((w.Float64()*2 - 1) * float64(time.Hour))
		w.server.epoch, w.server.length, w.server.ends = 1, time.Hour, map[int64]time.Duration{}
		w.router.rate = 1 + (w.Float64()*2-1)*100e-6
		var story []string
		for range 60 {
			what := w.step()
			w.land()
			story = append(story, fmt.Sprintf("%s %s", w.now.Round(time.Second), what))
			if err := w.check(); err != nil {
				t.Fatalf("REMSIM_SEED=%d history %d: %v\n%v", seed, history, err, story)
			}
			switch state, _ := lease.Judge(w.router.rec, w.clock()); {
			case state == lease.Held && what[:2] == "pr":
				proven++
				held++
			case state == lease.Held:
				held++
			case state == lease.Ended:
				ended++
			}
		}
	}
	require.Greater(t, held, 5000, "the histories must show leases at work")
	require.Greater(t, ended, 1000)
	require.Greater(t, proven, 100)
}
