package gpio_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/warthog618/go-gpiocdev"

	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
)

const (
	configfs = "/sys/kernel/config/gpio-sim"
	tracefs  = "/sys/kernel/tracing"
)

// TestTableOnKernel runs the table on the kernel's gpio-sim. tests/vm boots a
// virtual machine that has it (make vm-test).
func TestTableOnKernel(t *testing.T) {
	needSim(t)
	runTable(t, func(t *testing.T) rig { return newSim(t) })
}

// TestExportOnKernel drives a line that the kernel exports, through sysfs.
func TestExportOnKernel(t *testing.T) {
	needSim(t)
	s := newSim(t)
	name := s.export(t, 1)
	info, err := s.kernel().Info(s.name, 1)
	require.NoError(t, err)
	require.Equal(t, "sysfs", info.Consumer)
	require.Empty(t, info.Export, "exported by hand: somebody else's")
	_, err = gpio.Open(s.kernel(), gpio.Board{}, reset("mreset"), gpio.NewFileMemory(t.TempDir()))
	require.ErrorIs(t, err, gpio.ErrBusy)

	h, err := gpio.NewSystem().Export(name)
	require.NoError(t, err)
	for _, low := range []string{"0", "1"} {
		require.NoError(t, os.WriteFile(filepath.Join("/sys/class/gpio", name, "active_low"), []byte(low), 0))
		for _, want := range []bool{true, false, true} {
			require.NoError(t, h.Drive(want))
			require.Equal(t, want, s.level(1))
			got, err := h.Level()
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

func needSim(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(configfs); err == nil {
		return
	}
	const why = "needs the kernel's gpio-sim: make vm-test boots a virtual machine that has it"
	if os.Getenv("REMSIM_VM") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

type simRig struct {
	t      *testing.T
	config string // configfs directory
	device string // below /sys/devices/platform
	name   string // gpiochipN
	gone   bool
}

func newSim(t *testing.T) *simRig {
	r := &simRig{t: t, config: filepath.Join(configfs, "remsim")}
	bank := filepath.Join(r.config, "bank0")
	require.NoError(t, os.MkdirAll(bank, 0o755))
	t.Cleanup(r.remove)
	r.write(filepath.Join(bank, "num_lines"), "8")
	r.write(filepath.Join(bank, "label"), "router-gpio")
	for i, name := range []string{"simsel", "mreset", "mpower", "led", "dup"} {
		dir := filepath.Join(bank, fmt.Sprintf("line%d", i))
		require.NoError(t, os.Mkdir(dir, 0o755))
		r.write(filepath.Join(dir, "name"), name)
	}
	r.write(filepath.Join(r.config, "live"), "1")
	r.device, r.name = r.read(filepath.Join(r.config, "dev_name")), r.read(filepath.Join(bank, "chip_name"))
	return r
}

func (r *simRig) write(path, text string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0))
}

func (r *simRig) read(path string) string {
	r.t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(r.t, err)
	return strings.TrimSpace(string(b))
}

func (r *simRig) line(offset int, file string) string {
	return filepath.Join("/sys/devices/platform", r.device, r.name, fmt.Sprintf("sim_gpio%d", offset), file)
}

func (r *simRig) remove() {
	r.unplug()
	bank := filepath.Join(r.config, "bank0")
	for i := range 5 {
		os.Remove(filepath.Join(bank, fmt.Sprintf("line%d", i)))
	}
	require.NoError(r.t, errors.Join(os.Remove(bank), os.Remove(r.config)))
}

func (r *simRig) kernel() gpio.Kernel   { return gpio.NewSystem() }
func (r *simRig) chip() string          { return r.name }
func (r *simRig) level(offset int) bool { return r.read(r.line(offset, "value")) == "1" }

func (r *simRig) pull(offset int, high bool) {
	text := "pull-down"
	if high {
		text = "pull-up"
	}
	r.write(r.line(offset, "pull"), text)
}

func (r *simRig) output(offset int) bool {
	info, err := r.kernel().Info(r.name, offset)
	require.NoError(r.t, err)
	return info.Output
}

func (r *simRig) occupy(offset int) func() {
	l, err := gpiocdev.RequestLine(r.name, offset, gpiocdev.WithConsumer("modem-driver"))
	require.NoError(r.t, err)
	return func() { require.NoError(r.t, l.Close()) }
}

func (r *simRig) unplug() {
	if !r.gone {
		r.write(filepath.Join(r.config, "live"), "0")
		r.gone = true
	}
}

// export exports a line by hand and returns the name of its directory.
func (r *simRig) export(t *testing.T, offset int) string {
	number := fmt.Sprint(r.base() + offset)
	r.write("/sys/class/gpio/export", number)
	t.Cleanup(func() { r.write("/sys/class/gpio/unexport", number) })
	return "gpio" + number
}

// base is the chip's first line in the kernel's global numbering.
func (r *simRig) base() int {
	labels, err := filepath.Glob("/sys/class/gpio/gpiochip*/label")
	require.NoError(r.t, err)
	for _, label := range labels {
		if r.read(label) == "router-gpio" {
			n, err := strconv.Atoi(r.read(filepath.Join(filepath.Dir(label), "base")))
			require.NoError(r.t, err)
			return n
		}
	}
	r.t.Fatal("gpio-sim has no chip below /sys/class/gpio")
	return 0
}

var traced = regexp.MustCompile(`gpio_value: (\d+) set (\d)`)

// writes reads the kernel's own trace of every level written to a line
// (include/trace/events/gpio.h), so a glitch of a microsecond would be seen.
func (r *simRig) writes(offset int) (func() []string, bool) {
	if _, err := os.Stat(filepath.Join(tracefs, "events/gpio/gpio_value/enable")); errors.Is(err, fs.ErrNotExist) {
		require.Empty(r.t, os.Getenv("REMSIM_VM"), "the virtual machine's kernel traces GPIO")
		return nil, false
	}
	r.write(filepath.Join(tracefs, "events/gpio/gpio_value/enable"), "1")
	r.write(filepath.Join(tracefs, "trace"), "")
	number := strconv.Itoa(r.base() + offset)
	return func() []string {
		var out []string
		for _, m := range traced.FindAllStringSubmatch(r.read(filepath.Join(tracefs, "trace")), -1) {
			if m[1] == number {
				out = append(out, map[string]string{"0": "low", "1": "high"}[m[2]])
			}
		}
		return out
	}, true
}
