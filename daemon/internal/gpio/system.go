package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/warthog618/go-gpiocdev"
	"golang.org/x/sys/unix"
)

// System is the kernel of this machine: the GPIO character device (uAPI v2
// only) and the lines that the kernel exports by itself below /sys/class/gpio.
type System struct {
	sysfs string
}

// NewSystem returns the real kernel.
func NewSystem() *System { return &System{sysfs: "/sys/class/gpio"} }

// Chips implements Kernel.
func (s *System) Chips() ([]Chip, error) {
	var out []Chip
	for _, name := range gpiocdev.Chips() {
		c, err := openChip(name)
		if errors.Is(err, ErrGone) {
			continue // unplugged since the directory was read
		}
		if err != nil {
			return nil, err
		}
		out = append(out, Chip{Name: name, Label: c.Label, Lines: c.Lines()})
		if err := c.Close(); err != nil {
			return nil, fmt.Errorf("close %s: %w", name, err)
		}
	}
	return out, nil
}

// Lines implements Kernel.
func (s *System) Lines(chip string) ([]Info, error) {
	c, err := openChip(chip)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := make([]Info, 0, c.Lines())
	for i := range c.Lines() {
		info, err := s.info(c, chip, i)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// Info implements Kernel.
func (s *System) Info(chip string, offset int) (Info, error) {
	c, err := openChip(chip)
	if err != nil {
		return Info{}, err
	}
	defer c.Close()
	return s.info(c, chip, offset)
}

// Request implements Kernel: no direction and no flag, which the kernel takes
// for "as is" (include/uapi/linux/gpio.h, GPIO_V2_LINE_FLAG_*).
func (s *System) Request(chip string, offset int, consumer string) (Handle, error) {
	l, err := gpiocdev.RequestLine(chip, offset, gpiocdev.AsIs, gpiocdev.WithConsumer(consumer), gpiocdev.WithABIVersion(2))
	if err != nil {
		return nil, wrap(err)
	}
	return &cdevLine{l: l}, nil
}

func openChip(name string) (*gpiocdev.Chip, error) {
	c, err := gpiocdev.NewChip(name, gpiocdev.WithABIVersion(2))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, wrap(err))
	}
	return c, nil
}

func (s *System) info(c *gpiocdev.Chip, chip string, offset int) (Info, error) {
	li, err := c.LineInfo(offset)
	if err != nil {
		return Info{}, fmt.Errorf("read line %s:%d: %w", chip, offset, wrap(err))
	}
	info := Info{
		Chip: chip, Offset: offset, Name: li.Name, Consumer: li.Consumer, Used: li.Used,
		Output:    li.Config.Direction == gpiocdev.LineDirectionOutput,
		ActiveLow: li.Config.ActiveLow,
	}
	// gpio-export labels the line with the name of its directory. A line
	// exported by hand is labelled "sysfs" and stays somebody else's.
	if li.Used && li.Consumer != "" && filepath.IsLocal(li.Consumer) {
		if _, err := os.Stat(filepath.Join(s.sysfs, li.Consumer, "value")); err == nil {
			info.Export = li.Consumer
		}
	}
	return info, nil
}

// wrap gives the kernel's answers our names.
func wrap(err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", err, ErrBusy)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: %w", err, ErrGone)
	case errors.Is(err, gpiocdev.ErrClosed):
		return ErrClosed
	}
	return err
}

// cdevLine is a line of the character device. It asks for no edge events, so
// the library starts no watcher (its watcher spins when a chip goes away).
type cdevLine struct {
	l      *gpiocdev.Line
	output bool // we made it an output
}

func (c *cdevLine) Level() (bool, error) {
	v, err := c.l.Value()
	if err != nil {
		return false, wrap(err)
	}
	return v != 0, nil
}

// Drive sets direction and level with one ioctl the first time (the kernel's
// direction_output takes both), and only the level after that.
func (c *cdevLine) Drive(high bool) error {
	v := 0
	if high {
		v = 1
	}
	if c.output {
		return wrap(c.l.SetValue(v))
	}
	if err := c.l.Reconfigure(gpiocdev.AsOutput(v)); err != nil {
		return wrap(err)
	}
	c.output = true
	return nil
}

func (c *cdevLine) Close() error {
	if err := c.l.Close(); err != nil && !errors.Is(err, gpiocdev.ErrClosed) {
		return wrap(err)
	}
	return nil
}

// Export implements Kernel.
func (s *System) Export(name string) (Handle, error) {
	if name == "" || strings.Contains(name, "/") || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("export %.40q: %w", name, ErrBadLine)
	}
	e := &exportLine{dir: filepath.Join(s.sysfs, name)}
	if _, err := e.read("value"); err != nil {
		return nil, err
	}
	return e, nil
}

// exportLine is a line that the kernel holds. Its value file is logical, so
// the active_low file turns it into the electrical level.
type exportLine struct {
	dir    string
	closed bool
}

func (e *exportLine) Level() (bool, error) {
	v, err := e.read("value")
	if err != nil {
		return false, err
	}
	low, err := e.read("active_low")
	return v != low, err
}

func (e *exportLine) Drive(high bool) error {
	low, err := e.read("active_low")
	if err != nil {
		return err
	}
	// gpio-export makes the line an output itself and has no direction file
	// unless the direction may change; then "high" and "low" set direction
	// and raw level at once (Documentation/admin-guide/gpio/sysfs.rst).
	file, text := "direction", levelName(high)
	dir, err := os.ReadFile(filepath.Join(e.dir, "direction"))
	if err != nil || strings.TrimSpace(string(dir)) == "out" {
		file, text = "value", "0"
		if high != low {
			text = "1"
		}
	}
	if err := os.WriteFile(filepath.Join(e.dir, file), []byte(text), 0); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(e.dir, file), wrap(err))
	}
	return nil
}

func (e *exportLine) Close() error {
	e.closed = true
	return nil
}

func (e *exportLine) read(file string) (bool, error) {
	if e.closed {
		return false, ErrClosed
	}
	b, err := os.ReadFile(filepath.Join(e.dir, file))
	if err != nil {
		return false, fmt.Errorf("read %s: %w", filepath.Join(e.dir, file), wrap(err))
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return false, fmt.Errorf("read %s: %.20q is no level", filepath.Join(e.dir, file), b)
	}
	return n != 0, nil
}
