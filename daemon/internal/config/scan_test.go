package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScanRefusesWithPlaceAndReason(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		line, col  int
		says       string
	}{
		{"word that is no statement", "config a\n  opton x 1\n", 2, 3, `unknown word "opton"`},
		{"byte order mark", "\ufeffconfig a\n", 1, 1, "byte order mark"},
		{"option first", "option a 1\n", 1, 1, "option before the first config"},
		{"list first", "\nlist a 1\n", 2, 1, "list before the first config"},
		{"config alone", "config\n", 1, 1, `"config" without a name`},
		{"config and blank", "config \n", 1, 1, "config without a section type"},
		{"option at the end of the text", "config a\noption", 2, 1, `"option" without a name`},
		{"three arguments", "config a\n\toption b c d\n", 2, 13, `"d" is too much here`},
		{"name with a dash", "config a 'b-c'\n", 1, 10, `section name "b-c"`},
		{"option name with a dot", "config a\noption b.c 1\n", 2, 8, `option name "b.c"`},
		{"section type not ASCII", "config ä\n", 1, 8, `section type "ä"`},
		{"single quote open", "config a\n\toption b 'c\nd\n", 2, 11, "this ' is never closed"},
		{"double quote open", "config a\n\toption b \"c\\\"\n", 2, 11, `this " is never closed`},
		{"two types for a name", "config a 'n'\nconfig b 'n'\n", 2, 10, `section "n" is a "a" above`},
		{"semicolon last", "config a 'b';\n", 1, 14, "followed by another statement"},
		{"NUL", "config a\noption b '\x00'\n", 2, 11, "NUL"},
		{"columns are characters", "config a\noption b 'äö' c\n", 2, 15, `"c" is too much`},
		{"unnamed package", "package \n", 1, 1, "package without a name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := scan("remsim", []byte(tc.text))
			require.ErrorIs(t, err, ErrSyntax)
			var se *SyntaxError
			require.ErrorAs(t, err, &se)
			require.Contains(t, se.Message, tc.says)
			require.Equal(t, [2]int{tc.line, tc.col}, [2]int{se.Line, se.Column}, se.Message)
			require.Contains(t, err.Error(), fmt.Sprintf("remsim:%d:%d: ", tc.line, tc.col))
			require.Equal(t, tc.line, se.Problem().Line)
		})
	}
}

func TestScanIsBounded(t *testing.T) {
	for _, tc := range []struct{ name, text, says string }{
		{"ten megabytes in a line", "config a\noption b '" + strings.Repeat("x", 10<<20) + "'\n", "larger than 256 KiB"},
		{"ten thousand sections", strings.Repeat("config server\n", 10_000), "more than 256 sections"},
		{"one section opened ten thousand times", strings.Repeat("config a 'n'\n", 10_000), "more than 2048 statements"},
		{"a list without end", "config a\n" + strings.Repeat("list b 1\n", 10_000), "more than 2048 statements"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			_, err := scan("remsim", []byte(tc.text))
			require.ErrorIs(t, err, ErrSyntax)
			require.ErrorContains(t, err, tc.says)
			require.Less(t, time.Since(start), 30*time.Second)
		})
	}
}

// The largest files that pass must not keep go-uci busy for long either.
func TestLargestFilesPassThroughGoUCI(t *testing.T) {
	var mixed strings.Builder
	for i := range maxSections / 2 {
		fmt.Fprintf(&mixed, "config server\n\toption host 'h%d'\nconfig modem 'm%d'\n\toption role 'iot'\n", i, i)
	}
	for name, text := range map[string]string{
		"sections":    mixed.String(),
		"equal items": "config a 'x'\n" + strings.Repeat("list b 1\n", maxStatements-1),
		"one value":   "config a 'x'\noption b '" + strings.Repeat("x", maxText-100) + "'\n",
	} {
		t.Run(name, func(t *testing.T) {
			f, err := scan("remsim", []byte(text))
			require.NoError(t, err)
			lib, err := openLibrary(f)
			require.NoError(t, err)
			start := time.Now()
			require.NoError(t, f.through(lib))
			require.Less(t, time.Since(start), 30*time.Second)
		})
	}
}

func TestScanNotesWhatUCILoses(t *testing.T) {
	f, err := scan("remsim", []byte("config a\n\toption b 1;option c 2\n\toption d 'x'; # fine\n"))
	require.NoError(t, err)
	require.Nil(t, f.Sections[0].find("c"))
	require.Equal(t, []note{{2, "uci ignores what follows an unquoted ';' on this line; quote the value or start a new line"}}, f.notes)
}

func TestScanKeepsLines(t *testing.T) {
	f, err := scan("remsim", []byte("# x\n\nconfig a 'n'\n\tlist b 1\n\toption c 'two\nlines'\n\tlist b 2\n"))
	require.NoError(t, err)
	s := f.Sections[0]
	require.Equal(t, 3, s.Line)
	require.Equal(t, []int{4, 7}, s.find("b").Lines)
	require.Equal(t, []int{5}, s.find("c").Lines)
}

// FuzzUCI: no text makes the scan panic; a refusal is a SyntaxError with a
// place; what is accepted has a canonical text that means the same, and go-uci
// reads the very same out of what it is given.
func FuzzUCI(f *testing.F) {
	for _, c := range uciCases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := scan("remsim", text)
		if err != nil {
			var se *SyntaxError
			require.ErrorAs(t, err, &se)
			require.Positive(t, se.Line)
			require.Positive(t, se.Column)
			return
		}
		canonical := got.canonical()
		if len(canonical) > maxText {
			return // quotes can make a text longer
		}
		again, err := scan("canonical", []byte(canonical))
		require.NoError(t, err, "canonical text: %q", canonical)
		require.Equal(t, export(got), export(again))
		require.Equal(t, canonical, again.canonical())
		lib, err := openLibrary(got)
		require.NoError(t, err, "carrier: %q", got.carrier())
		require.NoError(t, got.through(lib), "carrier: %q", got.carrier())
	})
}
