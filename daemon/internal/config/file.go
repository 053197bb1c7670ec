package config

import (
	"fmt"
	"slices"
	"strings"
)

// file is a UCI file as libuci holds it in memory.
type file struct {
	Sections []*section
	notes    []note
}

// note is something that the scan accepts as libuci does, but a person should know.
type note struct {
	line int
	text string
}

// section is one `config`.
type section struct {
	Type      string
	Name      string // libuci's cfgXXXXXX when Anonymous
	Anonymous bool
	Line      int
	Options   []*option
	index     int // among the sections of its type
}

// option is one option or list of a section.
type option struct {
	Name   string
	List   bool
	Values []string // one for an option, any number for a list
	Lines  []int    // where each value stands
}

// Path is how `uci` and our messages name the section: "primary" or "@server[0]".
func (s *section) Path() string {
	if s.Anonymous {
		return fmt.Sprintf("@%s[%d]", s.Type, s.index)
	}
	return s.Name
}

// find returns the option called name, or nil.
func (s *section) find(name string) *option {
	for _, o := range s.Options {
		if o.Name == name {
			return o
		}
	}
	return nil
}

func (f *file) note(line int, text string) { f.notes = append(f.notes, note{line, text}) }

func (f *file) named(name string) *section {
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// open returns the section that a `config` statement opens: a new one, or the
// one of that name. ok is false if that one has another type.
func (f *file) open(typ, name string, line int) (sec *section, ok bool) {
	if name != "" {
		if old := f.named(name); old != nil {
			return old, old.Type == typ
		}
	}
	sec = &section{Type: typ, Name: name, Line: line}
	for _, s := range f.Sections {
		if s.Type == typ {
			sec.index++
		}
	}
	if name == "" {
		sec.Anonymous = true
		sec.Name = fmt.Sprintf("cfg%02x%04x", len(f.Sections)+1, hash(typ)%(1<<16))
	}
	f.Sections = append(f.Sections, sec)
	return sec, true
}

// hash is libuci's djbhash, from which it makes the names of anonymous
// sections. They count here because a section can be called by such a name.
func hash(s string) uint32 {
	h := uint32(5381)
	for i := range len(s) {
		h = h<<5 + h + uint32(s[i])
	}
	return h & 0x7FFFFFFF
}

// set is uci_set: an empty value sets nothing and removes nothing.
func (s *section) set(name, value string, line int) {
	if value == "" {
		return
	}
	o := s.find(name)
	if o == nil {
		o = &option{Name: name}
		s.Options = append(s.Options, o)
	}
	o.List, o.Values, o.Lines = false, []string{value}, []int{line}
}

// add is uci_add_list: an option of that name becomes a list that starts with
// its value; an empty value is an item like any other.
func (s *section) add(name, value string, line int) {
	o := s.find(name)
	if o == nil {
		o = &option{Name: name}
		s.Options = append(s.Options, o)
	}
	o.List = true
	o.Values = append(o.Values, value)
	o.Lines = append(o.Lines, line)
}

// canonical writes the file as `uci export` does, without the package line, but
// for odd section types, which `uci export` leaves unquoted and could not read
// again. Scanning it gives the same file.
func (f *file) canonical() string {
	var b strings.Builder
	for _, s := range f.Sections {
		typ := s.Type
		if !validName(typ, true) {
			typ = quoted(typ)
		}
		fmt.Fprintf(&b, "\nconfig %s", typ)
		if !s.Anonymous {
			fmt.Fprintf(&b, " '%s'", s.Name)
		}
		b.WriteByte('\n')
		for _, o := range s.Options {
			for _, v := range o.Values {
				fmt.Fprintf(&b, "\t%s %s %s\n", o.keyword(), o.Name, quoted(v))
			}
		}
	}
	return b.String()
}

func (o *option) keyword() string {
	if o.List {
		return "list"
	}
	return "option"
}

// quoted is a value as libuci writes it: in single quotes, an apostrophe outside of them.
func quoted(v string) string { return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'" }

// types lists the section types in the order of their first section.
func (f *file) types() []string {
	var out []string
	for _, s := range f.Sections {
		if !slices.Contains(out, s.Type) {
			out = append(out, s.Type)
		}
	}
	return out
}
