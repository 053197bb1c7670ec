// Package gpiofake is a kernel with GPIO chips of one's own: it implements the
// seam of package gpio, can be driven (a line that is busy, a chip that
// vanishes, a drive that fails) and prints itself. It holds no timing.
package gpiofake

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
)

// Line is how a line starts.
type Line struct {
	Name      string
	Output    bool
	High      bool
	Pull      bool   // level of an input, and of a line that is given back if the chip falls back
	Consumer  string // held by somebody else under this label
	ActiveLow bool   // as that holder asked for it
	Export    string // the kernel holds it and exported it under this name
}

type line struct {
	Line
	handle  *handle  // ours
	history []string // levels and directions it went through
}

type chip struct {
	gpio.Chip
	lines []*line
	gone  bool
	// fallBack: giving a line back drops it to its pull, as gpio-sim does.
	fallBack bool
}

// Kernel is the fake.
type Kernel struct {
	mu    sync.Mutex
	chips []*chip
	fail  int
	why   error
}

// New makes a kernel without chips.
func New() *Kernel { return &Kernel{} }

// AddChip plugs a chip in and returns its name. fallBack chips drop a line to
// its pull when it is given back; others keep its level.
func (k *Kernel) AddChip(label string, fallBack bool, lines ...Line) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &chip{Chip: gpio.Chip{Name: fmt.Sprintf("gpiochip%d", len(k.chips)), Label: label, Lines: len(lines)}, fallBack: fallBack}
	for _, l := range lines {
		if l.Export != "" {
			l.Consumer = l.Export
		}
		c.lines = append(c.lines, &line{Line: l})
	}
	k.chips = append(k.chips, c)
	return c.Name
}

// Vanish unplugs a chip, under whatever is held of it.
func (k *Kernel) Vanish(name string) { k.setGone(name, true) }

// Return plugs it in again; nothing is held, levels are as they were.
func (k *Kernel) Return(name string) { k.setGone(name, false) }

func (k *Kernel) setGone(name string, gone bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.chips {
		if c.Name != name {
			continue
		}
		c.gone = gone
		for _, l := range c.lines {
			l.handle = nil
		}
	}
}

// FailDrives makes the next n drives fail with err.
func (k *Kernel) FailDrives(n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail, k.why = n, err
}

// Occupy lets somebody else hold a line; consumer "" frees it.
func (k *Kernel) Occupy(name string, offset int, consumer string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, l, err := k.line(name, offset); err == nil {
		l.Consumer = consumer
	}
}

// SetPull sets what an input reads.
func (k *Kernel) SetPull(name string, offset int, high bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, l, err := k.line(name, offset); err == nil {
		l.Pull = high
	}
}

// Level is what is on the wire: true is high.
func (k *Kernel) Level(name string, offset int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, l, err := k.line(name, offset)
	return err == nil && l.level()
}

// History is every step a line went through, in order: "high", "low",
// "released". Writing the level that a line has already counts too.
func (k *Kernel) History(name string, offset int) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.chips {
		if c.Name == name && offset < len(c.lines) {
			return slices.Clone(c.lines[offset].history)
		}
	}
	return nil
}

// String prints every chip and line.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, c := range k.chips {
		state := ""
		if c.gone {
			state = ", gone"
		}
		fmt.Fprintf(&b, "%s [%s] %d lines%s\n", c.Name, c.Label, c.Chip.Lines, state)
		for i, l := range c.lines {
			dir, who := "input", "-"
			if l.Output {
				dir = "output"
			}
			if i := l.info(c, i); i.Used {
				who = i.Consumer
			}
			fmt.Fprintf(&b, "  %2d %-12s %-6s %-4s %s\n", i, orDash(l.Name), dir, word(l.level()), who)
		}
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func word(high bool) string {
	if high {
		return "high"
	}
	return "low"
}

func (l *line) level() bool {
	if l.Output {
		return l.High
	}
	return l.Pull
}

func (l *line) info(c *chip, offset int) gpio.Info {
	i := gpio.Info{Chip: c.Name, Offset: offset, Name: l.Name, Consumer: l.Consumer, Output: l.Output,
		ActiveLow: l.ActiveLow, Export: l.Export, Used: l.Consumer != "" || l.handle != nil}
	if l.handle != nil {
		i.Consumer = l.handle.consumer
	}
	return i
}

func (k *Kernel) chip(name string) (*chip, error) {
	for _, c := range k.chips {
		if c.Name == name && !c.gone {
			return c, nil
		}
	}
	return nil, fmt.Errorf("open %s: %w", name, gpio.ErrGone)
}

func (k *Kernel) line(name string, offset int) (*chip, *line, error) {
	c, err := k.chip(name)
	if err != nil {
		return nil, nil, err
	}
	if offset < 0 || offset >= len(c.lines) {
		return nil, nil, fmt.Errorf("read line %s:%d: %w", name, offset, gpio.ErrNoLine)
	}
	return c, c.lines[offset], nil
}

// Chips implements gpio.Kernel.
func (k *Kernel) Chips() ([]gpio.Chip, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []gpio.Chip
	for _, c := range k.chips {
		if !c.gone {
			out = append(out, c.Chip)
		}
	}
	return out, nil
}

// Lines implements gpio.Kernel.
func (k *Kernel) Lines(name string) ([]gpio.Info, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, err := k.chip(name)
	if err != nil {
		return nil, err
	}
	out := make([]gpio.Info, 0, len(c.lines))
	for i, l := range c.lines {
		out = append(out, l.info(c, i))
	}
	return out, nil
}

// Info implements gpio.Kernel.
func (k *Kernel) Info(name string, offset int) (gpio.Info, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, l, err := k.line(name, offset)
	if err != nil {
		return gpio.Info{}, err
	}
	return l.info(c, offset), nil
}

// Request implements gpio.Kernel.
func (k *Kernel) Request(name string, offset int, consumer string) (gpio.Handle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, l, err := k.line(name, offset)
	if err != nil {
		return nil, err
	}
	if l.Consumer != "" || l.handle != nil {
		return nil, fmt.Errorf("request %s:%d: %w", name, offset, gpio.ErrBusy)
	}
	l.handle = &handle{k: k, chip: c, line: l, consumer: consumer}
	return l.handle, nil
}

// Export implements gpio.Kernel.
func (k *Kernel) Export(name string) (gpio.Handle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.chips {
		for _, l := range c.lines {
			if l.Export == name && !c.gone {
				return &handle{k: k, chip: c, line: l, export: true}, nil
			}
		}
	}
	return nil, fmt.Errorf("read /sys/class/gpio/%s/value: %w", name, gpio.ErrGone)
}

type handle struct {
	k        *Kernel
	chip     *chip
	line     *line
	consumer string
	export   bool // the kernel keeps holding the line
	closed   bool
}

func (h *handle) usable() error {
	switch {
	case h.closed:
		return gpio.ErrClosed
	case h.chip.gone, !h.export && h.line.handle != h:
		return fmt.Errorf("line of %s: %w", h.chip.Name, gpio.ErrGone)
	}
	return nil
}

func (h *handle) Level() (bool, error) {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	if err := h.usable(); err != nil {
		return false, err
	}
	return h.line.level(), nil
}

func (h *handle) Drive(high bool) error {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	if err := h.usable(); err != nil {
		return err
	}
	if h.k.fail > 0 {
		h.k.fail--
		return h.k.why
	}
	h.line.Output, h.line.High = true, high
	h.line.history = append(h.line.history, word(high))
	return nil
}

func (h *handle) Close() error {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	if h.export || h.line.handle != h {
		return nil
	}
	h.line.handle = nil
	h.line.history = append(h.line.history, "released")
	if h.chip.fallBack && h.line.Output {
		h.line.High = h.line.Pull
	}
	return nil
}
