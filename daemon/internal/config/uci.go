package config

import (
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// UCISection is one section of any UCI file, as libuci reads it.
type UCISection struct {
	Type      string
	Name      string // libuci's cfgXXXXXX when Anonymous
	Anonymous bool
	Options   []UCIOption
}

// UCIOption is one option or list of a section.
type UCIOption struct {
	Name   string
	List   bool
	Values []string // one for an option, any number for a list
}

// ReadUCI reads the text of a file called name without asking what its words
// mean.
func ReadUCI(name string, text []byte) ([]UCISection, error) {
	f, err := scan(name, text)
	if err != nil {
		return nil, err
	}
	out := make([]UCISection, len(f.Sections))
	for i, s := range f.Sections {
		out[i] = UCISection{Type: s.Type, Name: s.Name, Anonymous: s.Anonymous}
		for _, o := range s.Options {
			out[i].Options = append(out[i].Options, UCIOption{Name: o.Name, List: o.List, Values: o.Values})
		}
	}
	return out, nil
}

// WriteUCI is the text that `uci commit` would write for these sections.
func WriteUCI(sections []UCISection) string {
	f := &file{}
	for _, s := range sections {
		sec := &section{Type: s.Type, Name: s.Name, Anonymous: s.Anonymous}
		for _, o := range s.Options {
			sec.Options = append(sec.Options, &option{Name: o.Name, List: o.List, Values: o.Values})
		}
		f.Sections = append(f.Sections, sec)
	}
	return f.canonical()
}

// Redacted is a file's text for somebody else's eyes: without comments, values
// that may be secrets or identities hidden. A text that is no UCI file is replaced
// by what is wrong with it.
func Redacted(name string, text []byte) string {
	f, err := scan(name, text)
	if err != nil {
		return "# not shown: " + err.Error() + "\n"
	}
	for _, s := range f.Sections {
		for _, o := range s.Options {
			for i, v := range o.Values {
				if digits, ok := strings.CutPrefix(v, "imei:"); ok {
					o.Values[i] = "imei:" + model.Masked(digits)
				} else if secret(o.Name, v) {
					o.Values[i] = "****"
				}
			}
		}
	}
	return f.canonical()
}
