// Package cache keeps what one card has said and will say again: the answers to
// SELECT, and the contents of files on an explicit list (Files). It decides which
// command may be answered from that, and what each command makes untrue.
//
// It is pure: no clock, no I/O, no goroutine; what may be stored it gives out (Keep). It
// knows nothing of the bank and does not follow the selection: its caller says where a
// logical channel stands, and asks it only while the card has nothing to tell
// (docs/CACHE.md).
package cache

import (
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// Mode is how much is kept. A mode includes those before it.
type Mode uint8

// The modes, as `card_cache` names them.
const (
	Off Mode = iota
	Safe
	Full
)

// ParseMode reads a mode; the empty one is Off.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "", "off":
		return Off, nil
	case "safe":
		return Safe, nil
	case "full":
		return Full, nil
	}
	return Off, fmt.Errorf("card cache %q: expected off, safe or full", s)
}

// String is the mode as `card_cache` names it.
func (m Mode) String() string { return [...]string{"off", "safe", "full"}[m] }

// Bounds of what is kept of one card: a router has little memory, and a modem that asks
// for the same thing in thousands of ways gains nothing from it.
const (
	maxEntries = 1024
	maxBytes   = 96 << 10 // keys and answers
)

// Spot is where a logical channel stands. Dir and File tell two states apart whose
// answers may differ; what they hold is the caller's business. They are not kept.
type Spot struct {
	Dir   []byte // what led from a reset to the current application and directory
	File  []byte // what led from there to the current file; empty: none
	Place card.Place
}

// sort says what an entry would be made untrue by.
type sort uint8

const (
	ofDirectory sort = iota // tells PIN states and free memory besides
	ofFile                  // file control parameters
	ofNothing               // there is no such file
	ofContent
)

type entry struct {
	response []byte
	sort     sort
	gsm      bool // class A0: tells how many tries a PIN has left (TS 51.011 §9.2.1)
	mode     Mode
	fid      uint16 // of content; 0: not known
	needs    keys   // verified when it was read
}

// Stats tell what a cache holds and has done.
type Stats struct {
	Entries int
	Bytes   int
	Served  int64 // answers given for the card
	Dropped int64 // entries that a command has made untrue
}

// Cache is what is kept of one card. The zero Cache is ready, and off.
type Cache struct {
	mode    Mode
	entries map[string]entry
	bytes   int
	stats   Stats

	held     []byte // key of the SELECT whose answer waits for GET RESPONSE
	heldSort sort
	verified keys // certainly, since the reset
	perhaps  keys // perhaps: what a read that succeeds may owe its success to
	full     keys // have all their tries left

	look     bool // the card may want to say something that no answer has told yet
	distrust bool // until the next reset nothing is what it seems
	broken   bool // a kept answer was wrong: never again
	key      []byte
}

// SetMode sets how much is kept. What a smaller mode does not keep is dropped.
func (c *Cache) SetMode(m Mode) {
	if m < c.mode {
		c.drop(func(e *entry) bool { return m == Off || e.mode > m })
	}
	c.mode = m
}

// Off tells whether nothing is kept, by order or because it has been wrong.
func (c *Cache) Off() bool { return c.mode == Off || c.broken }

// Break ends the use of the cache for this card: an answer was not the card's.
func (c *Cache) Break() {
	c.Wipe()
	c.broken = true
}

// Stats tells what it holds and has done.
func (c *Cache) Stats() Stats {
	s := c.stats
	s.Entries, s.Bytes = len(c.entries), c.bytes
	return s
}

// Reset: the card was reset. Selection, verified PINs and waiting answers are gone.
func (c *Cache) Reset() {
	c.held, c.verified, c.perhaps, c.look, c.distrust = c.held[:0], 0, 0, false, false
}

// Reconnected: another bank connection has the same card. Somebody else may have used it
// meanwhile, and switched a PIN on: what tells PIN states, what could be read without one
// (but for files under the MF, which anybody may read), and what may be written is
// dropped.
func (c *Cache) Reconnected() {
	c.Reset()
	c.full = 0
	c.drop(func(e *entry) bool {
		return e.sort == ofDirectory || e.mode > Safe || e.sort == ofContent && e.needs == 0 && e.fid>>8 != 0x2F
	})
}

// Resumed: after Reconnected, the card was brought back to where it was before. Verified
// follows for each PIN. The card may have something to say.
func (c *Cache) Resumed() { c.look = true }

// Verified: the PIN with this key reference was verified again.
func (c *Cache) Verified(p2 byte) {
	c.verified |= key(p2)
	c.perhaps |= key(p2)
}

// Wipe forgets everything. The contents name their owner.
func (c *Cache) Wipe() {
	c.drop(func(*entry) bool { return true })
	clear(c.held)
	clear(c.key[:cap(c.key)])
	c.Reset()
}

// drop removes the entries for which untrue says so.
func (c *Cache) drop(untrue func(*entry) bool) {
	for k, e := range c.entries {
		if untrue(&e) {
			c.bytes -= len(k) + len(e.response)
			clear(e.response)
			delete(c.entries, k)
			c.stats.Dropped++
		}
	}
}

// Answer is what the card would say to this command now, nil if it has to be asked. It
// changes nothing; Served tells that it was used. The answer is valid until the next
// call of another method.
func (c *Cache) Answer(at Spot, tpdu []byte) []byte {
	if c.Off() || c.look || c.distrust || len(c.entries) == 0 {
		return nil
	}
	if !c.keyOf(at, tpdu) {
		return nil
	}
	e, ok := c.entries[string(c.key)]
	if !ok || e.mode > c.mode || e.needs&^c.verified != 0 {
		return nil
	}
	return e.response
}

// Served: the command was answered with what Answer gave.
func (c *Cache) Served(at Spot, tpdu, response []byte) {
	c.stats.Served++
	c.hold(at, tpdu, response)
}

// keyOf makes the key of a command whose answer may be kept. It starts with the command,
// so that all that follows is told apart by it.
func (c *Cache) keyOf(at Spot, tpdu []byte) bool {
	switch Classify(tpdu) {
	case Select, Read:
		where, _ := card.ClassOf(tpdu[0])
		cla := byte(0)
		if where.GSM {
			cla = 0xA0
		}
		c.key = append(c.key[:0], byte(len(tpdu)), byte(len(tpdu)>>8), cla)
		c.key = append(c.key, tpdu[1:]...)
		switch Depends(tpdu) {
		case Directory:
			c.key = append(append(c.key, 'd'), at.Dir...)
		case Current:
			c.key = append(append(c.key, 'f', byte(len(at.Dir))), at.Dir...)
			c.key = append(c.key, at.File...)
		}
		return true
	case Fetch:
		if len(c.held) == 0 {
			return false
		}
		c.key = append(append(append(c.key[:0], 0xFF, 0xFF), tpdu[2:]...), c.held...)
		return true
	}
	return false
}

// hold follows which SELECT's answer waits for GET RESPONSE.
func (c *Cache) hold(at Spot, tpdu, response []byte) {
	sw := word(response)
	switch kind := Classify(tpdu); {
	case kind == Select && more(sw) && c.keyOf(at, tpdu):
		c.held = append(c.held[:0], c.key...)
		c.heldSort, _ = sortOf(at, tpdu, sw)
	case kind == Fetch && sw>>8 == 0x6C: // wrong length: the data are still there
	default:
		c.held = c.held[:0]
	}
}

// word is the status word of an answer.
func word(response []byte) uint16 {
	n := len(response)
	if n < 2 {
		return 0
	}
	return uint16(response[n-2])<<8 | uint16(response[n-1])
}

// more: the data wait for GET RESPONSE.
func more(sw uint16) bool { return sw>>8 == 0x61 || sw>>8 == 0x9F }

// done: it succeeded, and the card has had the opportunity to announce something.
func done(sw uint16) bool { return sw == 0x9000 || sw>>8 == 0x91 }

// sortOf tells what a SELECT selected. ok is false if its answer is not one to keep.
func sortOf(at Spot, tpdu []byte, sw uint16) (s sort, ok bool) {
	switch {
	case sw == 0x6A82 || sw == 0x9404:
		return ofNothing, true
	case !done(sw) && !more(sw):
		return 0, false
	}
	to := at.Place
	to.Select(tpdu[2], tpdu[card.MinTPDU:])
	if to.EF != 0 {
		return ofFile, true
	}
	return ofDirectory, true
}
