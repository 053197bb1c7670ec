package uimremote

import (
	"errors"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// session is the card as the modem knows it, for one client of the service. Only Run's
// goroutine uses it.
type session struct {
	front   *Front
	handler card.Handler
	link    *link
	service string // for Info's Detail
	lost    bool   // nothing can be said to the modem any more

	offered   bool      // the modem has accepted "connection available"
	changing  event     // what steer waits for
	waiting   bool      // it does wait
	shown     uint64    // number of the insertion that the modem knows; 0: an empty slot
	emptied   time.Time // when the slot became empty
	connected bool      // the modem uses the remote slot
	dropped   bool      // it did, and let go
	powered   bool
	used      bool // there were commands since the card got power
	tpdu      [maxCommand]byte
}

// ErrRestarted: the modem was restarted under the front. An MBIM modem says so; with QMI the proxy closes the connection.
var ErrRestarted = errors.New("the modem has forgotten its clients; it was restarted")

// never is far enough away for a timer that shall not fire.
const never = time.Hour

// wish is what the front's owner wants.
type wish struct {
	offer   bool
	atr     card.ATR
	inserts uint64
	muted   time.Time
	due     time.Time // the first acknowledgement that is missing; zero: none is
	late    asked
}

func (f *Front) wish() wish {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := wish{atr: f.atr, inserts: f.inserts, muted: f.muted}
	w.offer = f.choice == selectedRemote || f.choice == whileInserted && f.atr != nil
	if !w.offer {
		w.atr = nil
	}
	for _, a := range f.asked {
		if w.due.IsZero() || a.until.Before(w.due) {
			w.due, w.late = a.until, a
		}
	}
	return w
}

// steer brings the modem's view of the card one step nearer to what is wanted, and
// tells when to look again. One change at a time: the modem acknowledges each.
func (s *session) steer(now time.Time) (next time.Time, err error) {
	w := s.front.wish()
	next = now.Add(never)
	if !w.due.IsZero() {
		if !now.Before(w.due) {
			return next, fmt.Errorf("the modem did not acknowledge %s within %v", w.late, s.front.options.timing.ack)
		}
		next = w.due
	}
	if s.waiting {
		return next, nil
	}
	stuck := s.shown != 0 && !w.muted.IsZero() && !now.Before(w.muted.Add(s.front.options.timing.recover))
	switch full := s.shown != 0; {
	case full && (w.atr == nil || w.inserts != s.shown || stuck):
		return next, s.remove(now)
	case s.offered && !w.offer:
		return next, s.change(evUnavailable, nil)
	case !s.offered && w.offer:
		return next, s.offer(w)
	case s.offered && !full && w.atr != nil:
		return s.fill(now, next, w)
	case full && !w.muted.IsZero():
		next = earlier(next, w.muted.Add(s.front.options.timing.recover))
	}
	return next, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (a asked) String() string {
	if a.apdu {
		return "an answer"
	}
	return fmt.Sprintf("%q", a.event)
}

// change sends an event that moves steer's state when it is acknowledged.
func (s *session) change(e event, atr card.ATR) error {
	s.changing, s.waiting = e, true
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	return s.front.tell(e, atr, 0)
}

// offer tells the modem that there is a remote slot, with or without a card. CONNECT
// may come before the acknowledgement.
func (s *session) offer(w wish) error {
	if w.atr != nil {
		s.shown = w.inserts
	}
	s.say("offered to the modem")
	return s.change(evAvailable, nil)
}

// remove takes the card out of the slot.
func (s *session) remove(now time.Time) error {
	s.powerOff()
	s.shown, s.emptied = 0, now
	s.front.calm()
	s.say("no card")
	return s.change(evRemoved, nil)
}

// fill puts the wanted card into the empty slot, when it has been empty long enough. A
// modem that is not connected to the slot takes the card up when it connects; telling it
// before would be about a card that it does not use.
func (s *session) fill(now, next time.Time, w wish) (time.Time, error) {
	if !s.emptied.IsZero() {
		if at := s.emptied.Add(s.front.options.timing.removal); now.Before(at) {
			return earlier(next, at), nil
		}
	}
	switch {
	case !s.connected && s.dropped:
		s.dropped = false
		return next, s.offer(w)
	case !s.connected:
		s.shown = w.inserts
		return next, nil
	}
	// With the ATR the modem may use the card at once, or power it up first.
	s.shown = w.inserts
	s.powerOn()
	s.say("the modem has a new card")
	return next, s.change(evInserted, w.atr)
}

// take deals with what came from the modem.
func (s *session) take(m message) error {
	f := s.front
	switch {
	case m.service == serviceCTL && m.kind() == indication && m.id == ctlSync:
		s.lost = true
		return ErrRestarted
	case m.service != serviceUIMRemote || m.client != f.client && m.client != everyClient:
		return nil // over MBIM everybody's messages come
	case m.kind() == response && m.client == f.client:
		return s.acknowledged(m)
	case m.kind() == indication:
		return s.indicated(m)
	}
	return nil
}

// acknowledged deals with the modem's answer to a request.
func (s *session) acknowledged(m message) error {
	f := s.front
	f.mu.Lock()
	what, ok := f.asked[m.txn]
	delete(f.asked, m.txn)
	f.mu.Unlock()
	if !ok {
		return nil // of something that was given up
	}
	err := m.result()
	if what.apdu {
		if err != nil {
			// The modem has reset the card, or given up: the answer came too late.
			f.describe("%s; the modem did not want an answer: %v", s.service, err)
		}
		return nil
	}
	if !s.waiting || what.event != s.changing {
		if err != nil {
			f.describe("%s; the modem refused %q: %v", s.service, what.event, err)
		}
		return nil
	}
	s.waiting = false
	switch {
	case err != nil && (what.event == evAvailable || what.event == evInserted):
		return fmt.Errorf("the modem refused %q: %w", what.event, err)
	case what.event == evAvailable:
		s.offered = true
	case what.event == evUnavailable:
		s.offered, s.connected, s.dropped, s.emptied = false, false, false, time.Time{}
	}
	return nil
}

// indicated deals with what the modem wants of the card.
func (s *session) indicated(m message) error {
	slot, err := slotOf(m)
	if err != nil {
		s.link.skipped.Add(1)
		return nil
	}
	if slot != s.front.options.Slot {
		return nil
	}
	if m.id != msgAPDU {
		s.front.calm()
	}
	switch m.id {
	case msgConnect:
		s.connected, s.dropped = true, false
		return s.start("the modem uses the card")
	case msgPowerUp:
		return s.start("the modem uses the card")
	case msgReset:
		return s.reset()
	case msgPowerDown:
		s.powerOff()
		s.say("the modem has switched the card off")
	case msgDisconnect:
		s.connected, s.dropped = false, true
		s.powerOff()
		s.say("the modem has let go of the card")
	case msgAPDU:
		return s.command(m)
	}
	return nil
}

// start gives power to the card and its ATR to the modem. CONNECT and POWER UP may
// both come for one start: that is one edge. A card that was used gets a cold reset.
func (s *session) start(detail string) error {
	if s.shown == 0 {
		return s.noCard()
	}
	if s.powered && s.used {
		s.powerOff()
	}
	s.powerOn()
	s.say(detail)
	return s.atr()
}

// reset resets the card warm; without power it is a start.
func (s *session) reset() error {
	if s.shown == 0 || !s.powered {
		return s.start("the modem uses the card")
	}
	s.front.void()
	s.used = false
	s.handler.Lines(card.Lines{Powered: true, Clock: true, Reset: true})
	s.handler.Lines(card.Lines{Powered: true, Clock: true})
	s.say("the modem uses the card")
	return s.atr()
}

// noCard answers a start while the slot is empty. A card that is on its way in comes
// with its own event.
func (s *session) noCard() error {
	f := s.front
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.atr != nil && f.choice != selectedLocal {
		return nil
	}
	return f.tell(evError, nil, causeNoLink)
}

// atr gives the ATR to the modem, unless the card is about to be taken out.
func (s *session) atr() error {
	f := s.front
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.atr == nil || f.inserts != s.shown {
		return nil
	}
	return f.tell(evReset, f.atr, 0)
}

func (s *session) powerOn() {
	if s.powered {
		return
	}
	s.powered, s.used = true, false
	s.handler.Lines(card.Lines{Powered: true, Clock: true})
}

func (s *session) powerOff() {
	s.front.void()
	if !s.powered {
		return
	}
	s.powered, s.used = false, false
	s.handler.Lines(card.Lines{})
}

// void forgets the pending command: the card was reset under it.
func (f *Front) void() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = pending{}
}

// calm: the modem has reacted to the card error, or the card is taken out.
func (f *Front) calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.muted = time.Time{}
}

// say sets Info's Detail.
func (s *session) say(detail string) {
	if n := s.link.skipped.Load(); n > 0 {
		detail += fmt.Sprintf("; %d unreadable messages skipped", n)
	}
	s.front.describe("%s; %s", s.service, detail)
}
