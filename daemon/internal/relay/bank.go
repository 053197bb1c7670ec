package relay

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// BankUp takes a new connection into use. The card behind it is powered and
// nothing is selected on it; whose it is has to be found out first.
func (s *Session) BankUp(b card.Bank) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return
	}
	if s.bank != nil {
		s.lose("another bank connection took its place")
	}
	now := s.now()
	s.bank, s.phase, s.atr, s.owes, s.ahead = b, phaseSilent, nil, owesNothing, 0
	s.setupBy = now + s.setupLimit
	s.arm(now)
}

// ATR is the card's answer to reset. Another one than before means another card.
func (s *Session) ATR(b card.Bank, atr []byte) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed || b != s.bank {
		return
	}
	if s.phase != phaseSilent && bytes.Equal(atr, s.atr) {
		return
	}
	late := s.phase != phaseSilent && len(s.atr) == 0
	s.atr = slices.Clone(atr)
	if late { // the owner has named one, and it was shown in place of this
		if s.phase > phaseIdentify {
			s.card.atr = s.atr
		}
		return
	}
	s.identify()
	now := s.now()
	s.pump(now)
	s.arm(now)
}

// identify starts to find out whose card it is. An answer that is owed comes first.
func (s *Session) identify() {
	if s.owes == owesCommand {
		s.pend.sent, s.pend.maybe = false, true
	}
	if s.owes != owesNothing && s.owes != owesStale {
		s.owe()
	}
	s.endProbe(errors.New("the card is being identified"))
	s.play.wipe()
	s.again.end()
	s.phase, s.ident, s.setupBy = phaseIdentify, identification{}, 0
}

// Response takes the bank's next answer. response is not kept.
func (s *Session) Response(b card.Bank, response []byte) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed || b != s.bank {
		return
	}
	now := s.now()
	if n := len(response); n < 2 || n > card.MaxResponse {
		s.drop(fmt.Errorf("%w: an answer of %d bytes, expected 2 to %d", ErrOutOfStep, n, card.MaxResponse))
		s.arm(now)
		return
	}
	if s.ahead > 0 {
		s.ahead--
		if s.owes == owesRecheck {
			s.rechecked(response, now)
			s.arm(now)
		} else {
			s.caughtUp(response)
		}
		return
	}
	to := s.owes
	s.owes, s.owedBy = owesNothing, 0
	switch to {
	case owesCommand:
		s.answer(response, now)
	case owesStale:
		s.stale(response, now)
	case owesCatchUp:
		if s.caughtUp(response); s.sync.bad != "" {
			s.astray()
		}
	case owesIdentify:
		s.identified(response)
	case owesReplay:
		s.replayed(response)
	case owesRecheck:
		s.rechecked(response, now)
	case owesProbe:
		s.probed(response, now)
	default:
		// The bank answered something twice, or something that nobody
		// sent. From here on no answer could be told from another.
		s.drop(fmt.Errorf("%w: an answer without a command", ErrOutOfStep))
	}
	s.pump(now)
	s.arm(now)
}

// answer gives the modem the answer to its command.
func (s *Session) answer(response []byte, now instant) {
	p := &s.pend
	s.stats.answered(time.Duration(now - p.sentAt))
	if s.sync.bad != "" {
		s.astray()
		return
	}
	if err := s.front.Answer(p.id, response); err != nil {
		// ErrStale: the modem has reset the card, and its edge is under way.
		s.stats.failed()
		if !errors.Is(err, card.ErrStale) {
			s.note("an answer could not be given to the modem: " + err.Error())
		}
	}
	if s.tracer.on {
		s.trace(p.tpdu(), response, p.since, "")
	}
	s.learn(p.tpdu(), response, now)
	p.erase()
}

// stale throws an answer away. If it belongs to a muted command, the card did
// execute that, which has to be known to replay it.
func (s *Session) stale(response []byte, now instant) {
	if s.late.n > 0 && s.sync.bad == "" {
		s.learn(s.late.tpdu(), response, now)
	}
	s.late.erase()
	if s.sync.bad != "" {
		s.astray()
	}
	if s.resetting {
		s.resetting = false
		s.report("the reset is done")
	}
}

// BankDown forgets the connection. Commands without an answer may have reached
// the card.
func (s *Session) BankDown(b card.Bank, err error) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed || b != s.bank {
		return
	}
	reason := "the bank closed the connection"
	if err != nil {
		reason = err.Error()
	}
	s.lose(reason)
	s.arm(s.now())
}

// drop gives the present connection up, at once for the session.
func (s *Session) drop(reason error) {
	s.stats.failed()
	s.dropping, s.dropReason = s.bank, reason
	s.lose(reason.Error())
}

// lose: there is no bank any more.
func (s *Session) lose(reason string) {
	if s.owes == owesCommand {
		s.pend.sent, s.pend.maybe = false, true
	}
	s.bank, s.phase, s.owes, s.owedBy, s.setupBy, s.resetting = nil, phaseGone, owesNothing, 0, 0, false
	s.ahead = 0
	s.late.erase()
	s.play.wipe()
	s.sync.wipe()
	s.again.end()
	s.endProbe(errors.New("the bank is gone: " + reason))
	switch {
	case !s.shown:
		s.card = known{}
		s.report("no card: " + reason)
	case s.plan.Hold:
		s.report("the bank is lost, the card is held: " + reason)
		if s.pend.active {
			s.answerHeld()
		}
	default:
		s.card = known{}
		s.settle("the bank is lost: " + reason)
	}
}

// pump sends what is due next, if the bank owes nothing.
func (s *Session) pump(now instant) {
	if s.owes != owesNothing {
		return
	}
	switch s.phase {
	case phaseIdentify:
		s.send(owesIdentify, s.ident.command(), now)
	case phaseRecheck:
		s.askAgain(now)
	case phaseReplay:
		s.send(owesReplay, s.play.command(), now)
	case phaseOpen:
		if s.pend.active && !s.closesFirst() && !s.answerCached(now) {
			s.dispatch(now)
		} else if s.probing != nil && !s.trail.midway() {
			s.probing.sentAt = now
			s.send(owesProbe, s.probing.command(), now)
		}
	}
}

// send puts a command on the wire.
func (s *Session) send(as owed, tpdu []byte, now instant) {
	s.owes = as
	if as == owesIdentify || as == owesReplay {
		s.setupBy = now + s.setupLimit
	}
	if err := s.bank.Send(tpdu); err != nil {
		s.drop(fmt.Errorf("%w: %v", ErrUnreachable, err))
	}
}

// tell passes contact states to the bank.
func (s *Session) tell(l card.Lines) {
	if s.bank == nil {
		return
	}
	if err := s.bank.Lines(l); err != nil {
		s.drop(fmt.Errorf("%w: %v", ErrUnreachable, err))
	}
}

// renew makes the bank reset the card cold. A stock bank acts on a falling edge
// of VCC against the last value it was told, which it keeps from one client to
// the next: only true followed by false is an edge for certain.
func (s *Session) renew() {
	s.tell(card.Lines{Powered: true, Clock: true})
	s.tell(card.Lines{})
	if s.lines.Powered {
		s.tell(s.lines)
	}
}
