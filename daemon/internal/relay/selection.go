package relay

import (
	"bytes"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

const (
	maxSelections = 8
	maxSelectData = 16 // an AID (ISO 7816-4 §8.2.1.2) or a path of eight files
)

// selection is one command that moved a channel's selection, and its status word.
type selection struct {
	gsm  bool
	head [4]byte // INS, P1, P2, P3
	n    int
	data [maxSelectData]byte
	sw   uint16
}

// tpdu writes the command for a channel.
func (s *selection) tpdu(b []byte, ch uint8) []byte {
	cla := card.OnChannel(0x00, ch)
	if s.gsm {
		cla = 0xA0
	}
	b = append(append(b, cla), s.head[:]...)
	return append(b, s.data[:s.n]...)
}

// selections lead from a reset to what is selected: the application, which stays the
// channel's "current ADF" (7FFF) wherever else it goes, and the commands since the
// last one that did not depend on where the channel stood.
type selections struct {
	app   selection // head[0] 0: none
	chain [maxSelections]selection
	n     int
	// unknown: why the selection could not be followed; the next absolute
	// SELECT ends that.
	unknown string
}

// channel is one logical channel.
type channel struct {
	open    bool // opened by MANAGE CHANNEL; channel 0 is so always
	at      selections
	pointer bool   // the record pointer matters
	unsure  bool   // a short file identifier was used in vain: current file or not?
	bad     string // a state that only closing the channel, or another application, ends
}

func (c *channel) obstacle() string {
	switch {
	case c.bad != "":
		return c.bad
	case c.at.unknown != "":
		return c.at.unknown
	case c.pointer:
		return "a record pointer is in use"
	case c.unsure:
		return "a command with a short file identifier failed, which may or may not have selected the file"
	}
	return ""
}

// selected learns from a SELECT that the card obeyed (TS 102 221 §11.1.1).
func (c *channel) selected(gsm bool, tpdu []byte, sw uint16) {
	c.pointer, c.unsure = false, false
	p1, p2, body := tpdu[2], tpdu[3], tpdu[5:]
	at := &c.at
	if len(body) > maxSelectData {
		at.unknown = "a SELECT is too long to repeat"
		return
	}
	sel := selection{gsm: gsm, head: [4]byte(tpdu[1:5]), n: len(body), sw: sw}
	copy(sel.data[:], body)
	switch {
	case p1 == 0x04 && p2&0x60 == 0x40:
		*at = selections{unknown: "an application was closed"}
	case p1 == 0x04 && p2&0x03 != 0:
		*at = selections{}
		c.bad = "an application was selected as last, next or previous of several"
	case p1 == 0x04:
		c.bad = ""
		*at = selections{app: sel}
	case p1 == 0x08:
		at.restart(sel)
	case p1 == 0x00 && (len(body) == 0 || isFID(body, 0x3F, 0x00) || isFID(body, 0x7F, 0xFF)):
		at.restart(sel)
	case p1 == 0x00 && at.back(sel):
	default:
		at.push(sel)
	}
}

// accessed learns from a command on a file's content (TS 102 221 §11.1.3 to 11.1.8):
// a short file identifier selects the file, and relative record modes move its
// record pointer.
func (c *channel) accessed(gsm bool, tpdu []byte, sw uint16, ok bool) {
	ins, p1, p2 := tpdu[1], tpdu[2], tpdu[3]
	short := !gsm && namesFile(ins, p1, p2)
	if !ok {
		// TS 102 221 has the file selected if the command succeeds, ISO 7816-4
		// if the identifier is valid. 6A82 says that it was not.
		c.unsure = c.unsure || short && sw != 0x6A82 && sw < 0x6C00 || short && sw>>8 == 0x6C
		return
	}
	absolute := p1 != 0 && p2&0x07 == 0x04
	if short {
		c.unsure, c.pointer = false, false
		c.namedFile(tpdu, absolute, sw)
	}
	switch ins {
	case insReadBinary, insUpdateBinary:
	case insReadRecord, insUpdateRecord:
		c.pointer = c.pointer || !absolute
	default: // SEARCH RECORD points to what it found, INCREASE to what it wrote
		c.pointer = true
	}
}

// namesFile tells whether a command names its file by a short identifier.
func namesFile(ins, p1, p2 byte) bool {
	switch ins {
	case insReadBinary, insUpdateBinary, insIncrease:
		return p1&0x80 != 0
	case insReadRecord, insUpdateRecord, insSearchRecord:
		return p2>>3 != 0
	}
	return false
}

// namedFile keeps a way to select the file again that a command has named by its short
// identifier: reading what it read or wrote.
func (c *channel) namedFile(tpdu []byte, absolute bool, sw uint16) {
	ins, p1, p2, p3 := tpdu[1], tpdu[2], tpdu[3], tpdu[4]
	switch {
	case ins == insReadBinary, ins == insReadRecord && absolute:
		c.at.pushFile(selection{head: [4]byte{ins, p1, p2, p3}, sw: sw})
	case ins == insUpdateBinary:
		c.at.pushFile(selection{head: [4]byte{insReadBinary, p1, 0, 1}, sw: 0x9000})
	case ins == insUpdateRecord && absolute:
		c.at.pushFile(selection{head: [4]byte{insReadRecord, p1, p2, p3}, sw: 0x9000})
	default:
		c.at.unknown = "a file was named by its short identifier and its record by a moving pointer"
	}
}

// restart begins anew with a command that does not depend on the selection.
func (s *selections) restart(sel selection) {
	clear(s.chain[:s.n])
	s.chain[0], s.n, s.unknown = sel, 1, ""
}

// back goes back to a directory that is in the chain already, so that going round in
// circles does not lengthen it.
func (s *selections) back(sel selection) bool {
	if sel.n != 2 || isEF(sel.data[:2]) {
		return false
	}
	for i := range s.chain[:s.n] {
		old := &s.chain[i]
		if old.head[0] == insSelect && old.head[1] == 0 && bytes.Equal(old.data[:old.n], sel.data[:2]) {
			clear(s.chain[i+1 : s.n])
			s.chain[i], s.n = sel, i+1
			return true
		}
	}
	return false
}

// push appends a command. A file at the end makes no difference to what is selected
// from there, so that it makes room.
func (s *selections) push(sel selection) {
	if s.n > 0 && s.chain[s.n-1].isFile() {
		s.n--
	}
	if s.n == maxSelections {
		s.unknown = "the selection took more steps than the relay keeps"
		return
	}
	s.chain[s.n] = sel
	s.n++
}

func (s *selections) pushFile(sel selection) {
	if s.unknown == "" {
		s.push(sel)
	}
}

// isFile: the command selected an elementary file of the current directory.
func (s *selection) isFile() bool {
	if s.head[0] != insSelect {
		return true // through a short file identifier
	}
	return s.head[1] == 0 && s.n == 2 && isEF(s.data[:2])
}

// isEF goes by the first byte of the identifier (TS 102 221 §8.6, TS 51.011 §6.2).
func isEF(fid []byte) bool { return fid[0] == 0x2F || fid[0] == 0x6F || fid[0] == 0x4F }

func isFID(b []byte, hi, lo byte) bool { return len(b) == 2 && b[0] == hi && b[1] == lo }
