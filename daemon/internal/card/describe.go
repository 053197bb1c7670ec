package card

import (
	"fmt"
	"strings"
)

// Place is where a logical channel stands when a command is given, as far as the
// caller knows. The zero Place knows nothing.
type Place struct {
	App     App    // the channel's current application
	DF      uint16 // current directory: 3F00, 7FFF for the application's, 7F20 …; 0: unknown
	EF      uint16 // current file; 0: none or unknown
	Short   byte   // current file when only its short identifier is known; 0: none
	Fetches byte   // INS whose answer data the next GET RESPONSE fetches; 0: unknown
}

// App is an application on the card, told by its AID.
type App string

// Applications with files that have names here.
const (
	USIM  App = "USIM"  // 3GPP TS 31.102
	ISIM  App = "ISIM"  // 3GPP TS 31.103
	ECASD App = "eUICC" // GSMA SGP.02, SGP.22
)

const (
	fidMF  = 0x3F00
	fidADF = 0x7FFF
)

// Select moves the place as a SELECT with this P1 and this body does that the card
// has obeyed (ETSI TS 102 221 §11.1.1).
func (p *Place) Select(p1 byte, body []byte) {
	switch p1 {
	case 0x04:
		*p = Place{App: appOf(body), DF: fidADF}
	case 0x08:
		p.DF, p.EF, p.Short = fidMF, 0, 0
		p.walk(body)
	case 0x09:
		p.walk(body)
	case 0x03:
		p.DF, p.EF, p.Short = 0, 0, 0
	default:
		if len(body) == 0 {
			body = []byte{0x3F, 0x00}
		}
		p.walk(body)
	}
}

// walk follows file identifiers, of which only the last may name a file.
func (p *Place) walk(path []byte) {
	for ; len(path) >= 2; path = path[2:] {
		fid := uint16(path[0])<<8 | uint16(path[1])
		switch path[0] {
		case 0x3F, 0x5F, 0x7F:
			p.DF, p.EF, p.Short = fid, 0, 0
		default:
			p.EF, p.Short = fid, 0
		}
	}
}

// SelectShort moves the place as a read or write through a short file identifier does.
func (p *Place) SelectShort(ins, p1, p2 byte) {
	if sfi := shortID(ins, p1, p2); sfi != 0 {
		p.EF, p.Short = shortFile(p.App, p.DF, sfi), sfi
	}
}

// shortID is the short file identifier that a command names, 0 for none (§11.1.3 to
// 11.1.6).
func shortID(ins, p1, p2 byte) byte {
	switch ins {
	case 0xB0, 0xD6:
		if p1&0x80 != 0 {
			return p1 & 0x1F
		}
	case 0xB2, 0xDC, 0xA2:
		return p2 >> 3
	}
	return 0
}

// appOf knows applications by RID and application code (ETSI TS 101 220 annex E).
func appOf(aid []byte) App {
	switch s := string(aid); {
	case strings.HasPrefix(s, "\xA0\x00\x00\x00\x87\x10\x02"):
		return USIM
	case strings.HasPrefix(s, "\xA0\x00\x00\x00\x87\x10\x04"):
		return ISIM
	case strings.HasPrefix(s, "\xA0\x00\x00\x05\x59\x10\x10"):
		return ECASD
	}
	return ""
}

// instructions are the names of ETSI TS 102 221 table 10.5, 3GPP TS 51.011 §9.2 and
// GlobalPlatform 2.3.1.
var instructions = map[byte]string{
	0x04: "DEACTIVATE FILE", 0x10: "TERMINAL PROFILE", 0x12: "FETCH", 0x14: "TERMINAL RESPONSE",
	0x20: "VERIFY PIN", 0x24: "CHANGE PIN", 0x26: "DISABLE PIN", 0x28: "ENABLE PIN", 0x2C: "UNBLOCK PIN",
	0x32: "INCREASE", 0x44: "ACTIVATE FILE", 0x70: "MANAGE CHANNEL", 0x73: "MANAGE SECURE CHANNEL",
	0x75: "TRANSACT DATA", 0x76: "SUSPEND UICC", 0x78: "GET IDENTITY", 0x82: "EXTERNAL AUTHENTICATE",
	0x84: "GET CHALLENGE", 0x88: "AUTHENTICATE", 0x89: "AUTHENTICATE", 0xA2: "SEARCH RECORD", 0xA4: "SELECT",
	0xAA: "TERMINAL CAPABILITY", 0xB0: "READ BINARY", 0xB2: "READ RECORD", 0xC0: "GET RESPONSE",
	0xC2: "ENVELOPE", 0xCA: "GET DATA", 0xCB: "RETRIEVE DATA", 0xD6: "UPDATE BINARY", 0xDB: "SET DATA",
	0xDC: "UPDATE RECORD", 0xE2: "STORE DATA", 0xE6: "INSTALL", 0xE8: "LOAD", 0xF0: "SET STATUS",
	0xF2: "STATUS", 0xFA: "SLEEP",
}

// Instruction names an instruction. The same bytes mean other things in class A0
// (3GPP TS 51.011) now and then.
func Instruction(cla, ins byte) string {
	if cla == 0xA0 {
		switch ins {
		case 0x04:
			return "INVALIDATE"
		case 0x44:
			return "REHABILITATE"
		case 0x88:
			return "RUN GSM ALGORITHM"
		case 0xA2:
			return "SEEK"
		}
	}
	if name, ok := instructions[ins]; ok {
		return name
	}
	return fmt.Sprintf("INS %02X", ins)
}

// Describe says in words what a command TPDU is: instruction, file, channel. It
// shows nothing of the body but file identifiers and application names.
func Describe(tpdu []byte, at Place) string {
	if len(tpdu) < headerLen {
		return fmt.Sprintf("%d bytes, no command", len(tpdu))
	}
	cla, ins, p1, p2 := tpdu[0], tpdu[1], tpdu[2], tpdu[3]
	words := []string{Instruction(cla, ins)}
	switch ins {
	case 0xA4:
		words = append(words, selectTarget(tpdu, at))
	case 0xB0, 0xD6, 0xB2, 0xDC, 0xA2, 0x32:
		words = append(words, fileWords(ins, p1, p2, at))
	case 0x20, 0x24, 0x26, 0x28, 0x2C:
		words[0] = strings.TrimSuffix(words[0], " PIN")
		words = append(words, pinName(p2))
	case 0x70:
		words = append(words, channelWords(p1, p2))
	case 0xC0:
		if at.Fetches != 0 {
			words = append(words, "of "+Instruction(cla, at.Fetches))
		}
	case 0xF2:
		switch p1 {
		case 1:
			words = append(words, "application ready")
		case 2:
			words = append(words, "application ends")
		}
	}
	if ch := channelOf(cla); ch != 0 {
		words = append(words, fmt.Sprintf("channel %d", ch))
	}
	return joinWords(words)
}

func joinWords(words []string) string {
	kept := words[:0]
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// channelOf is the logical channel of a CLA byte (TS 102 221 §10.1.1).
func channelOf(cla byte) int {
	switch {
	case cla == 0xA0:
		return 0
	case cla&0x40 != 0:
		return int(cla&0x0F) + 4
	}
	return int(cla & 0x03)
}

// selectTarget names what a SELECT selects.
func selectTarget(tpdu []byte, at Place) string {
	p1, body := tpdu[2], tpdu[headerLen:]
	if p1 == 0x04 {
		if app := appOf(body); app != "" {
			return "ADF " + string(app)
		}
		return fmt.Sprintf("AID %X", body)
	}
	if p1 == 0x03 {
		return "parent directory"
	}
	to := at
	to.Select(p1, body)
	if to.EF != 0 {
		return fileName(to.App, to.DF, to.EF)
	}
	return dirName(to.App, to.DF)
}

// fileWords names the file that a command reads or writes, and the record.
func fileWords(ins, p1, p2 byte, at Place) string {
	at.SelectShort(ins, p1, p2)
	var s string
	switch {
	case at.EF != 0:
		s = fileName(at.App, at.DF, at.EF)
	case at.Short != 0:
		s = fmt.Sprintf("SFI %02X", at.Short)
	}
	if ins != 0xB2 && ins != 0xDC {
		return s
	}
	switch mode := p2 & 0x07; {
	case mode == 2:
		return joinWords([]string{s, "next record"})
	case mode == 3:
		return joinWords([]string{s, "previous record"})
	case p1 == 0:
		return joinWords([]string{s, "current record"})
	}
	return joinWords([]string{s, fmt.Sprintf("record %d", p1)})
}

// pinName names a key reference (TS 102 221 table 9.3).
func pinName(p2 byte) string {
	switch {
	case p2 == 0x00 || p2 == 0x02:
		return "CHV2"
	case p2 >= 0x01 && p2 <= 0x08:
		return fmt.Sprintf("PIN %d", p2)
	case p2 >= 0x0A && p2 <= 0x0E:
		return fmt.Sprintf("ADM %d", p2-0x09)
	case p2 == 0x11:
		return "universal PIN"
	case p2 >= 0x81 && p2 <= 0x88:
		return fmt.Sprintf("local PIN %d", p2-0x80)
	case p2 >= 0x8A && p2 <= 0x8E:
		return fmt.Sprintf("local ADM %d", p2-0x84)
	}
	return fmt.Sprintf("key %02X", p2)
}

func channelWords(p1, p2 byte) string {
	switch {
	case p1 == 0x00 && p2 == 0:
		return "open"
	case p1 == 0x00:
		return fmt.Sprintf("open %d", p2)
	case p1 == 0x80:
		return fmt.Sprintf("close %d", p2)
	}
	return ""
}

// statusWords are complete status words (ISO 7816-4 §5.6, TS 102 221 §10.2, TS 51.011
// §9.4).
var statusWords = map[uint16]string{
	0x9000: "ok", 0x9300: "card is busy, try later", 0x9240: "memory problem", 0x9400: "no file selected",
	0x9402: "address out of range", 0x9404: "file not found", 0x9408: "file does not fit the command",
	0x9802: "no PIN initialised", 0x9804: "access condition not fulfilled, or wrong PIN",
	0x9808: "not in this PIN state", 0x9810: "not in this invalidation state", 0x9840: "PIN blocked",
	0x9850: "maximum reached", 0x9862: "authentication error, incorrect MAC",
	0x9863: "security session not supported", 0x9864: "authentication error, security context not supported",
	0x9865: "key freshness failure", 0x6281: "part of the data may be corrupted", 0x6282: "end of file reached",
	0x6283: "selected file is deactivated", 0x6285: "selected file is terminated", 0x62F1: "more data available",
	0x62F2: "more data available, proactive command pending", 0x62F3: "response data available",
	0x63F1: "more data expected", 0x63F2: "more data expected, proactive command pending",
	0x6400: "no information, memory unchanged", 0x6500: "no information, memory changed",
	0x6581: "memory problem", 0x6700: "wrong length", 0x6800: "function of the class not supported",
	0x6881: "logical channel not supported", 0x6882: "secure messaging not supported",
	0x6981: "file does not fit the command", 0x6982: "security status not satisfied", 0x6983: "PIN blocked",
	0x6984: "reference data invalidated", 0x6985: "conditions of use not satisfied", 0x6986: "no file selected",
	0x6989: "not in a secure channel", 0x6A80: "wrong parameters in the data", 0x6A81: "function not supported",
	0x6A82: "file not found", 0x6A83: "record not found", 0x6A84: "not enough memory",
	0x6A86: "wrong P1 or P2", 0x6A87: "length does not fit P1 and P2", 0x6A88: "referenced data not found",
	0x6B00: "wrong P1 or P2", 0x6D00: "instruction not known", 0x6E00: "class not known", 0x6F00: "technical problem",
}

// StatusText says what a status word means, after the word itself.
func StatusText(sw uint16) string {
	hex, lo := fmt.Sprintf("%04X", sw), sw&0xFF
	if s, ok := statusWords[sw]; ok {
		return hex + " " + s
	}
	length := lo
	if length == 0 {
		length = 256
	}
	switch sw >> 8 {
	case 0x61, 0x9F:
		return fmt.Sprintf("%s ok, %d bytes to fetch", hex, length)
	case 0x6C:
		return fmt.Sprintf("%s wrong length, %d bytes are there", hex, length)
	case 0x91:
		return fmt.Sprintf("%s ok, proactive command of %d bytes pending", hex, length)
	case 0x92:
		return fmt.Sprintf("%s ok after %d internal tries", hex, lo&0x0F)
	case 0x9E:
		return fmt.Sprintf("%s download error, %d bytes to fetch", hex, length)
	case 0x62, 0x63:
		if lo&0xF0 == 0xC0 {
			return fmt.Sprintf("%s refused, %d tries left", hex, lo&0x0F)
		}
		return hex + " warning"
	case 0x64, 0x65:
		return hex + " execution error"
	case 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6D, 0x6E, 0x6F, 0x98:
		return hex + " refused"
	}
	return hex + " unknown status word"
}
