package gpio

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxOffset bounds chip:offset; the kernel's uAPI counts lines in 32 bits, no
// chip has more than a few thousand.
const maxOffset = 65535

// Ref names a line as a person writes it.
type Ref struct {
	Name      string // a line name or the name of an export, "" for chip:offset
	Chip      string // name, path or label
	Offset    int
	ActiveLow bool // a leading "!": asserted, or powered, when low
}

// ParseRef reads NAME, CHIP:OFFSET or either with a leading "!".
func ParseRef(s string) (Ref, error) {
	var r Ref
	rest, low := strings.CutPrefix(s, "!")
	r.ActiveLow = low
	if rest == "" || len(rest) > 128 || strings.ContainsFunc(rest, unprintable) {
		return Ref{}, fmt.Errorf("line %.40q: %w", s, ErrBadLine)
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		r.Name = rest
		return r, nil
	}
	n, err := strconv.ParseUint(rest[i+1:], 10, 32)
	if err != nil || n > maxOffset {
		return Ref{}, fmt.Errorf("line %.40q: offset is 0 to %d: %w", s, maxOffset, ErrBadLine)
	}
	r.Chip, r.Offset = strings.TrimPrefix(rest[:i], "/dev/"), int(n)
	if r.Chip == "" || strings.ContainsAny(r.Chip, "/!") {
		return Ref{}, fmt.Errorf("line %.40q: no chip: %w", s, ErrBadLine)
	}
	return r, nil
}

func unprintable(c rune) bool { return c <= ' ' || c > '~' }

// String writes the reference the way ParseRef reads it.
func (r Ref) String() string {
	s := r.Name
	if s == "" {
		s = r.Chip + ":" + strconv.Itoa(r.Offset)
	}
	if r.ActiveLow {
		return "!" + s
	}
	return s
}

// find looks a line up without touching it.
func find(k Kernel, r Ref) (Info, error) {
	chips, err := k.Chips()
	if err != nil {
		return Info{}, fmt.Errorf("list GPIO chips: %w", err)
	}
	if r.Name == "" {
		return findOffset(k, chips, r)
	}
	return findName(k, chips, r)
}

func findOffset(k Kernel, chips []Chip, r Ref) (Info, error) {
	var have []string
	for _, c := range chips {
		if c.Name != r.Chip && c.Label != r.Chip {
			have = append(have, c.Name+" ("+c.Label+")")
			continue
		}
		if r.Offset >= c.Lines {
			return Info{}, fmt.Errorf("line %s: %s has %d lines: %w", r, c.Name, c.Lines, ErrNoLine)
		}
		return k.Info(c.Name, r.Offset)
	}
	return Info{}, fmt.Errorf("line %s: chips here: %s: %w", r, orNone(have), ErrNoLine)
}

func findName(k Kernel, chips []Chip, r Ref) (Info, error) {
	var hits []Info
	for _, c := range chips {
		lines, err := k.Lines(c.Name)
		if errors.Is(err, ErrGone) {
			continue // unplugged between the two calls
		}
		if err != nil {
			return Info{}, fmt.Errorf("list lines of %s: %w", c.Name, err)
		}
		for _, l := range lines {
			if l.Name == r.Name || l.Export == r.Name {
				hits = append(hits, l)
			}
		}
	}
	switch len(hits) {
	case 0:
		return Info{}, fmt.Errorf("line %s: %w", r, ErrNoLine)
	case 1:
		return hits[0], nil
	}
	return Info{}, fmt.Errorf("line %s: %s:%d and %s:%d, use one of those: %w", r,
		hits[0].Chip, hits[0].Offset, hits[1].Chip, hits[1].Offset, ErrAmbiguous)
}

func orNone(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}
