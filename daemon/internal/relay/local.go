package relay

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// maxCaches is how many cards are remembered; a modem has one, and gets another one
// back now and then.
const maxCaches = 3

// defaultSilence is how long the card may go unasked while the plan names no interval
// for STATUS.
const defaultSilence = instant(10 * time.Minute)

// cached is what is kept of one card.
type cached struct {
	iccid model.ICCID
	atr   string
	cache *cache.Cache
}

// local is what the session knows for answering in the card's place (docs/CACHE.md).
type local struct {
	all   []cached
	cache *cache.Cache // of the present card; nil: none

	lastWord   instant // when the card could last announce a proactive command
	lastStatus instant // when it last answered STATUS
	unheard    bool    // it has announced one to the relay, not to the modem

	expected []byte // in check mode: what would have been answered
	dir      []byte // for spot
	file     []byte
}

// mode is what the plan asks for. An unknown word is no reason to lose a card.
func (s *Session) mode() cache.Mode {
	m, err := cache.ParseMode(s.plan.Cache)
	if err != nil {
		return cache.Off
	}
	return m
}

// useCache finds what is kept of the card that was identified.
func (s *Session) useCache() {
	l := &s.local
	l.cache = nil
	if !s.card.identified {
		return
	}
	atr := string(s.card.atr)
	at := slices.IndexFunc(l.all, func(c cached) bool { return c.iccid == s.card.iccid && c.atr == atr })
	if at < 0 {
		if len(l.all) == maxCaches {
			l.all[0].cache.Wipe()
			l.all = slices.Delete(l.all, 0, 1)
		}
		l.all = append(l.all, cached{iccid: s.card.iccid, atr: atr, cache: &cache.Cache{}})
		at = len(l.all) - 1
	}
	l.cache = l.all[at].cache
	l.cache.SetMode(s.mode())
	l.cache.Reconnected()
}

// setModes applies a changed plan.
func (s *Session) setModes() {
	for _, c := range s.local.all {
		c.cache.SetMode(s.mode())
	}
}

// wipe forgets every card.
func (l *local) wipe() {
	for _, c := range l.all {
		c.cache.Wipe()
	}
	clear(l.expected)
	*l = local{}
}

// reset: the card was reset, and has nothing to say before the modem speaks.
func (l *local) reset(now instant) {
	l.lastWord, l.lastStatus, l.unheard = now, 0, false
	l.expected = l.expected[:0]
	if l.cache != nil {
		l.cache.Reset()
	}
}

// resumed: the card was brought back to where the modem left it.
func (s *Session) resumed() {
	l := &s.local
	l.unheard = s.play.announced != 0
	l.lastWord, l.lastStatus = s.now(), 0
	if l.cache == nil {
		return
	}
	l.cache.Resumed()
	for i := range s.trail.pins[:s.trail.npins] {
		l.cache.Verified(s.trail.pins[i].key)
	}
}

// spot is where the channel of a command stands, for the cache.
func (s *Session) spot(tpdu []byte) cache.Spot {
	where, _ := card.ClassOf(tpdu[0])
	at := &s.trail.channels[where.Channel].at
	l := &s.local
	l.dir = at.appendDir(l.dir[:0])
	l.file = l.file[:0]
	if f := at.file(); f != nil {
		l.file = f.appendWay(l.file)
	}
	return cache.Spot{Dir: l.dir, File: l.file, Place: s.trail.standing(tpdu)}
}

// answerCached answers the pending command in the card's place, if it is known what the
// card would say, and tells whether it did.
func (s *Session) answerCached(now instant) bool {
	p, l := &s.pend, &s.local
	if l.cache == nil {
		return false
	}
	l.expected = l.expected[:0]
	r := s.recall(p.tpdu(), now)
	if r == nil {
		return false
	}
	if s.check {
		l.expected = append(l.expected, r...)
		return false
	}
	if err := s.front.Answer(p.id, r); err != nil {
		s.stats.failed()
	}
	s.stats.cachedOne()
	if s.tracer.on {
		s.trace(p.tpdu(), r, p.since, "from the cache")
	}
	s.served(p.tpdu(), r)
	p.erase()
	return true
}

// recall is what the card would answer to a command now, nil if it has to be asked.
func (s *Session) recall(tpdu []byte, now instant) []byte {
	t, l := &s.trail, &s.local
	where, ok := card.ClassOf(tpdu[0])
	if !ok || where.Secure || where.Chained || l.cache.Off() {
		return nil
	}
	if l.unheard || t.announced != 0 || t.fetched || t.open || t.blocked != "" {
		return nil // the card has something to say, or its state is not known
	}
	c := &t.channels[where.Channel]
	if where.Channel != 0 && !c.open || c.bad != "" || c.at.unknown != "" {
		return nil
	}
	switch ins := tpdu[1]; {
	case ins == insStatus:
		if every := instant(s.plan.StatusInterval); l.lastStatus == 0 || now-l.lastStatus >= every {
			return nil
		}
		return t.heldStatus(tpdu)
	case now-l.lastWord >= s.silence(),
		ins == insGetResponse && (t.held != insSelect || t.heldOn != where.Channel),
		ins != insSelect && c.unsure:
		return nil
	}
	r := l.cache.Answer(s.spot(tpdu), tpdu)
	if r == nil || !c.follows(where.GSM, tpdu, r) {
		return nil
	}
	return r
}

// silence is how long the card may go unasked: a proactive command that it has for the
// modem waits no longer than that, as long as the modem says anything at all.
func (s *Session) silence() instant {
	if d := instant(s.plan.StatusInterval); d > 0 {
		return d
	}
	return defaultSilence
}

// follows tells whether the channel's selection can still be told, and so be restored on
// the card, after this command.
func (c *channel) follows(gsm bool, tpdu, response []byte) bool {
	_, sw1, sw2 := split(response)
	after := *c
	switch {
	case tpdu[1] == insSelect && taken(sw1):
		after.selected(gsm, tpdu, uint16(sw1)<<8|uint16(sw2))
	case !gsm && namesFile(tpdu[1], tpdu[2], tpdu[3]):
		after.accessed(gsm, tpdu, uint16(sw1)<<8|uint16(sw2), taken(sw1))
	}
	return after.bad == "" && after.at.unknown == ""
}

// served follows a command that the card has not seen.
func (s *Session) served(tpdu, response []byte) {
	_, sw1, _ := split(response)
	moves := tpdu[1] == insSelect || tpdu[0] != 0xA0 && namesFile(tpdu[1], tpdu[2], tpdu[3])
	if moves && taken(sw1) && !s.sync.behind {
		s.sync.behind, s.sync.real = true, s.trail.channels
	}
	if tpdu[1] != insStatus {
		s.local.cache.Served(s.spot(tpdu), tpdu, response)
	}
	s.sync.heldHere = tpdu[1] == insSelect && (sw1 == 0x61 || sw1 == 0x9F)
	s.trail.learn(tpdu, response)
}

// learn takes what the card has answered to a command of the modem.
func (s *Session) learn(tpdu, response []byte, now instant) {
	_, sw1, _ := split(response)
	l := &s.local
	if sw1 == 0x90 || sw1 == 0x91 {
		l.lastWord, l.unheard = now, false
		if tpdu[1] == insStatus {
			l.lastStatus = now
		}
	}
	if l.cache != nil && len(tpdu) >= card.MinTPDU {
		s.compare(tpdu, response)
		if _, ok := card.ClassOf(tpdu[0]); ok {
			l.cache.Saw(s.spot(tpdu), tpdu, response)
		} else {
			l.cache.Saw(cache.Spot{}, tpdu, response)
		}
	}
	s.trail.learn(tpdu, response)
	s.sync.learn(&s.trail, tpdu, taken(sw1))
}

// overheard: the relay has asked the card something of its own. What the card announces
// then it announces again with the modem's next command, which has to reach it.
func (s *Session) overheard(response []byte) {
	if _, sw1, _ := split(response); sw1 == 0x91 {
		s.local.unheard = true
	}
}

// compare is check mode: the card's answer against what would have been given in its
// place. 9000 and 91xx are the same there: only the card can announce something.
func (s *Session) compare(tpdu, response []byte) {
	l := &s.local
	want := l.expected
	if len(want) == 0 {
		return
	}
	l.expected = l.expected[:0]
	n := len(response) - 2
	_, sw1, _ := split(response)
	_, wanted, _ := split(want)
	same := bytes.Equal(want, response) ||
		wanted == 0x90 && sw1 == 0x91 && len(want) == len(response) && bytes.Equal(want[:n], response[:n])
	if same {
		return
	}
	l.cache.Break()
	s.note(fmt.Sprintf("the card's answer to %s is not the one that was kept; nothing is kept of this card any more",
		card.Describe(tpdu, s.trail.standing(tpdu))))
}

// taken tells the status words of a command that the card has obeyed.
func taken(sw1 byte) bool {
	switch sw1 {
	case 0x90, 0x91, 0x92, 0x61, 0x9F, 0x62, 0x63:
		return true
	}
	return false
}
