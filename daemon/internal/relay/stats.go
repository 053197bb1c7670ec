package relay

import (
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// window is how many round trips the percentiles are taken from.
const window = 256

// statsInterval is the least time between two reports.
const statsInterval = instant(time.Second)

// counters count what passed, for model.TPDUStats.
type counters struct {
	sent, received, errors int64
	cached, auth           int64

	rtt  [window]uint32 // microseconds
	next int            // where the next one goes
	n    int

	due   instant // when to report; 0: nothing new
	dirty bool
}

func (c *counters) sentOne() {
	c.sent++
	c.dirty = true
}

// cachedOne: a command was answered in the card's place.
func (c *counters) cachedOne() {
	c.cached++
	c.dirty = true
}

func (c *counters) answered(rtt time.Duration) {
	c.received++
	c.dirty = true
	c.rtt[c.next] = uint32(min(rtt.Microseconds(), 1<<32-1))
	c.next = (c.next + 1) % window
	c.n = min(c.n+1, window)
}

func (c *counters) failed() {
	c.errors++
	c.dirty = true
}

// snapshot computes the figures, in milliseconds, by the nearest rank.
func (c *counters) snapshot() model.TPDU {
	t := model.TPDU{Sent: c.sent, Received: c.received, Errors: c.errors, Cached: c.cached, Auth: c.auth}
	if c.n == 0 {
		return t
	}
	sorted := c.rtt
	slices.Sort(sorted[:c.n])
	rank := func(percent int) float64 { return float64(sorted[(c.n*percent+99)/100-1]) / 1000 }
	t.RTTp50, t.RTTp99 = rank(50), rank(99)
	return t
}

// reportStats emits the counters, and looks again in a second only if something has
// happened since.
func (s *Session) reportStats() {
	c := &s.stats
	c.due = 0
	if !c.dirty {
		return
	}
	c.dirty = false
	s.emit(model.TPDUStats{At: stamp(), Modem: s.modem, TPDU: c.snapshot()})
}

// Stats are the session's counters.
func (s *Session) Stats() model.TPDU {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.snapshot()
}
