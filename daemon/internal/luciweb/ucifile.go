package luciweb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
)

// change is one entry of a session's delta, as libuci keeps it.
type change struct {
	cmd     string // set add remove rename order list-add list-del
	section string
	option  string
	value   string
}

// errNotFound: a section, an option or a file that is not there.
var errNotFound = errors.New("not found")

// pack is a UCI file with a session's changes.
type pack struct {
	sections []config.UCISection
}

// load reads a file and puts changes on top of it. Changes whose section has
// gone meanwhile are passed over, as libuci does.
func (u *uciStore) load(name string, delta []change) (*pack, error) {
	text, err := os.ReadFile(filepath.Join(u.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	sections, err := config.ReadUCI(name, text)
	if err != nil {
		return nil, err
	}
	p := &pack{sections: sections}
	for _, c := range delta {
		_ = p.apply(c)
	}
	return p, nil
}

// save writes a file in one step and keeps its mode.
func (u *uciStore) save(name string, p *pack) error {
	path := filepath.Join(u.dir, name)
	mode := os.FileMode(0o644)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	if err := os.WriteFile(path+".new", []byte(config.WriteUCI(p.sections)), mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// find returns a section by its name or as @TYPE[N]; nil if there is none.
func (p *pack) find(name string) *config.UCISection {
	typ, index, ok := strings.Cut(strings.TrimPrefix(name, "@"), "[")
	if !ok || !strings.HasPrefix(name, "@") {
		if i := p.index(name); i >= 0 {
			return &p.sections[i]
		}
		return nil
	}
	var same []*config.UCISection
	for i := range p.sections {
		if typ == "" || p.sections[i].Type == typ {
			same = append(same, &p.sections[i])
		}
	}
	n := 0
	if _, err := fmt.Sscanf(index, "%d]", &n); err != nil {
		return nil
	}
	if n < 0 {
		n += len(same)
	}
	if n < 0 || n >= len(same) {
		return nil
	}
	return same[n]
}

func (p *pack) index(name string) int {
	return slices.IndexFunc(p.sections, func(s config.UCISection) bool { return s.Name == name })
}

// option returns a section's option; nil if there is none.
func option(s *config.UCISection, name string) *config.UCIOption {
	for i := range s.Options {
		if s.Options[i].Name == name {
			return &s.Options[i]
		}
	}
	return nil
}

// apply makes one change. A `set` or `add` without an option makes a section of
// the type that its value names.
func (p *pack) apply(c change) error {
	if c.option == "" && (c.cmd == "set" || c.cmd == "add") {
		return p.addSection(c)
	}
	i := p.index(c.section)
	if i < 0 {
		return errNotFound
	}
	s := &p.sections[i]
	switch {
	case c.cmd == "remove" && c.option == "":
		p.sections = slices.Delete(p.sections, i, i+1)
	case c.cmd == "remove":
		s.Options = slices.DeleteFunc(s.Options, func(o config.UCIOption) bool { return o.Name == c.option })
	case c.cmd == "set":
		put(s, c.option).Values = []string{c.value}
		put(s, c.option).List = false
	case c.cmd == "list-add":
		o := put(s, c.option)
		o.List, o.Values = true, append(o.Values, c.value)
	case c.cmd == "rename" && c.option == "":
		s.Name, s.Anonymous = c.value, false
	case c.cmd == "rename":
		if o := option(s, c.option); o != nil {
			o.Name = c.value
		}
	case c.cmd == "order":
		p.move(i, c.value)
	}
	return nil
}

// put returns an option, which is made if there is none.
func put(s *config.UCISection, name string) *config.UCIOption {
	if o := option(s, name); o != nil {
		return o
	}
	s.Options = append(s.Options, config.UCIOption{Name: name})
	return &s.Options[len(s.Options)-1]
}

func (p *pack) addSection(c change) error {
	if s := p.find(c.section); s != nil {
		s.Type = c.value
		return nil
	}
	p.sections = append(p.sections, config.UCISection{Type: c.value, Name: c.section, Anonymous: c.cmd == "add"})
	return nil
}

// move puts section i at another position.
func (p *pack) move(i int, to string) {
	n := 0
	if _, err := fmt.Sscanf(to, "%d", &n); err != nil {
		return
	}
	s := p.sections[i]
	p.sections = slices.Delete(p.sections, i, i+1)
	p.sections = slices.Insert(p.sections, min(n, len(p.sections)), s)
}

// fresh is the name of a new anonymous section of a type: as libuci makes it from
// the number of sections, and another one if that is taken.
func (p *pack) fresh(typ string) string {
	for n := len(p.sections) + 1; ; n++ {
		probe, err := config.ReadUCI("new", []byte(strings.Repeat("config x\n", n-1)+"config '"+typ+"'\n"))
		if err != nil || len(probe) == 0 {
			return fmt.Sprintf("cfg%02x0000", n)
		}
		if name := probe[len(probe)-1].Name; p.index(name) < 0 {
			return name
		}
	}
}

// validName tells whether a name may stand in a file: letters, digits and
// underscores; types may hold dashes.
func validName(name string, typ bool) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && (!typ || r != '-') {
			return false
		}
	}
	return name != ""
}
