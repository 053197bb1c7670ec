package cache

import "github.com/terminills/remsim-openwrt/daemon/internal/card"

// Kind is what a command means to the cache.
type Kind uint8

// The kinds. What is not known is Unknown.
const (
	Unknown   Kind = iota // may have changed anything
	Select                // its answer may be kept
	Fetch                 // GET RESPONSE: kept after a SELECT
	Read                  // of a file's bytes, or of a record by its number: kept for listed files
	Keep                  // changes nothing that is kept
	Write                 // drops the file
	Activate              // a file's life cycle: drops everything
	Verify                // who may read
	PIN                   // changes what a PIN is worth: drops everything
	Profile               // TERMINAL PROFILE: the card may want something now
	Envelope              // an event, a menu choice or a message for the card
	Proactive             // FETCH: what the card wants
	Result                // TERMINAL RESPONSE
)

// Instructions (ETSI TS 102 221 table 10.5, 3GPP TS 51.011 §9.2).
const (
	insSelect    = 0xA4
	insRead      = 0xB0
	insRecord    = 0xB2
	insUpdate    = 0xD6
	insUpdateRec = 0xDC
	insIncrease  = 0x32
)

// Classify tells the kind of a command TPDU.
func Classify(tpdu []byte) Kind {
	if len(tpdu) < card.MinTPDU {
		return Unknown
	}
	if c, ok := card.ClassOf(tpdu[0]); !ok || c.Secure || c.Chained {
		return Unknown
	}
	switch p1, p2 := tpdu[2], tpdu[3]; tpdu[1] {
	case insSelect:
		if p1 == 0x04 && p2&0x63 != 0 { // closes an application, or wants another occurrence (§11.1.1)
			return Keep
		}
		return Select
	case 0xC0:
		return Fetch
	case insRead:
		return Read
	case insRecord:
		if p1 == 0 || p2&0x07 != 0x04 { // by the record pointer (§11.1.5)
			return Keep
		}
		return Read
	case 0xF2, 0xA2, 0x70, 0x88, 0x89, 0xAA, 0xCA, 0x78, 0xFA:
		// STATUS, SEARCH RECORD, MANAGE CHANNEL, AUTHENTICATE, TERMINAL
		// CAPABILITY, GET DATA, GET IDENTITY, SLEEP.
		return Keep
	case insUpdate, insUpdateRec, insIncrease:
		return Write
	case 0x04, 0x44:
		return Activate
	case 0x20:
		if len(tpdu) == card.MinTPDU { // asks for the tries that are left
			return Keep
		}
		return Verify
	case 0x24, 0x26, 0x28, 0x2C:
		return PIN
	case 0x10:
		return Profile
	case 0xC2:
		return Envelope
	case 0x12:
		return Proactive
	case 0x14:
		return Result
	}
	return Unknown
}

// Needs is what an answer depends on.
type Needs uint8

// From nothing to everything.
const (
	Nothing   Needs = iota
	Directory       // the channel's current directory and application
	Current         // and its current file
)

// Depends tells which part of a channel's selection a command works from. Commands that it
// does not know depend on all of it.
func Depends(tpdu []byte) Needs {
	if len(tpdu) < card.MinTPDU {
		return Current
	}
	p1, p2, body := tpdu[2], tpdu[3], tpdu[card.MinTPDU:]
	switch ins := tpdu[1]; ins {
	case insSelect:
		mf := len(body) == 0 || len(body) == 2 && body[0] == 0x3F && body[1] == 0
		ownADF := len(body) >= 2 && body[0] == 0x7F && body[1] == 0xFF
		if p1 == 0x04 || p1 == 0x00 && mf || p1 == 0x08 && !ownADF {
			return Nothing
		}
		return Directory
	case insRead, insUpdate, insIncrease:
		if p1&0x80 != 0 && tpdu[0] != 0xA0 {
			return Directory
		}
	case insRecord, insUpdateRec, 0xA2:
		if p2>>3 != 0 && tpdu[0] != 0xA0 {
			return Directory
		}
	case 0xF2:
		if p1&0xF0 == 0 { // not GlobalPlatform's GET STATUS
			return Directory
		}
	case 0x20, 0x24, 0x26, 0x28, 0x2C, 0x88, 0x89: // PINs and keys are the application's
		return Directory
	case 0x70:
		if c, ok := card.ClassOf(tpdu[0]); ok && c.Channel == 0 {
			return Nothing // a channel that the basic one opens starts at the MF (§11.1.17)
		}
	case 0x10, 0x12, 0x14, 0xC2, 0xAA, 0xFA:
		return Nothing
	}
	return Current
}
