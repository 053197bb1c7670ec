package config

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata and docs from what the code (or the real uci) gives now")

// How many random texts go to the real uci; more by hand: -args -texts 20000 -seed 7.
var (
	texts = flag.Int("texts", 400, "random texts to compare with the real uci")
	seed  = flag.Uint64("seed", 1, "seed of the random texts")
	files = flag.String("files", "", "a directory whose files are compared too, for a run by hand")
)

// uciCases are texts whose reading by the real uci is kept in
// testdata/real-uci.txt. Each stands for one rule of libuci's file.c or list.c.
var uciCases = []struct{ name, text string }{
	{"empty file", ""},
	{"only a line end", "\n"},
	{"only a comment", "# nothing\n"},
	{"plain", "config remsim 'main'\n\toption enabled '1'\n\nconfig server\n\toption host 'h'\n"},
	{"empty option", "config a 'b'\n\toption x ''\n\toption y '1'\n"},
	{"empty option after a value keeps it", "config a 'b'\n\toption x '1'\n\toption x ''\n"},
	{"option without value", "config a 'b'\n\toption x\n\toption y '1'\n"},
	{"empty list item", "config a 'b'\n\tlist x ''\n\tlist x '1'\n\tlist x ''\n"},
	{"list without value", "config a 'b'\n\tlist x\n"},
	{"apostrophe as libuci writes it", "config a 'b'\n\toption x 'it'\\''s'\n"},
	{"apostrophe in double quotes", "config a 'b'\n\toption x \"it's\"\n"},
	{"apostrophe escaped without quotes", "config a 'b'\n\toption x it\\'s\n"},
	{"double quote in single quotes", "config a 'b'\n\toption x 'say \"x\"'\n"},
	{"double quote escapes", "config a 'b'\n\toption x \"a\\\"b\\\\c\\nd\\$e\\'\"\n"},
	{"backslash in single quotes", "config a 'b'\n\toption x 'a\\b\\\\c\\'\n\toption y '1'\n"},
	{"escapes without quotes", "config a 'b'\n\toption x a\\ b\\#c\\;d\\\\e\n"},
	{"quoted type and name", "config 'foo' \"bar\"\n\toption 'x' '1'\n\toption \"y\" 2\n"},
	{"quoted anonymous type", "config 'foo'\n\toption 'x' '1'\n"},
	{"empty section name", "config foo ''\n\toption x '1'\n"},
	{"empty section type", "config ''\n"},
	{"empty option name", "config a\n\toption '' '1'\n"},
	{"list order and duplicates", "config a 'b'\n\tlist x '1'\n\tlist x '1'\n\tlist y '9'\n\tlist x '2'\n\tlist x '1'\n"},
	{"CRLF", "config a 'b'\r\n\toption x '1'\r\n\tlist y 2\r\n\r\n"},
	{"CRLF and no value", "config a 'b'\r\n\toption x\r\n"},
	{"CRLF in a value", "config a 'b'\r\n\toption x '1\r\n2'\r\n"},
	{"lone CR", "config a 'b'\r\toption x '1'\n"},
	{"package line", "package remsim\n\nconfig a 'b'\n\toption x '1'\n"},
	{"package of another name", "package other\nconfig a 'b'\n"},
	{"package quoted and abbreviated", "p 'remsim'\nc a 'b'\n"},
	{"package without name", "package\n"},
	{"package bad name", "package a.b\n"},
	{"package after sections", "config a 'b'\n\toption x 1\npackage q\n\toption y 2\n"},
	{"abbreviations", "c a 'b'\n\to x '1'\n\tl y '2'\n\tl y '3'\n"},
	{"wrong abbreviations", "co a 'b'\n"},
	{"word that starts like a keyword", "configuration a\n"},
	{"upper case keyword", "Config a\n"},
	{"multi-line single quotes", "config a 'b'\n\toption x 'one\ntwo\n\n  three'\n\toption y '1'\n"},
	{"multi-line double quotes", "config a 'b'\n\toption x \"one\ntwo\"\n"},
	{"line joined in double quotes", "config a 'b'\n\toption x \"one\\\ntwo\"\n"},
	{"line joined without quotes", "config a 'b'\n\toption x one\\\ntwo\n"},
	{"line joined to blanks", "config a 'b'\n\toption x one\\\n two\n"},
	{"line joined before a value", "config a 'b'\n\toption x \\\n'two'\n"},
	{"line joined with CRLF", "config a 'b'\r\n\toption x one\\\r\ntwo\r\n"},
	{"backslash and CR inside a line", "config a 'b'\n\toption x one\\\rtwo\n"},
	{"backslash keeps a line end in single quotes", "config a 'b'\n\toption x 'one\\\ntwo'\n"},
	{"backslash at the end of the text", "config a 'b'\n\toption x one\\"},
	{"backslash at the end of the text in double quotes", "config a 'b'\n\toption x \"one\\"},
	{"statement continues over a joined line", "config a\\\n b\n\toption x 1\n"},
	{"comment after a section", "config a # comment\n\toption x 1\n"},
	{"comment after a named section", "config a 'b' # comment\n\toption x '1' # one\n\toption y 2 # two\n"},
	{"comment glued to a quote", "config a 'b'#c\n\toption x '1'#c\n"},
	{"comment glued to a word", "config a b#c\n\toption x 1#c\n\toption y#z 2\n"},
	{"comment instead of a value", "config a b\n\toption x # none\n"},
	{"hash inside quotes", "config a b\n\toption x 'a # b'\n"},
	{"comment ends with a backslash", "config a b\n# comment \\\n\toption x 1\n"},
	{"no line end at the end, quoted", "config a 'b'\n\toption x '1'"},
	{"no line end at the end, bare", "config a 'b'\n\toption x 1"},
	{"no line end after a comment", "config a 'b'\n\toption x 1\n# end"},
	{"no line end after a section", "config a 'b'"},
	{"no line end after a type", "config a"},
	{"keyword at the end of the text", "config a\noption"},
	{"keyword and blank at the end of the text", "config a\noption "},
	{"two statements after a name", "config a 'b'; option x 1\n"},
	{"two statements after an empty argument", "config a 'b' ''; option x 1\n"},
	{"two statements after quotes", "config a 'b'\n\toption x '1'; option y '2'; list z '3'\n"},
	{"two statements after a bare word", "config a 'b'\n\toption x 1; option y 2\n"},
	{"two statements after a bare word and a blank", "config a 'b'\n\toption x 1 ; option y 2\n"},
	{"two statements after a type", "config a; option x 1\n"},
	{"two statements after a quoted type", "config 'a'; option x 1\n"},
	{"semicolon in a word", "config a 'b'\n\toption x one;two\n"},
	{"semicolon in a word with an escape", "config a 'b'\n\toption x o\\ne;two\n"},
	{"semicolon in a word with an escape, then a statement", "config a 'b'\n\toption x o\\ne;option y 2\n"},
	{"semicolon in quotes", "config a 'b'\n\toption x 'one;two'\n"},
	{"semicolon last", "config a 'b'\n\toption x '1';\n"},
	{"semicolon and comment", "config a 'b'\n\toption x '1'; # c\n"},
	{"semicolon first", "; config a\n"},
	{"semicolon instead of a value", "config a 'b'\n\toption x ;\n\toption y 1\n"},
	{"semicolons doubled", "config a 'b'\n\toption x '1';; option y 2\n"},
	{"empty quotes end a statement", "config a 'b'\n\toption x 1 '' option y 2\n"},
	{"two arguments too many", "config a 'b'\n\toption x 1 2\n"},
	{"section with three words", "config a b c\n"},
	{"words glued by quotes", "config a 'b'\n\toption x a'b c'\"d e\"f\n"},
	{"quotes glued to the next", "config a 'b'\n\toption x 'a''b'\n"},
	{"name and value glued", "config a 'b'\n\toption 'x''1'\n"},
	{"same section twice", "config a 'b'\n\toption x 1\n\toption y 1\nconfig c\nconfig a 'b'\n\toption x 2\n\toption z 3\n"},
	{"same section, other type", "config a 'b'\nconfig c 'b'\n"},
	{"same option twice", "config a 'b'\n\toption x 1\n\toption y 1\n\toption x 22\n"},
	{"list after option", "config a 'b'\n\toption x 1\n\toption y 1\n\tlist x 2\n"},
	{"option after list", "config a 'b'\n\tlist x 1\n\tlist x 2\n\toption y 1\n\toption x 3\n"},
	{"empty option after list", "config a 'b'\n\tlist x 1\n\toption x ''\n"},
	{"several anonymous", "config a\n\toption x 1\nconfig b\nconfig a\n\toption x 2\nconfig a 'n'\nconfig a\n\toption x 3\n"},
	{"name of an anonymous section", "config server\n\toption x 1\nconfig server 'cfg01769c'\n\toption y 2\n"},
	{"dash in a section name", "config a b-c\n"},
	{"dash in an option name", "config a\n\toption b-c 1\n"},
	{"dot in an option name", "config a\n\toption b.c 1\n"},
	{"dash and dot in a type", "config a-b.c 'x'\n\toption y 1\n"},
	{"quote in a type", "config \"a'b\" 'x'\n\toption y 1\n"},
	{"blank in a type", "config 'a b'\n"},
	{"digits as names", "config 1 2\n\toption 3 4\n"},
	{"not ASCII in a value", "config a 'b'\n\toption x 'Zürich'\n"},
	{"not ASCII in a type", "config ä\n"},
	{"not UTF-8 in a value", "config a 'b'\n\toption x '\xff\xfe'\n"},
	{"control characters in a value", "config a 'b'\n\toption x '\x01\x1b[0m\x7f'\n"},
	{"byte order mark", "\ufeffconfig a\n"},
	{"tabs between words", "config\ta\t'b'\n\toption\t\tx\t\t'1'\t\n"},
	{"vertical tab and form feed", "\v\fconfig a 'b'\n\toption x\v'1'\f\n"},
	{"vertical tab after a keyword", "config\va\n"},
	{"indented section", "   config a b\n option x 1\n"},
	{"no indentation", "config a b\noption x 1\nlist y 2\n"},
	{"option before a section", "option x 1\n"},
	{"percent signs", "config a 'b'\n\toption x '%41'\n\tlist y '%0=z'\n\tlist y '%'\n"},
	{"unterminated single quote", "config a 'b'\n\toption x '1\n"},
	{"unterminated double quote", "config a 'b'\n\toption x \"1\n"},
	{"long value", "config a 'b'\n\toption x '" + strings.Repeat("0123456789", 40) + "'\n"},
	{"long multi-line value", "config a 'b'\n\toption x '" + strings.Repeat("0123456789\n", 40) + "'\n"},
	{"words only", "hello world\n"},
	{"key value file", "enabled=1\n"},
}

const realFile = "testdata/real-uci.txt"

// export writes f exactly as uci_export_package does.
func export(f *file) string {
	var b strings.Builder
	b.WriteString("package remsim\n")
	escape := strings.NewReplacer("'", `'\''`).Replace
	for _, s := range f.Sections {
		b.WriteString("\nconfig " + escape(s.Type))
		if !s.Anonymous {
			b.WriteString(" '" + s.Name + "'")
		}
		b.WriteString("\n")
		for _, o := range s.Options {
			word := map[bool]string{false: "option", true: "list"}[o.List]
			for _, v := range o.Values {
				b.WriteString("\t" + word + " " + o.Name + " '" + escape(v) + "'\n")
			}
		}
	}
	return b.String() + "\n"
}

// ours reads text as the product does: scan, then go-uci. "refused" stands for any refusal.
func ours(t *testing.T, text string) string {
	t.Helper()
	f, err := scan("remsim", []byte(text))
	if err != nil {
		require.ErrorIs(t, err, ErrSyntax)
		return "refused"
	}
	lib, err := openLibrary(f)
	require.NoError(t, err, "carrier: %q", f.carrier())
	require.NoError(t, f.through(lib), "carrier: %q", f.carrier())
	return export(f)
}

// realUCI asks the real uci to read text.
func realUCI(t *testing.T, program, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "remsim"), []byte(text), 0o600))
	cmd := exec.Command(program, "-c", dir, "-C", filepath.Join(dir, "none"), "-t", filepath.Join(dir, "save"), "export", "remsim")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		require.Contains(t, stderr.String(), "Parse error", "uci failed otherwise: %v", err)
		return "refused"
	}
	return stdout.String()
}

// findUCI returns the real uci, or skips. uci is OpenWrt's; Debian has no
// package of it, so CI goes by testdata/real-uci.txt.
func findUCI(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("uci")
	if err != nil {
		t.Skip("needs the real uci on PATH (OpenWrt's; built from git.openwrt.org/project/uci.git)")
	}
	if out, err := exec.Command(program, "-c", t.TempDir(), "show").CombinedOutput(); err != nil && bytes.Contains(out, []byte("shared libraries")) {
		t.Skipf("needs the libraries of %s (LD_LIBRARY_PATH): %s", program, out)
	}
	return program
}

// recorded is testdata/real-uci.txt: per case its name, the text and what uci
// reads, each as a Go string on a line of its own.
func recorded(t *testing.T) map[string][2]string {
	t.Helper()
	b, err := os.ReadFile(realFile)
	require.NoError(t, err)
	out := map[string][2]string{}
	for block := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
		lines := strings.Split(block, "\n")
		if strings.HasPrefix(lines[0], "#") {
			continue
		}
		require.Len(t, lines, 3)
		text, err := strconv.Unquote(lines[1])
		require.NoError(t, err)
		reading, err := strconv.Unquote(lines[2])
		require.NoError(t, err)
		out[lines[0]] = [2]string{text, reading}
	}
	return out
}

func TestReadingEqualsRecordedUCI(t *testing.T) {
	if *update {
		recordUCI(t, findUCI(t))
	}
	want := recorded(t)
	require.Len(t, want, len(uciCases), "run go test -update with the real uci on PATH")
	for _, c := range uciCases {
		t.Run(c.name, func(t *testing.T) {
			r, ok := want[c.name]
			require.True(t, ok, "not recorded")
			require.Equal(t, r[0], c.text, "the recording is of another text")
			require.Equal(t, r[1], ours(t, c.text))
		})
	}
}

func recordUCI(t *testing.T, program string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Written by go test -update: what the real uci (openwrt/uci) reads. Per case: name, text, `uci export remsim` or \"refused\".\n\n")
	for _, c := range uciCases {
		fmt.Fprintf(&b, "%s\n%s\n%s\n\n", c.name, strconv.Quote(c.text), strconv.Quote(realUCI(t, program, c.text)))
	}
	require.NoError(t, os.WriteFile(realFile, []byte(b.String()), 0o644))
}

func TestReadingEqualsRealUCI(t *testing.T) {
	program := findUCI(t)
	for _, c := range uciCases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, realUCI(t, program, c.text), ours(t, c.text))
		})
	}
}

// Random rows of tokens find what nobody thought of.
func TestReadingOfRandomTextEqualsRealUCI(t *testing.T) {
	program := findUCI(t)
	tokens := []string{
		"config", "option", "list", "package", "c", "o", "l", "p", "a", "b1", "x_y", "'q'", "\"d\"", "''", "'", "\"", "\\", ";", "#",
		" ", " ", " ", "\t", "\n", "\n", "\r\n", "\\\n", "config a 'b'\n", "option x ", "list y ", "é", "\x01", "'it'\\''s'", "a;b", "\v",
	}
	// Shapes give most texts a chance; the tokens in them do the rest.
	shapes := []string{"config a %\n", "config a b%\n", "option x %\n", "option x a%\n", "option x 'v'%\n", "list y %%\n", "list y \"v%\"\n", "list y 'v%'\n", "%", "%%%"}
	rng := rand.New(rand.NewPCG(*seed, 2))
	accepted := 0
	for range *texts {
		var b strings.Builder
		b.WriteString("config s 't'\n")
		for range 1 + rng.IntN(4) {
			for _, r := range shapes[rng.IntN(len(shapes))] {
				if r == '%' {
					b.WriteString(tokens[rng.IntN(len(tokens))])
				} else {
					b.WriteRune(r)
				}
			}
		}
		text := b.String()
		want := realUCI(t, program, text)
		if want != "refused" {
			accepted++
		}
		require.Equal(t, want, ours(t, text), "text: %q", text)
	}
	require.Greater(t, accepted, *texts/10, "the generator makes too few texts that uci accepts")
}

func TestReadingOfFilesEqualsRealUCI(t *testing.T) {
	if *files == "" {
		t.Skip("needs -args -files DIR: a collection of UCI files to compare")
	}
	program := findUCI(t)
	read := 0
	require.NoError(t, filepath.WalkDir(*files, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want := realUCI(t, program, string(text))
		got := ours(t, string(text))
		if want != got && bytes.IndexByte(text, 0) >= 0 && got == "refused" {
			return nil // NUL bytes: refused on purpose
		}
		require.Equal(t, want, got, path)
		if want != "refused" {
			read++
		}
		return nil
	}))
	t.Logf("%d files read by both", read)
}
