package cache

import (
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// Saw takes a command that the card has executed and its answer: it keeps what is to be
// kept, and drops what is not true any more. at is where the channel stood before the
// command.
func (c *Cache) Saw(at Spot, tpdu, response []byte) {
	if c.Off() || len(tpdu) < card.MinTPDU || len(response) < 2 {
		return
	}
	sw, kind := word(response), Classify(tpdu)
	if kind == Unknown && refused(sw) {
		kind = Keep // an instruction that the card does not know has no effect
	}
	c.affect(kind, at, tpdu, response)
	if !c.distrust {
		c.learn(kind, at, tpdu, response)
	}
	c.hold(at, tpdu, response)
	switch {
	case kind == Profile || kind == Envelope || kind == Result:
		c.look = true
	case done(sw):
		c.look = false // what the card wants stands in this answer, as 91xx
	}
}

// affect drops what the command may have changed.
func (c *Cache) affect(kind Kind, at Spot, tpdu, response []byte) {
	sw := word(response)
	switch kind {
	case Write:
		if !refused(sw) {
			c.written(at.Place, tpdu)
		}
	case Activate:
		if !refused(sw) {
			c.dropAll()
		}
	case Verify:
		c.verify(key(tpdu[3]), sw)
	case PIN:
		k := key(tpdu[3])
		c.verified &^= k
		c.perhaps |= k
		c.full &^= k
		c.dropAll()
	case Envelope:
		c.envelope(tpdu[card.MinTPDU:])
	case Proactive:
		if done(sw) {
			c.toolkit(commandType(response[:len(response)-2]))
		}
	case Result:
		c.toolkit(commandType(tpdu[card.MinTPDU:]))
	case Unknown:
		c.dropAll()
		c.distrust = true
	}
	c.applications(tpdu, sw)
}

// written drops a file, and with it all that share its identifier: the USIM and the
// directories of TS 51.011 show the same files. A file that cannot be told is any file.
func (c *Cache) written(at card.Place, tpdu []byte) {
	if tpdu[0] != 0xA0 {
		at.SelectShort(tpdu[1], tpdu[2], tpdu[3])
	}
	switch fid := at.EF; fid {
	case 0:
		c.drop(func(e *entry) bool { return e.sort == ofContent })
	case 0x2F00, 0x2F06, 0x6F06: // which applications there are, and who may do what
		c.dropAll()
	default:
		c.drop(func(e *entry) bool { return e.sort == ofContent && (e.fid == fid || e.fid == 0) })
	}
}

// verify learns from VERIFY PIN. How many tries are left stands in the answer to a SELECT
// of class A0.
func (c *Cache) verify(k keys, sw uint16) {
	ok := done(sw)
	if !ok || c.full&k == 0 {
		c.drop(func(e *entry) bool { return e.gsm && e.sort == ofDirectory })
	}
	c.perhaps |= k
	if ok {
		c.verified |= k
		c.full |= k
		return
	}
	c.verified &^= k
	c.full &^= k
}

// applications: a local PIN counts while its application is active, which ends when
// another one is selected or a channel closed.
func (c *Cache) applications(tpdu []byte, sw uint16) {
	if tpdu[1] == insSelect && tpdu[2] == 0x04 || tpdu[1] == 0x70 {
		if !refused(sw) {
			c.verified &^= local
		}
	}
}

// envelope: tag D1 and D2 bring messages to the card, which may be remote management
// of its files; any other may wake an application that writes (ETSI TS 102 223 §7).
func (c *Cache) envelope(body []byte) {
	if len(body) > 0 && body[0] != 0xD1 && body[0] != 0xD2 {
		c.dropContent()
		return
	}
	c.dropAll()
}

// quiet are proactive commands that bring nothing to the card that could make it write
// its files (ETSI TS 102 223 §9.4): MORE TIME, POLL INTERVAL, POLLING OFF, SET UP EVENT LIST,
// SET UP MENU, TIMER MANAGEMENT, SET UP IDLE MODE TEXT, LANGUAGE NOTIFICATION.
var quiet = [...]byte{0x02, 0x03, 0x04, 0x05, 0x25, 0x27, 0x28, 0x35}

// toolkit: REFRESH says that files have changed, a channel (OPEN CHANNEL to GET CHANNEL
// STATUS) is remote management, and an answer of person or network may choose another
// profile.
func (c *Cache) toolkit(kind byte) {
	switch {
	case slices.Contains(quiet[:], kind):
	case kind == 0x01 || kind >= 0x40 && kind <= 0x44 || kind == 0:
		c.dropAll()
	default:
		c.dropContent()
	}
}

// commandType is the type in the command details (tag 01 or 81; ETSI TS 102 223 §8.6)
// of a proactive command or of a TERMINAL RESPONSE, 0 if there is none.
func commandType(b []byte) byte {
	if len(b) > 2 && b[0] == 0xD0 { // the BER-TLV around a proactive command
		b = b[1:]
		if b[0] == 0x81 {
			b = b[1:]
		}
		b = b[1:]
	}
	if len(b) < 5 || b[0]&0x7F != 0x01 || b[1] != 3 {
		return 0
	}
	return b[3]
}

func (c *Cache) dropAll() { c.drop(func(*entry) bool { return true }) }

func (c *Cache) dropContent() { c.drop(func(e *entry) bool { return e.sort == ofContent }) }

// learn keeps an answer that may be given again.
func (c *Cache) learn(kind Kind, at Spot, tpdu, response []byte) {
	sw := word(response)
	e := entry{mode: Safe, gsm: tpdu[0] == 0xA0}
	switch kind {
	case Select:
		var ok bool
		if e.sort, ok = sortOf(at, tpdu, sw); !ok {
			return
		}
	case Fetch:
		if !done(sw) {
			return
		}
		e.sort = c.heldSort
	case Read:
		to := at.Place
		short := Depends(tpdu) == Directory
		if short {
			to.SelectShort(tpdu[1], tpdu[2], tpdu[3])
		}
		f := listed(to)
		if f == nil || !done(sw) && (short || sw>>8 != 0x6C) {
			return
		}
		e.sort, e.mode, e.fid, e.needs = ofContent, f.Mode, f.FID, c.perhaps
	default:
		return
	}
	if e.mode > c.mode || !c.keyOf(at, tpdu) {
		return
	}
	e.response = slices.Clone(response)
	if sw>>8 == 0x91 { // the announcement is not the command's
		e.response[len(response)-2], e.response[len(response)-1] = 0x90, 0x00
	}
	c.keep(e)
}

// keep stores an entry under c.key, unless there is no room for it.
func (c *Cache) keep(e entry) {
	old, had := c.entries[string(c.key)]
	if had && old.needs&^e.needs == 0 {
		e.needs = old.needs // it could be read with fewer PINs before
	}
	grown := len(e.response) - len(old.response)
	if !had {
		grown += len(c.key)
	}
	if !had && len(c.entries) >= maxEntries || c.bytes+grown > maxBytes {
		return
	}
	if c.entries == nil {
		c.entries = make(map[string]entry)
	}
	c.bytes += grown
	clear(old.response)
	c.entries[string(c.key)] = e
}

// refused: the card did not execute the command (ISO 7816-4 §5.6; TS 51.011 §9.4).
func refused(sw uint16) bool {
	switch sw >> 8 {
	case 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x94:
		return true
	}
	return false
}
