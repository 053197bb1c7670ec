// Package gpio drives the GPIO lines that a modem hangs on: the switch between
// its local and its remote card, its reset and its power. It owns naming a
// line, taking it without a glitch, pulses of bounded length and the plan that
// a dry run shows. It never decides when to switch or reset, never takes a line
// that somebody else holds, and has no verb that leaves a modem without power.
//
// Levels are electrical everywhere in this package: high is high on the wire,
// whatever a device tree says of "active low". Polarity is applied once, where
// a Spec and the board profile become a Line.
//
// What the kernel does when the daemon ends: releasing a line keeps its
// direction and level on controllers whose driver has no free hook that
// changes them (gpiolib itself touches neither), which is the case for the SoC
// pin controllers and shift registers of the boards listed in this package.
// The kernel promises it for no controller, and gpio-sim, for one, falls back
// to its pull. So the next start reads level and direction before it drives
// anything, and drives the level it found. A line that the kernel itself holds
// (OpenWrt's gpio-export) is never released, so it keeps its level in any case.
package gpio

import "errors"

// Consumer is the label under which remsim holds lines.
const Consumer = "remsim"

// Errors that callers tell apart.
var (
	ErrBadLine   = errors.New("not a line name or chip:offset")
	ErrNoLine    = errors.New("no such line")
	ErrAmbiguous = errors.New("name stands for more than one line")
	ErrBusy      = errors.New("line is held by somebody else")
	ErrGone      = errors.New("GPIO chip is gone")
	ErrClosed    = errors.New("line is closed")
	ErrRefused   = errors.New("refused to protect the modem")
	// ErrStuck: the line could not be brought back to its rest level. It is
	// tried again by the next Open, Pulse or Close.
	ErrStuck = errors.New("line could not be brought back to rest")
)

// Chip is one GPIO controller.
type Chip struct {
	Name  string // gpiochip0: numbered by probe order, so it may move
	Label string // the driver's name for it: stable
	Lines int
}

// Info is one line as the kernel shows it.
type Info struct {
	Chip      string
	Offset    int
	Name      string // gpio-line-names of the device tree, "" if none
	Consumer  string // "" if nobody holds it
	Used      bool   // held by somebody, perhaps without a label
	Output    bool
	ActiveLow bool // as its present holder asked for it
	// Export names the line's directory below /sys/class/gpio if the kernel
	// exported it by itself (OpenWrt's gpio-export), which is the only way to
	// drive such a line: the character device answers EBUSY.
	Export string
}

// Kernel is the seam: the few verbs of the kernel that this package calls.
// System is the real one, gpiofake the other.
type Kernel interface {
	// Chips lists the controllers in natural order.
	Chips() ([]Chip, error)
	// Lines lists every line of a chip.
	Lines(chip string) ([]Info, error)
	// Info reads one line without touching it.
	Info(chip string, offset int) (Info, error)
	// Request takes a line as it is: neither direction nor level changes.
	Request(chip string, offset int, consumer string) (Handle, error)
	// Export opens a line that the kernel exported under this name.
	Export(name string) (Handle, error)
}

// Handle is a line that is held.
type Handle interface {
	// Level reads the line: true is high.
	Level() (bool, error)
	// Drive makes the line an output at this level in one step, so that it
	// never passes through the other one.
	Drive(high bool) error
	// Close gives the line back. Closing twice is harmless.
	Close() error
}
