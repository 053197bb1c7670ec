package config

import (
	"strings"
)

// argument reads the next argument of a statement and where it starts
// (next_arg and parse_str of libuci). It is "" when there is none, when it is
// an empty pair of quotes, and when a `;` stands there.
func (s *scanner) argument() (value string, from int, err error) {
	s.skipSpace()
	from = s.pos
	if s.current() == ';' {
		s.pos++
		return "", from, nil
	}
	var out []byte
	for {
		more := true
		switch c := s.current(); c {
		case '\'':
			out, err = s.single(out)
		case '"':
			out, err = s.double(out)
		case '#':
			s.pos = s.end // a comment, in the middle of a word too
			more = false
		case 0, ';':
			more = false
		case '\\':
			if s.escaped() {
				out = append(out, s.text[s.pos])
				s.pos++
			}
		default:
			out = append(out, c)
			s.pos++
		}
		if err != nil {
			return "", from, err
		}
		if c := s.current(); !more || c == 0 || isSpace(c) {
			break
		}
	}
	s.closeArgument(from, len(out))
	return string(out), from, nil
}

// closeArgument steps over what ended an argument of n bytes.
//
// libuci unquotes in place and then ends the string with a NUL. After a word
// without quotes and escapes that NUL falls on the `;` itself, and the rest of
// the line is lost without a word: `option a 1;option b 2` sets a only. What
// real `uci` reads counts here too, but we say so.
func (s *scanner) closeArgument(from, n int) {
	switch c := s.current(); {
	case c == ';' && n == s.pos-from:
		rest := strings.TrimLeft(s.text[s.pos+1:s.end], "; \t\r\n")
		if rest != "" && rest[0] != '#' {
			s.file.note(s.line, "uci ignores what follows an unquoted ';' on this line; quote the value or start a new line")
		}
		s.pos = s.end
	case c != 0 && c != ';':
		s.pos++
	}
}

// escaped steps over a backslash. It returns false when that joined the next
// line: at the end of a line, the backslash and the line's end vanish.
func (s *scanner) escaped() bool {
	s.pos++
	switch rest := s.text[s.pos:s.end]; rest {
	case "", "\n", "\r\n":
		s.pos = s.end
		s.fetch()
		return false
	}
	return true
}

// single reads a single-quoted string: every byte stands for itself, line ends too.
func (s *scanner) single(out []byte) ([]byte, error) {
	open := s.pos
	s.pos++
	for {
		switch c := s.current(); c {
		case '\'':
			s.pos++
			return out, nil
		case 0:
			if !s.fetch() {
				return nil, s.fail(open, "this ' is never closed")
			}
		default:
			out = append(out, c)
			s.pos++
		}
	}
}

// double reads a double-quoted string: a backslash makes the next byte stand for itself.
func (s *scanner) double(out []byte) ([]byte, error) {
	open := s.pos
	s.pos++
	for {
		switch c := s.current(); c {
		case '"':
			s.pos++
			return out, nil
		case 0:
			if !s.fetch() {
				return nil, s.fail(open, `this " is never closed`)
			}
		case '\\':
			if s.escaped() {
				out = append(out, s.text[s.pos])
				s.pos++
			}
		default:
			out = append(out, c)
			s.pos++
		}
	}
}
