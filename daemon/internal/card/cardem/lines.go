package cardem

import (
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

func linesOf(st Status) card.Lines {
	return card.Lines{
		Powered: st.Flags&StatusVCC != 0,
		Clock:   st.Flags&StatusClock != 0,
		Reset:   st.Flags&StatusReset != 0,
	}
}

// status takes the state of the contacts. edge: it was sent because one changed, not
// because we asked.
func (s *session) status(st Status, edge bool) {
	f, l := s.front, linesOf(st)
	f.mu.Lock()
	f.stats.Status = st
	if !f.fresh {
		// Turning the slot to the emulator looks to the firmware like power
		// coming on. The card session begins with the modem's first reset; RST
		// is at L whenever the slot is without power.
		if !f.selected || !l.Reset {
			f.mu.Unlock()
			return
		}
		f.fresh = true
	}
	f.mu.Unlock()
	if edge {
		s.countBurst(time.Now())
		if s.isLate(l) {
			return
		}
		s.fill(l)
	}
	s.report(l)
}

// burstTime is how close edges are that came while the host was away.
const burstTime = 20 * time.Millisecond

// countBurst counts edges that came at once.
func (s *session) countBurst(now time.Time) {
	if now.Sub(s.lastEdge) > burstTime {
		s.burst = 0
	}
	s.burst++
	s.lastEdge = now
}

// lagging tells whether the interrupt pipe may hold edges that are older than what
// comes on the other now: all its transfers came back at once.
func (s *session) lagging() bool {
	return s.burst >= irqDepth && time.Since(s.lastEdge) < burstTime
}

// lateTime is how long edges that are older than a command may come after it: eight at
// most, one a millisecond.
const lateTime = 500 * time.Millisecond

// isLate tells whether an edge is older than the command that proved it. Both
// pipes keep their order, but the interrupt pipe can lag behind when the host was away.
// The last edge before a command always survives: it is the one that released the
// reset.
func (s *session) isLate(l card.Lines) bool {
	if s.lateUntil.IsZero() {
		return false
	}
	late := time.Now().Before(s.lateUntil)
	if !late || l == s.lines {
		s.lateUntil = time.Time{}
	}
	return late
}

// fill reports the edges that must have been between the last and l, but are missing:
// the firmware keeps three messages and drops the oldest. It sends one message an
// edge, VCC before CLK, and CLK follows VCC: power without clock, where both were, is a
// power that was off; nothing changed is a reset that was released.
func (s *session) fill(l card.Lines) {
	was := s.lines
	switch {
	case was.Powered && was.Clock && l.Powered && !l.Clock:
		s.front.count(func(st *Stats) { st.LostEdges++ })
		s.report(card.Lines{Reset: l.Reset})
	case l == was && l.Powered && !l.Reset:
		s.front.count(func(st *Stats) { st.LostEdges++ })
		l.Reset = true
		s.report(l)
	}
}

// report tells the handler of an edge, if it is one.
func (s *session) report(l card.Lines) {
	was := s.lines
	if l == was {
		return
	}
	s.lines = l
	if l.Powered != was.Powered || l.Reset && !was.Reset {
		s.void()
	}
	s.handler.Lines(l)
}

// void forgets the command that a reset has ended.
func (s *session) void() {
	s.collecting = false
	f := s.front
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Resets++
	f.pending = 0
	s.stopBody()
}

// stopBody takes back the deadline of a body. f.mu is held.
func (s *session) stopBody() {
	f := s.front
	if f.bodyBy.IsZero() {
		return
	}
	f.bodyBy = time.Time{}
	// A link that does not take a deadline is closing, which Recv will tell.
	_ = f.arm()
}
