package gpio_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// rig is a chip with eight lines, the first five named simsel, mreset, mpower,
// led and dup: on the fake, or on the kernel's gpio-sim in the virtual machine.
type rig interface {
	kernel() gpio.Kernel
	chip() string
	level(offset int) bool
	pull(offset int, high bool) // what an input reads, and what a line given back falls to
	output(offset int) bool
	occupy(offset int) (free func())
	unplug()
	// writes starts recording every level written to the line and returns a
	// function that ends it and returns the record; false if the rig cannot.
	writes(offset int) (stop func() []string, ok bool)
}

// table is what must hold on the fake and on the kernel alike.
var table = []struct {
	name string
	run  func(t *testing.T, r rig)
}{
	{"a line is found by name and by chip and offset", findsLines},
	{"a missing line says so", missingLine},
	{"opening a line changes neither direction nor level", opensAsIs},
	{"the consumer label is remsim", labelsLine},
	{"a busy line is refused and left alone", refusesBusy},
	{"a second open of the same line is refused", refusesSecondOpen},
	{"the sim line follows the configured level", selectsCard},
	{"a pulse leaves rest and comes back", pulses},
	{"a cancelled pulse ends at rest at once", cancelsPulse},
	{"an unproven line rests at the level it was found with", restsAsFound},
	{"a restart keeps the level without a glitch", restartsWithoutGlitch},
	{"a pulse that was cut off is ended at the next start", endsCutOffPulse},
	{"a chip that goes away is an error, not a hang", survivesUnplug},
	{"a dry run touches nothing", dryRun},
}

func runTable(t *testing.T, makeRig func(t *testing.T) rig) {
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) { c.run(t, makeRig(t)) })
	}
}

func TestTableOnFake(t *testing.T) {
	runTable(t, func(*testing.T) rig {
		k := gpiofake.New()
		return &fakeRig{k: k, name: k.AddChip("router-gpio", true,
			gpiofake.Line{Name: "simsel"}, gpiofake.Line{Name: "mreset"}, gpiofake.Line{Name: "mpower"},
			gpiofake.Line{Name: "led"}, gpiofake.Line{Name: "dup"}, gpiofake.Line{}, gpiofake.Line{}, gpiofake.Line{})}
	})
}

type fakeRig struct {
	k    *gpiofake.Kernel
	name string
}

func (r *fakeRig) kernel() gpio.Kernel        { return r.k }
func (r *fakeRig) chip() string               { return r.name }
func (r *fakeRig) level(offset int) bool      { return r.k.Level(r.name, offset) }
func (r *fakeRig) pull(offset int, high bool) { r.k.SetPull(r.name, offset, high) }
func (r *fakeRig) unplug()                    { r.k.Vanish(r.name) }
func (r *fakeRig) output(offset int) bool {
	i, err := r.k.Info(r.name, offset)
	return err == nil && i.Output
}

func (r *fakeRig) occupy(offset int) func() {
	r.k.Occupy(r.name, offset, "modem-driver")
	return func() { r.k.Occupy(r.name, offset, "") }
}

func (r *fakeRig) writes(offset int) (func() []string, bool) {
	from := len(r.k.History(r.name, offset))
	return func() []string {
		var out []string
		for _, w := range r.k.History(r.name, offset)[from:] {
			if w != "released" {
				out = append(out, w)
			}
		}
		return out
	}, true
}

func open(t *testing.T, r rig, spec gpio.Spec) *gpio.Line {
	t.Helper()
	return openWith(t, r, spec, gpio.NewFileMemory(t.TempDir()))
}

func openWith(t *testing.T, r rig, spec gpio.Spec, mem gpio.Memory) *gpio.Line {
	t.Helper()
	l, err := gpio.Open(r.kernel(), gpio.Board{}, spec, mem)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() }) // of a chip that is gone: an error, and meant
	return l
}

func reset(line string) gpio.Spec {
	return gpio.Spec{Modem: "primary", Use: model.LineReset, Line: line, Pulse: 30 * time.Millisecond}
}

func findsLines(t *testing.T, r rig) {
	byName, err := gpio.Plan(r.kernel(), gpio.Board{}, reset("mreset"), nil)
	require.NoError(t, err)
	byOffset, err := gpio.Plan(r.kernel(), gpio.Board{}, reset(r.chip()+":1"), nil)
	require.NoError(t, err)
	require.Equal(t, 1, byName.Offset)
	require.Equal(t, byName.Chip, byOffset.Chip)
	require.Equal(t, byName.Offset, byOffset.Offset)
	lines, err := gpio.Discover(r.kernel(), gpio.Board{})
	require.NoError(t, err)
	var names []string
	for _, l := range lines {
		names = append(names, l.Name)
	}
	require.Equal(t, []string{"simsel", "mreset", "mpower", "led", "dup"}, names)
}

func missingLine(t *testing.T, r rig) {
	for _, name := range []string{"nosuch", r.chip() + ":8", "gpiochip77:0"} {
		_, err := gpio.Open(r.kernel(), gpio.Board{}, reset(name), gpio.NewFileMemory(t.TempDir()))
		require.ErrorIs(t, err, gpio.ErrNoLine, name)
	}
}

func opensAsIs(t *testing.T, r rig) {
	r.pull(1, true)
	l := open(t, r, reset("mreset"))
	require.False(t, r.output(1))
	high, err := l.Level()
	require.NoError(t, err)
	require.True(t, high)
}

func labelsLine(t *testing.T, r rig) {
	open(t, r, reset("mreset"))
	info, err := r.kernel().Info(r.chip(), 1)
	require.NoError(t, err)
	require.Equal(t, gpio.Consumer, info.Consumer)
	require.True(t, info.Used)
}

func refusesBusy(t *testing.T, r rig) {
	free := r.occupy(1)
	_, err := gpio.Open(r.kernel(), gpio.Board{}, reset("mreset"), gpio.NewFileMemory(t.TempDir()))
	require.ErrorIs(t, err, gpio.ErrBusy)
	require.ErrorContains(t, err, "modem-driver")
	free()
	open(t, r, reset("mreset"))
}

func refusesSecondOpen(t *testing.T, r rig) {
	first := open(t, r, reset("mreset"))
	_, err := gpio.Open(r.kernel(), gpio.Board{}, reset("mreset"), gpio.NewFileMemory(t.TempDir()))
	require.ErrorIs(t, err, gpio.ErrBusy)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close())
	_, err = first.Level()
	require.ErrorIs(t, err, gpio.ErrClosed)
}

func selectsCard(t *testing.T, r rig) {
	for _, remoteHigh := range []bool{true, false} {
		l := open(t, r, gpio.Spec{Use: model.LineSIM, Line: "simsel", RemoteHigh: remoteHigh})
		for _, remote := range []bool{true, true, false, true} {
			require.NoError(t, l.Select(remote))
			require.Equal(t, remote == remoteHigh, r.level(0))
			got, err := l.Remote()
			require.NoError(t, err)
			require.Equal(t, remote, got)
		}
		require.ErrorIs(t, l.Pulse(context.Background(), 0), gpio.ErrRefused)
		require.NoError(t, l.Close())
	}
}

func pulses(t *testing.T, r rig) {
	l := open(t, r, reset("mreset"))
	stop, recorded := r.writes(1)
	start := time.Now()
	require.NoError(t, l.Pulse(context.Background(), 0))
	require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
	require.False(t, r.level(1))
	require.True(t, r.output(1))
	if recorded {
		require.Equal(t, []string{"high", "low"}, stop())
	}
	require.ErrorIs(t, l.Select(true), gpio.ErrRefused)
}

func cancelsPulse(t *testing.T, r rig) {
	l := open(t, r, reset("mreset"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- l.Pulse(ctx, time.Hour) }()
	require.Eventually(t, func() bool { return r.level(1) }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.Less(t, time.Since(start), gpio.MaxPulse)
	require.False(t, r.level(1))
	require.NoError(t, l.Pulse(ctx, 0), "a pulse that never starts is not an error")
	require.False(t, r.level(1))
}

// restsAsFound: the original project drove 1, waited, drove 0 on whatever it
// was told is a reset line, and so left modems without power.
func restsAsFound(t *testing.T, r rig) {
	r.pull(2, true) // gpio-sim falls back to its pull; a real latch would keep the level
	driveBefore(t, r, 2, true)
	l := open(t, r, reset("mpower"))
	stop, recorded := r.writes(2)
	require.NoError(t, l.Pulse(context.Background(), 0))
	require.True(t, r.level(2))
	if recorded {
		require.Equal(t, []string{"low", "high"}, stop())
	}
}

// driveBefore leaves a line as an output at a level, with nobody holding it.
func driveBefore(t *testing.T, r rig, offset int, high bool) {
	t.Helper()
	h, err := r.kernel().Request(r.chip(), offset, "before")
	require.NoError(t, err)
	require.NoError(t, h.Drive(high))
	require.NoError(t, h.Close())
	require.True(t, r.output(offset))
	require.Equal(t, high, r.level(offset))
}

func restartsWithoutGlitch(t *testing.T, r rig) {
	r.pull(0, true)
	spec := gpio.Spec{Use: model.LineSIM, Line: "simsel", RemoteHigh: true}
	first := open(t, r, spec)
	require.NoError(t, first.Select(true))
	stop, recorded := r.writes(0)
	require.NoError(t, first.Close())
	require.True(t, r.level(0))
	again := open(t, r, spec)
	require.NoError(t, again.Select(true))
	require.True(t, r.level(0))
	if recorded {
		require.NotContains(t, stop(), "low")
	}
}

func endsCutOffPulse(t *testing.T, r rig) {
	mem := gpio.NewFileMemory(t.TempDir())
	r.pull(2, false)
	driveBefore(t, r, 2, false) // away from rest, as a killed process leaves it
	require.NoError(t, mem.Begin("mpower", true))
	openWith(t, r, gpio.Spec{Use: model.LinePower, Line: "mpower"}, mem)
	require.True(t, r.level(2))
	_, cutOff, err := mem.Pending("mpower")
	require.NoError(t, err)
	require.False(t, cutOff)
}

func survivesUnplug(t *testing.T, r rig) {
	l := open(t, r, reset("mreset"))
	require.NoError(t, l.Pulse(context.Background(), 0))
	r.unplug()
	require.ErrorIs(t, l.Pulse(context.Background(), 0), gpio.ErrGone)
	_, err := l.Level()
	require.ErrorIs(t, err, gpio.ErrGone)
	_, err = gpio.Open(r.kernel(), gpio.Board{}, reset("mreset"), gpio.NewFileMemory(t.TempDir()))
	require.ErrorIs(t, err, gpio.ErrNoLine)
}

func dryRun(t *testing.T, r rig) {
	free := r.occupy(3)
	defer free()
	stop, recorded := r.writes(1)
	p, err := gpio.Plan(r.kernel(), gpio.Board{}, reset("mreset"), gpio.NewFileMemory(t.TempDir()))
	require.NoError(t, err)
	require.Equal(t, model.LinePlan{
		Line: "mreset", Chip: r.chip(), Offset: 1, Direction: "input",
		Plan: []string{
			`take the line as "remsim" without changing direction or level`,
			"rest is low (reset, no profile proves its polarity)",
			"on reset: away from rest for 30 ms, then back to rest in every case",
		},
		Conflicts: []string{},
	}, p)
	p, err = gpio.Plan(r.kernel(), gpio.Board{}, reset("led"), nil)
	require.NoError(t, err)
	require.Empty(t, p.Plan)
	require.Equal(t, []string{`"modem-driver" holds the line`}, p.Conflicts)
	require.Equal(t, "modem-driver", p.Consumer)
	require.False(t, r.output(1))
	if recorded {
		require.Empty(t, stop())
	}
}
