package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrSyntax wraps every refusal of a text that is no UCI file.
var ErrSyntax = errors.New("malformed UCI text")

// Bounds of what is read. Real files hold a few dozen statements; go-uci needs
// time that grows with the cube of the number of sections.
const (
	maxText       = 256 << 10 // bytes
	maxSections   = 256
	maxStatements = 2048
)

// SyntaxError says where a text stops being a UCI file.
type SyntaxError struct {
	File    string
	Line    int // from 1
	Column  int // from 1, in characters
	Message string
}

// Error names the place as compilers do: file:line:column.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Unwrap makes errors.Is(err, ErrSyntax) true.
func (e *SyntaxError) Unwrap() error { return ErrSyntax }

// Problem is the same refusal as a line of the `config` reply.
func (e *SyntaxError) Problem() model.Problem {
	return model.Problem{Line: e.Line, Message: fmt.Sprintf("%s (column %d); nothing of this file is used", e.Message, e.Column)}
}

// scanner reads UCI text by the rules of libuci's file.c. Its terms are kept:
// a statement stands in a buffer that holds one line, and takes in the next
// line when a quote or a backslash leads over the end. text[pos:end] is what is
// left of that buffer.
type scanner struct {
	name       string
	text       string
	pos, end   int
	line       int // number of the line that ends at end
	statements int
	file       *file
	section    *section // the one that options go to
}

// scan reads text, the contents of the file called name. It accepts what
// libuci accepts in its strict mode, and reads it the same way, but for two
// things: a NUL byte and a text beyond the bounds above are refused.
func scan(name string, text []byte) (*file, error) {
	s := &scanner{name: name, text: string(text), file: &file{}}
	if len(text) > maxText {
		return nil, s.fail(maxText, "the file is larger than %d KiB", maxText>>10)
	}
	if at := strings.IndexByte(s.text, 0); at >= 0 {
		return nil, s.fail(at, "there is a NUL byte; this is no text file")
	}
	for s.fetch() {
		if err := s.statementsOfLine(); err != nil {
			return nil, err
		}
		s.pos = s.end
	}
	return s.file, nil
}

// fail makes the error for the byte at offset.
func (s *scanner) fail(offset int, format string, args ...any) error {
	before := s.text[:min(offset, len(s.text))]
	start := strings.LastIndexByte(before, '\n') + 1
	return &SyntaxError{
		File:    s.name,
		Line:    strings.Count(before, "\n") + 1,
		Column:  utf8.RuneCountInString(before[start:]) + 1,
		Message: fmt.Sprintf(format, args...),
	}
}

// fetch takes in the next line (uci_getln). It returns false at the end of the text.
func (s *scanner) fetch() bool {
	if s.end >= len(s.text) {
		return false
	}
	if n := strings.IndexByte(s.text[s.end:], '\n'); n >= 0 {
		s.end += n + 1
	} else {
		s.end = len(s.text)
	}
	s.line++
	return true
}

// current returns the byte at pos, 0 at the end of the buffer.
func (s *scanner) current() byte {
	if s.pos >= s.end {
		return 0
	}
	return s.text[s.pos]
}

// isSpace is C's isspace in the C locale.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func (s *scanner) skipSpace() {
	for s.pos < s.end && isSpace(s.text[s.pos]) {
		s.pos++
	}
}

// statementsOfLine reads the statements of one line (uci_parse_line); `;` parts them.
func (s *scanner) statementsOfLine() error {
	s.skipSpace()
	for {
		// libuci cuts the keyword with strtok(" \t"): other white space belongs to the word.
		rest := s.text[s.pos:s.end]
		from := s.pos + len(rest) - len(strings.TrimLeft(rest, " \t"))
		word, _, found := strings.Cut(s.text[from:s.end], " ")
		word, _, tab := strings.Cut(word, "\t")
		if word == "" || word[0] == '#' {
			return nil
		}
		var read func(at int) error
		switch word {
		case "p", "package":
			read = s.readPackage
		case "c", "config":
			read = s.readConfig
		case "o", "option":
			read = func(at int) error { return s.readOption(at, false) }
		case "l", "list":
			read = func(at int) error { return s.readOption(at, true) }
		default:
			return s.unknownKeyword(from, word)
		}
		if !found && !tab { // the text ends with the keyword
			return s.fail(from, "%q without a name", word)
		}
		if s.statements++; s.statements > maxStatements {
			return s.fail(from, "more than %d statements", maxStatements)
		}
		s.pos = from + len(word) + 1
		if err := read(from); err != nil {
			return err
		}
	}
}

func (s *scanner) unknownKeyword(at int, word string) error {
	shown := strings.TrimRight(word, "\r\n")
	switch {
	case strings.HasPrefix(word, "\ufeff"):
		return s.fail(at, "the file starts with a byte order mark; save it as plain UTF-8 without one")
	case shown == "":
		return s.fail(at, "a ';' has to be followed by another statement on the same line")
	case shown != word && (shown == "config" || shown == "option" || shown == "list" || shown == "package"):
		return s.fail(at, "%q without a name", shown)
	}
	return s.fail(at, "unknown word %q; a statement starts with config, option, list or package", clip(shown))
}

// readPackage checks and ignores `package NAME`, as libuci does for a file
// that it loads by name.
func (s *scanner) readPackage(at int) error {
	name, from, err := s.argument()
	if err != nil {
		return err
	}
	if name == "" {
		return s.fail(at, "package without a name")
	}
	if !validName(name, true) {
		return s.fail(from, "package name %q: letters, digits, _ and - are accepted", clip(name))
	}
	return s.endOfStatement()
}

// readConfig opens a section: `config TYPE [NAME]`.
func (s *scanner) readConfig(at int) error {
	line := s.line
	typ, from, err := s.argument()
	if err != nil {
		return err
	}
	if typ == "" {
		return s.fail(at, "config without a section type")
	}
	if !validType(typ) {
		return s.fail(from, "section type %q: printable ASCII without spaces is accepted", clip(typ))
	}
	name, from, err := s.argument()
	if err != nil {
		return err
	}
	if name != "" && !validName(name, false) {
		return s.fail(from, "section name %q: letters, digits and _ are accepted", clip(name))
	}
	if err := s.endOfStatement(); err != nil {
		return err
	}
	sec, ok := s.file.open(typ, name, line)
	if !ok {
		return s.fail(from, "section %q is a %q above; one name cannot have two types", name, s.file.named(name).Type)
	}
	if len(s.file.Sections) > maxSections {
		return s.fail(at, "more than %d sections", maxSections)
	}
	s.section = sec
	return nil
}

// readOption reads `option NAME [VALUE]` or `list NAME [VALUE]`.
func (s *scanner) readOption(at int, list bool) error {
	what := "option"
	if list {
		what = "list"
	}
	if s.section == nil {
		return s.fail(at, "%s before the first config", what)
	}
	line := s.line
	name, from, err := s.argument()
	if err != nil {
		return err
	}
	if name == "" {
		return s.fail(at, "%s without a name", what)
	}
	if !validName(name, false) {
		return s.fail(from, "%s name %q: letters, digits and _ are accepted", what, clip(name))
	}
	value, _, err := s.argument()
	if err != nil {
		return err
	}
	if err := s.endOfStatement(); err != nil {
		return err
	}
	if list {
		s.section.add(name, value, line)
	} else {
		s.section.set(name, value, line)
	}
	return nil
}

// endOfStatement refuses a further argument (assert_eol). An empty one passes,
// as in libuci, and so does a `;`, which is used up.
func (s *scanner) endOfStatement() error {
	extra, from, err := s.argument()
	if err != nil {
		return err
	}
	if extra != "" {
		return s.fail(from, "%q is too much here; a value with spaces needs quotes, another statement a line of its own", clip(extra))
	}
	return nil
}

// validName is uci_validate_str for names; dash tells whether '-' is allowed (packages).
func validName(s string, dash bool) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || dash && c == '-') {
			return false
		}
	}
	return true
}

// validType is uci_validate_type: printable ASCII, no space.
func validType(s string) bool {
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 {
			return false
		}
	}
	return true
}

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
