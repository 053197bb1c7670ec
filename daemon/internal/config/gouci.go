package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/digineo/go-uci/v2"
)

// errMisread: a source gave something else than the file holds.
var errMisread = errors.New("reading differs from the file")

// source is who reads sections and values out of a UCI file. Sections are
// called by their paths.
type source interface {
	// sections lists the paths of all sections of a type, in file order.
	sections(typ string) ([]string, error)
	// values returns what an option holds.
	values(section, option string) ([]string, error)
}

// through reads every section and value of f from src and puts what it gave
// into f. Anything that differs from the scan is an error, and f is unchanged.
func (f *file) through(src source) error {
	for _, typ := range f.types() {
		var want []string
		for _, s := range f.Sections {
			if s.Type == typ {
				want = append(want, s.Path())
			}
		}
		got, err := src.sections(typ)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("sections of type %q: %w", typ, errMisread)
		}
	}
	read := make(map[*option][]string)
	for _, s := range f.Sections {
		for _, o := range s.Options {
			got, err := src.values(s.Path(), o.Name)
			if err != nil {
				return fmt.Errorf("%s.%s: %w", s.Path(), o.Name, err)
			}
			if !slices.Equal(got, o.Values) {
				return fmt.Errorf("%s.%s: %w", s.Path(), o.Name, errMisread)
			}
			read[o] = got
		}
	}
	for o, values := range read {
		o.Values = values
	}
	return nil
}

// treeName is the name of the only file in go-uci's tree.
const treeName = "remsim"

// library is go-uci as a source. It reads a private copy of the file and is
// never asked to write: its commit corrupts values (reference: digineo/go-uci,
// types.go, WriteTo).
type library struct{ tree uci.Tree }

// openLibrary hands go-uci the file in a directory of its own, which is gone
// when this returns: the tree keeps what it read in memory.
func openLibrary(f *file) (lib library, err error) {
	dir, err := os.MkdirTemp("", "remsim-uci-") // 0700
	if err != nil {
		return library{}, fmt.Errorf("make a directory for go-uci: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.WriteFile(filepath.Join(dir, treeName), []byte(f.carrier()), 0o600); err != nil {
		return library{}, fmt.Errorf("write the text for go-uci: %w", err)
	}
	tree := uci.NewTree(dir)
	if err := tree.LoadConfig(treeName, false); err != nil {
		return library{}, fmt.Errorf("go-uci: %w", err)
	}
	return library{tree}, nil
}

func (l library) sections(typ string) ([]string, error) {
	carried := carriedType(typ)
	paths, err := l.tree.GetSections(treeName, carried)
	if err != nil {
		return nil, fmt.Errorf("go-uci: %w", err)
	}
	for i, p := range paths {
		if rest, ok := strings.CutPrefix(p, "@"+carried+"["); ok {
			paths[i] = "@" + typ + "[" + rest
		}
	}
	return paths, nil
}

func (l library) values(section, option string) ([]string, error) {
	if section[0] == '@' { // "@TYPE[INDEX]"; the type itself may hold brackets
		at := strings.LastIndexByte(section, '[')
		section = "@" + carriedType(section[1:at]) + section[at:]
	}
	carried, ok := l.tree.Get(treeName, section, option)
	if !ok {
		return nil, fmt.Errorf("go-uci does not find it: %w", errMisread)
	}
	values := make([]string, len(carried))
	for i, c := range carried {
		v, err := uncarried(c)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// carrier writes the file for go-uci. An everyday file comes out in its
// canonical form and with the same meaning. go-uci loses or refuses some things
// even then: empty values, a second equal item of a list, apostrophes,
// backslashes, line ends, types with signs in them. Those values are written as
// %N=TEXT: N is the place in the list, TEXT has its bytes written as %XX
// where need be. A value that starts with % is written so too, so that none is
// taken for another.
func (f *file) carrier() string {
	var b strings.Builder
	for _, s := range f.Sections {
		fmt.Fprintf(&b, "\nconfig %s", carriedType(s.Type))
		if !s.Anonymous {
			fmt.Fprintf(&b, " '%s'", s.Name)
		}
		b.WriteByte('\n')
		for _, o := range s.Options {
			for i, v := range o.Values {
				if slices.Contains(o.Values[:i], v) || !plain(v) {
					v = "%" + strconv.Itoa(i) + "=" + percent(v)
				}
				fmt.Fprintf(&b, "\t%s %s '%s'\n", o.keyword(), o.Name, v)
			}
		}
	}
	return b.String()
}

// plain tells whether go-uci returns v as it stands between single quotes.
func plain(v string) bool {
	return v != "" && v[0] != '%' && !strings.ContainsFunc(v, func(r rune) bool {
		return r < ' ' || r == '\'' || r == '\\' || r == 0x7f
	})
}

// percent writes as %XX what must not stand in the carrier.
func percent(v string) string {
	var b strings.Builder
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == '\'' || c == '\\' || c == '%' || c == 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// uncarried undoes what carrier did to one value.
func uncarried(c string) (string, error) {
	if !strings.HasPrefix(c, "%") {
		return c, nil
	}
	_, text, ok := strings.Cut(c, "=")
	if !ok {
		return "", errMisread
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", errMisread
		}
		n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
		if err != nil {
			return "", errMisread
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}

// carriedType is a section type in letters, digits and _ only, for go-uci's
// lexer; any other byte becomes -XX.
func carriedType(typ string) string {
	var b strings.Builder
	for i := range len(typ) {
		if validName(typ[i:i+1], false) {
			b.WriteByte(typ[i])
		} else {
			fmt.Fprintf(&b, "-%02X", typ[i])
		}
	}
	return b.String()
}
