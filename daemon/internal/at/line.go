package at

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLine bounds one line. The longest that a modem of ours sends is a
// +COPS=? list of about 1500 bytes.
const maxLine = 4096

// splitter cuts a byte stream into lines. V.250 §5.7.1 frames a response as
// <CR><LF>text<CR><LF>; modems also send lone CRs, lone LFs, NULs and noise.
type splitter struct {
	buf  []byte
	over bool // the line is too long: dropped up to its end
}

// push hands every complete, non-empty line to emit.
func (s *splitter) push(b []byte, emit func(string)) {
	for _, c := range b {
		switch {
		case c == '\r' || c == '\n':
			if line := cleanLine(s.buf); line != "" && !s.over {
				emit(line)
			}
			s.buf, s.over = s.buf[:0], false
		case c < ' ' && c != '\t' || c == 0x7f:
			// no text
		case len(s.buf) >= maxLine:
			s.over = true
		default:
			s.buf = append(s.buf, c)
		}
	}
}

func cleanLine(b []byte) string {
	s := string(b)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.TrimSpace(s)
}

// finals end a command without success (V.250 §5.7.1, TS 27.007 §9, and what
// vendors say instead).
var finals = [...]string{"ERROR", "NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE", "ABORTED", "COMMAND NOT SUPPORT", "OPERATION NOT ALLOWED"}

// final tells whether a line ends a command, and how.
func final(line string) (ended bool, err error) {
	if line == "OK" {
		return true, nil
	}
	for _, kind := range [...]string{"CME", "CMS"} {
		if rest, ok := strings.CutPrefix(line, "+"+kind+" ERROR"); ok {
			return true, parseError(kind, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), ":")))
		}
	}
	for _, f := range finals {
		if line == f {
			return true, &Error{Text: strings.ToLower(f)}
		}
	}
	return false, nil
}

func parseError(kind, rest string) *Error {
	e := &Error{Kind: kind, Code: -1, Text: strings.ToLower(rest)}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		if e.Text == "" {
			e.Text = "no reason given"
		}
		return e
	}
	e.Code, e.Text = n, errorText(kind, n)
	return e
}

// unsolicitedWords begin unsolicited lines that carry no sign in front.
var unsolicitedWords = [...]string{"RING", "NO CARRIER", "RDY", "SMS READY", "SMS DONE", "PB DONE", "CALL READY", "POWERED DOWN",
	"NORMAL POWER DOWN", "APP RDY", "BOOT", "SIM READY"}

// looksUnsolicited tells bare text from unsolicited lines.
func looksUnsolicited(line string) bool {
	if strings.ContainsRune("+^*%$#!_&", rune(line[0])) {
		return true
	}
	for _, w := range unsolicitedWords {
		if line == w || strings.HasPrefix(line, w+":") {
			return true
		}
	}
	return false
}

// answers tells whether a line is an information line of the command, and
// returns it without the prefix.
func (c Command) answers(line string) (string, bool) {
	p := c.prefix()
	if len(line) >= len(p) && strings.EqualFold(line[:len(p)], p) {
		return strings.TrimSpace(line[len(p):]), true
	}
	// "+GTDUALSIM : 0": FM350 puts a blank before the colon.
	if n := len(p) - 1; len(line) > n && strings.EqualFold(line[:n], p[:n]) && strings.HasPrefix(strings.TrimLeft(line[n:], " "), ":") {
		return strings.TrimSpace(strings.TrimLeft(line[n:], " ")[1:]), true
	}
	switch c.Shape {
	case Bare:
		return line, !looksUnsolicited(line)
	case Block:
		return line, line[0] == '!' || !looksUnsolicited(line)
	}
	return "", false
}

// fields cuts a parameter list at its commas, outside quotes, and takes the
// quotes off (TS 27.007 §4, V.250 §5.4.2).
func fields(s string) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			out = append(out, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(out, strings.TrimSpace(b.String()))
}
