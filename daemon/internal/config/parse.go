package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// FileName is the name of our file in the UCI directory.
const FileName = "remsim"

// maxProblems keeps the `config` reply within its 256 KiB.
const maxProblems = 200

// Load reads and checks the file `remsim` in a UCI directory. A file that is
// not there is an error that wraps fs.ErrNotExist.
func Load(dir string) (*Config, []model.Problem, error) {
	name := filepath.Join(dir, FileName)
	text, err := read(name)
	if err != nil {
		return nil, []model.Problem{{Message: err.Error()}}, err
	}
	return Parse(name, text)
}

// read returns the file's text, one byte more than scan takes at the most.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return text, nil
}

// Parse checks text, the contents of the file called name. The problems are
// all that there are, errors and warnings, in the order of the file. The error
// is set, and the Config nil, only if the text is no UCI file (ErrSyntax); the
// same is then the only problem. A Config with errors (see OK) holds defaults
// in place of bad values: good for showing costs, not for running.
func Parse(name string, text []byte) (*Config, []model.Problem, error) {
	f, err := scan(name, text)
	if err != nil {
		p := model.Problem{Message: err.Error()}
		if se, ok := err.(*SyntaxError); ok {
			p = se.Problem()
		}
		return nil, []model.Problem{p}, err
	}
	b := newBuilder(f)
	b.readWith(openLibrary(f))
	cfg := b.build()
	return cfg, b.report(), nil
}

// OK tells whether a configuration with these problems can be used.
func OK(problems []model.Problem) bool {
	return !slices.ContainsFunc(problems, func(p model.Problem) bool { return !p.Warning })
}

// builder turns a file into a Config and collects what is wrong on the way.
type builder struct {
	file     *file
	options  map[[2]string]Option // by section type and name
	asked    map[[2]string]bool   // rows that build has read
	problems []model.Problem
}

func newBuilder(f *file) *builder {
	b := &builder{file: f, options: make(map[[2]string]Option), asked: make(map[[2]string]bool)}
	for _, o := range Options() {
		b.options[[2]string{o.Section, o.Name}] = o
	}
	for _, n := range f.notes {
		b.problems = append(b.problems, model.Problem{Message: n.text, Line: n.line, Warning: true})
	}
	return b
}

// readWith lets the library read the values. Should it fail where the scan has
// succeeded, our own reading stands, and somebody is told.
func (b *builder) readWith(lib library, err error) {
	if err == nil {
		err = b.file.through(lib)
	}
	if err != nil {
		b.problems = append(b.problems, model.Problem{Warning: true,
			Message: fmt.Sprintf("the UCI library could not be used (%v); the file was read without it", err)})
	}
}

// nearest is the word that v was probably meant to be. It stops looking when
// there are more problems than will be shown: comparing takes time, and the
// text may be made to take much of it.
func (b *builder) nearest(v string, words []string) string {
	if len(b.problems) > maxProblems {
		return ""
	}
	return nearest(v, words)
}

// report returns the problems by line, those without a line last, errors kept
// before warnings if they are too many.
func (b *builder) report() []model.Problem {
	p := b.problems
	if len(p) > maxProblems {
		left := len(p) - maxProblems
		sort.SliceStable(p, func(i, j int) bool { return number(p[i].Warning) < number(p[j].Warning) })
		p = append(p[:maxProblems:maxProblems], model.Problem{Message: fmt.Sprintf("and %d more", left), Warning: p[maxProblems].Warning})
	}
	sort.SliceStable(p, func(i, j int) bool { return place(p[i]) < place(p[j]) })
	return p
}

func place(p model.Problem) int {
	if p.Line == 0 {
		return 1 << 30
	}
	return p.Line
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// values reads the options of one section. sec is nil where a single section is
// not in the file: then everything has its default.
type values struct {
	b    *builder
	typ  string
	name string // what a section that is not there would be called
	sec  *section
	iot  bool // IoTDefault counts
}

// path names the section in messages.
func (v values) path() string {
	if v.sec == nil {
		return v.name
	}
	return v.sec.Path()
}

// row finds the option in the table. A name that is not there is a mistake of
// this package, which every test of it would show.
func (v values) row(name string) Option {
	key := [2]string{v.typ, name}
	o, ok := v.b.options[key]
	if !ok {
		panic("config: option " + v.typ + "." + name + " is not in the table")
	}
	v.b.asked[key] = true
	return o
}

// has tells whether the file sets the option.
func (v values) has(name string) bool { return v.sec != nil && v.sec.find(name) != nil }

// line is where the option stands, else where its section does.
func (v values) line(name string) int {
	if v.sec == nil {
		return 0
	}
	if o := v.sec.find(name); o != nil {
		return o.Lines[len(o.Lines)-1]
	}
	return v.sec.Line
}

// add notes a problem of an option and the value written there.
func (v values) add(name, value, format string, args ...any) {
	v.b.problems = append(v.b.problems, model.Problem{Section: v.path(), Option: name, Value: shown(name, value),
		Message: fmt.Sprintf(format, args...), Line: v.line(name)})
}

// warn is add for what can be used all the same.
func (v values) warn(name, value, format string, args ...any) {
	v.add(name, value, format, args...)
	v.b.problems[len(v.b.problems)-1].Warning = true
}

// one reads an option that takes one value with the parser of its kind. After a
// bad value it goes on with the default.
func one[T any](v values, name string, parse func(Option, string) (T, error)) T {
	o := v.row(name)
	def := o.Default
	if v.iot && o.IoTDefault != "" {
		def = o.IoTDefault
	}
	var zero T
	if v.has(name) {
		set := v.sec.find(name)
		if len(set.Values) != 1 {
			v.add(name, strings.Join(set.Values, " "), "is a list of %d values; accepted: one option, %s", len(set.Values), o.Accepts())
		} else if value := set.Values[0]; value != "" {
			got, err := parse(o, value)
			if err == nil {
				return got
			}
			v.add(name, value, "%v; accepted: %s", err, o.Accepts())
		}
	}
	if def == "" {
		return zero
	}
	got, err := parse(o, def)
	if err != nil {
		panic("config: default of " + v.typ + "." + name + " is refused: " + err.Error())
	}
	return got
}

// many reads a list. An option works too, its words are the items.
func many(v values, name string, parse func(Option, string) (string, error)) []string {
	o := v.row(name)
	if !v.has(name) {
		return nil
	}
	set := v.sec.find(name)
	items := set.Values
	if !set.List {
		items = strings.Fields(set.Values[0])
	}
	var out []string
	for i, item := range items {
		if item == "" {
			continue
		}
		got, err := parse(o, item)
		if err == nil && slices.Contains(out, got) {
			err = fmt.Errorf("stands here twice")
		}
		if err != nil {
			v.add(name, item, "%v; accepted: %s", err, o.Accepts())
			if set.List {
				v.b.problems[len(v.b.problems)-1].Line = set.Lines[i]
			}
			continue
		}
		out = append(out, got)
	}
	return out
}

func (v values) yes(name string) bool          { return one(v, name, parseBool) }
func (v values) number(name string) int        { return one(v, name, parseNumber) }
func (v values) choice(name string) string     { return one(v, name, parseChoice) }
func (v values) network(name string) string    { return one(v, name, parseNetwork) }
func (v values) credential(name string) string { return one(v, name, parseCredential) }

// duration reads seconds or milliseconds, as the table says.
func (v values) duration(name string) time.Duration {
	unit := time.Second
	if v.row(name).Kind == KindMillis {
		unit = time.Millisecond
	}
	return time.Duration(v.number(name)) * unit
}

// shown is a value as a message may hold it: short, valid UTF-8, no secrets.
func shown(option, value string) string {
	if by, rest, ok := strings.Cut(value, "imei:"); ok && by == "" {
		return "imei:" + model.Masked(rest)
	}
	if secret(option, value) {
		return "****"
	}
	return strings.ToValidUTF8(clip(value), "\ufffd")
}

// secret tells whether a value may be one: by what it looks like, or because
// the option's name says so and the value is no path.
func secret(option, value string) bool {
	if value == "" {
		return false
	}
	if strings.Contains(value, "-----BEGIN") || strings.Contains(value, "@") && strings.Contains(value, "://") {
		return true
	}
	if strings.HasPrefix(value, "/") && utf8.ValidString(value) {
		return false
	}
	for _, word := range strings.Split(strings.ToLower(option), "_") {
		switch word {
		case "key", "apikey", "secret", "token", "password", "passwd", "pass", "pin", "puk", "psk", "ki", "opc", "op", "kc", "ck", "ik",
			"auth", "imsi", "iccid", "imei", "msisdn":
			return true
		}
	}
	return false
}
