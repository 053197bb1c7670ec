package relay

import (
	"fmt"
	"time"
)

// arm sets the timer for the earliest deadline. It is only ever moved forward: a
// deadline that was met leaves the timer to fire once for nothing, which is cheaper
// than moving it twice for each command.
func (s *Session) arm(now instant) {
	if s.stats.dirty && s.stats.due == 0 {
		s.stats.due = now + statsInterval
	}
	due := s.due()
	if s.closed || due == 0 || s.armed != 0 && s.armed <= due {
		return
	}
	wait := time.Duration(max(due-now, 0))
	s.armed = due
	if s.timer == nil {
		s.ticking.Add(1)
		s.timer = time.AfterFunc(wait, s.tick)
		return
	}
	if !s.timer.Reset(wait) {
		s.ticking.Add(1) // it had fired, so this is another run
	}
}

// disarm stops the timer for good.
func (s *Session) disarm() {
	if s.timer != nil && s.timer.Stop() {
		s.ticking.Done()
	}
}

// due is the earliest deadline, 0 if there is none.
func (s *Session) due() instant {
	due := s.stats.due
	if s.pend.active {
		due = earliest(due, s.pend.limit)
	}
	due = earliest(due, s.owedBy)
	return earliest(due, s.setupBy)
}

func earliest(a, b instant) instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// tick runs what is due.
func (s *Session) tick() {
	defer s.ticking.Done()
	s.mu.Lock()
	defer s.unlock()
	s.armed = 0
	if s.closed {
		return
	}
	now := s.now()
	if s.pend.active && s.pend.limit <= now {
		s.giveUp()
	}
	if s.setupBy != 0 && s.setupBy <= now {
		s.setupTooLate()
	}
	if s.owedBy != 0 && s.owedBy <= now {
		s.drop(fmt.Errorf("%w: no answer to a command that was given up", ErrSilent))
	}
	if s.stats.due != 0 && s.stats.due <= now {
		s.reportStats()
	}
	s.pump(now)
	s.arm(now)
}

// ownSince is when the relay's own command, whose deadline runs, was sent.
func (s *Session) ownSince() instant { return s.setupBy - s.setupLimit }

// setupTooLate: the bank has not said in time what has to be known of the card.
func (s *Session) setupTooLate() {
	s.setupBy = 0
	switch {
	case s.phase == phaseSilent && len(s.plan.ATR) > 0:
		// A bank that opens the card late sends no ATR; the owner has named one.
		s.identify()
	case s.phase == phaseSilent:
		s.drop(ErrNoATR)
	case s.phase == phaseIdentify && s.owes == owesIdentify && !s.shown:
		s.owe()
		s.recognise("", "no answer")
	default:
		s.drop(fmt.Errorf("%w: no answer while the card is made ready", ErrSilent))
	}
}
