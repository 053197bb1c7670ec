package gpio_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// router builds the lines of a board as its device tree does: exported by the
// kernel, outputs at their boot level.
func router(b gpio.Board) (*gpiofake.Kernel, string) {
	k := gpiofake.New()
	lines := make([]gpiofake.Line, 16)
	for _, l := range b.Lines {
		if lines[l.Offset].Export != "" {
			lines[l.Offset].Name = l.Name // a second name of the same line
			continue
		}
		lines[l.Offset] = gpiofake.Line{Export: l.Name, Output: true, High: l.BootHigh}
	}
	return k, k.AddChip("pio", false, lines...)
}

func TestBoardProfilesAreComplete(t *testing.T) {
	for _, name := range []string{"zbtlink,zbt-z8102ax", "zbtlink,zbt-z8102ax-v2", "glinet,gl-x3000", "teltonika,rutx50", "bananapi,bpi-r4"} {
		b, ok := gpio.BoardFor(name)
		require.True(t, ok, name)
		require.NotEmpty(t, b.Source, name)
		require.NotEmpty(t, b.Note, name)
	}
	_, ok := gpio.BoardFor("acme,unknown")
	require.False(t, ok)
	for _, b := range gpio.Boards() {
		for _, l := range b.Lines {
			if l.Kind == gpio.KindPower {
				require.Equal(t, l.ActiveHigh, l.BootHigh, "%s: %s is powered at boot", b.Model, l.Name)
			}
			if l.Kind == gpio.KindReset {
				require.NotEqual(t, l.ActiveHigh, l.BootHigh, "%s: %s is released at boot", b.Model, l.Name)
			}
		}
	}
}

func TestBoardDecidesWhatALineMayDo(t *testing.T) {
	for _, c := range []struct {
		name, board, line string
		use               model.LineUse
		conflict          string // "" = driven
		activeLow         bool
		step              string
	}{
		{"a supply configured as reset rests powered", "zbtlink,zbt-z8102ax", "5g1", model.LineReset, "", false, "rest is high (power, by the board profile)"},
		{"a supply configured as power", "glinet,gl-x3000", "5G_power", model.LinePower, "", false, "rest is high (power, by the board profile)"},
		{"a reset rests released", "glinet,gl-x3000", "5G_reset", model.LineReset, "", false, "rest is low (reset, by the board profile)"},
		{"V2 card switch is active low", "zbtlink,zbt-z8102ax-v2", "sim1", model.LineSIM, "", true, "drive it high for the remote card, low for the local one"},
		{"V1 card switch is active high", "zbtlink,zbt-z8102ax", "sim1", model.LineSIM, "", false, "drive it high for the remote card, low for the local one"},
		{"a shared supply is refused", "zbtlink,zbt-z8102ax", "pcie_power", model.LinePower, "on this board pcie_power is a fixed line (supplies every PCIe slot)", false, ""},
		{"a power button is refused", "teltonika,rutx50", "modem_power", model.LinePower, "on this board modem_power is a modem-power-key line (low at boot with the modem running)", false, ""},
		{"a supply is no card switch", "zbtlink,zbt-z8102ax", "5g1", model.LineSIM, "on this board 5g1 is a modem-power line, not a card switch", false, ""},
		{"a card switch is no reset", "teltonika,rutx50", "sim-select", model.LineReset, "on this board sim-select switches cards", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := gpio.BoardFor(c.board)
			k, chip := router(b)
			bl, _ := b.Line(c.line)
			spec := gpio.Spec{Use: c.use, Line: c.line, RemoteHigh: true}
			p, err := gpio.Plan(k, b, spec, nil)
			require.NoError(t, err)
			require.Equal(t, c.activeLow, p.ActiveLow)
			require.Equal(t, c.line, p.Consumer)
			_, openErr := gpio.Open(k, b, spec, gpio.NewFileMemory(t.TempDir()))
			if c.conflict != "" {
				require.Equal(t, []string{c.conflict}, p.Conflicts)
				require.ErrorIs(t, openErr, gpio.ErrRefused)
			} else {
				require.Empty(t, p.Conflicts)
				require.Contains(t, p.Plan, c.step)
				require.NoError(t, openErr)
			}
			require.Empty(t, k.History(chip, bl.Offset), "nothing was driven")
		})
	}
}

func TestBoardOffsetThatDoesNotMatchIsRefused(t *testing.T) {
	b, _ := gpio.BoardFor("zbtlink,zbt-z8102ax")
	k := gpiofake.New()
	k.AddChip("pio", false, gpiofake.Line{Export: "5g1", Output: true, High: true})
	_, err := gpio.Open(k, b, reset("5g1"), gpio.NewFileMemory(t.TempDir()))
	require.ErrorIs(t, err, gpio.ErrRefused)
}

func TestAmbiguousNameIsRefused(t *testing.T) {
	k := gpiofake.New()
	k.AddChip("a", false, gpiofake.Line{Name: "sim"})
	k.AddChip("b", false, gpiofake.Line{}, gpiofake.Line{Name: "sim"})
	_, err := gpio.Plan(k, gpio.Board{}, reset("sim"), nil)
	require.ErrorIs(t, err, gpio.ErrAmbiguous)
	require.ErrorContains(t, err, "gpiochip0:0 and gpiochip1:1")
	p, err := gpio.Plan(k, gpio.Board{}, reset("b:1"), nil) // by label
	require.NoError(t, err)
	require.Equal(t, "gpiochip1", p.Chip)
}

func TestActiveLowByConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := gpiofake.New()
		chip := k.AddChip("a", false, gpiofake.Line{Name: "rst", Output: true})
		l, err := gpio.Open(k, gpio.Board{}, reset("!rst"), gpio.NewFileMemory(t.TempDir()))
		require.NoError(t, err)
		require.NoError(t, l.Pulse(context.Background(), 0))
		require.Equal(t, []string{"low", "high"}, k.History(chip, 0))
		require.NoError(t, l.Close())
	})
}

func TestPulseIsBounded(t *testing.T) {
	for _, c := range []struct{ configured, asked, want time.Duration }{
		{0, 0, gpio.DefaultPulse},
		{time.Second, 0, time.Second},
		{time.Second, 2 * time.Second, 2 * time.Second},
		{time.Hour, 0, gpio.MaxPulse},
		{0, time.Hour, gpio.MaxPulse},
		{time.Nanosecond, 0, gpio.MinPulse},
		{-time.Second, -time.Second, gpio.DefaultPulse},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := gpiofake.New()
			k.AddChip("a", false, gpiofake.Line{Name: "rst"})
			l, err := gpio.Open(k, gpio.Board{}, gpio.Spec{Use: model.LineReset, Line: "rst", Pulse: c.configured}, gpio.NewFileMemory(t.TempDir()))
			require.NoError(t, err)
			start := time.Now()
			require.NoError(t, l.Pulse(context.Background(), c.asked))
			require.Equal(t, c.want, time.Since(start))
			require.NoError(t, l.Close())
		})
	}
}

var errFlaky = errors.New("input/output error")

func TestReleaseIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := gpio.BoardFor("zbtlink,zbt-z8102ax")
		k, chip := router(b)
		mem := gpio.NewFileMemory(t.TempDir())
		l, err := gpio.Open(k, b, reset("5g1"), mem)
		require.NoError(t, err)
		k.FailDrives(1, errFlaky)
		require.ErrorIs(t, l.Pulse(context.Background(), 0), errFlaky, "the drive away from rest failed")
		require.True(t, k.Level(chip, 4))

		done := make(chan error, 1)
		go func() { done <- l.Pulse(context.Background(), time.Second) }()
		synctest.Wait()
		require.False(t, k.Level(chip, 4))
		k.FailDrives(10, errFlaky) // the release meets them
		require.NoError(t, <-done)
		require.True(t, k.Level(chip, 4))

		go func() { done <- l.Pulse(context.Background(), time.Second) }()
		synctest.Wait()
		k.FailDrives(1<<20, errFlaky)
		require.ErrorIs(t, <-done, gpio.ErrStuck)
		_, cutOff, err := mem.Pending("5g1")
		require.NoError(t, err)
		require.True(t, cutOff)
		k.FailDrives(0, nil)
		require.NoError(t, l.Close())
		require.True(t, k.Level(chip, 4), "Close brings it back")
	})
}

// TestSupplyNeverEndsOff: whatever is called in whatever order, cancelled,
// failing, killed and restarted, a supply ends powered on every board.
func TestSupplyNeverEndsOff(t *testing.T) {
	for _, b := range gpio.Boards() {
		for _, bl := range b.Lines {
			if bl.Kind != gpio.KindPower {
				continue
			}
			for seed := range uint64(100) {
				synctest.Test(t, func(t *testing.T) { abuse(t, b, bl, rand.New(rand.NewPCG(seed, 1))) })
			}
		}
	}
}

func abuse(t *testing.T, b gpio.Board, bl gpio.BoardLine, rnd *rand.Rand) {
	k, chip := router(b)
	mem := gpio.NewFileMemory(t.TempDir())
	use := []model.LineUse{model.LineReset, model.LinePower}
	var l *gpio.Line
	for range 12 {
		if l == nil {
			l, _ = gpio.Open(k, b, gpio.Spec{Use: use[rnd.IntN(2)], Line: bl.Name, Pulse: time.Duration(rnd.IntN(3000)) * time.Millisecond}, mem)
			if l == nil {
				k.Return(chip)
				k.FailDrives(0, nil)
				continue
			}
		}
		switch rnd.IntN(7) {
		case 0:
			k.FailDrives(rnd.IntN(60), errFlaky)
		case 1:
			l.Select(rnd.IntN(2) == 0)
		case 2:
			l.Close()
			l = nil
		case 3: // killed: nothing of ours runs any more, the line stays as it is
			l = nil
		case 4:
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(2000))*time.Millisecond)
			l.Pulse(ctx, 0)
			cancel()
		case 5:
			l.Pulse(context.Background(), 0)
		case 6: // vanishes in the middle of a pulse
			done := make(chan struct{})
			go func(l *gpio.Line) { defer close(done); l.Pulse(context.Background(), time.Second) }(l)
			synctest.Wait()
			k.Vanish(chip)
			<-done
			k.Return(chip)
			l = nil
		}
	}
	// The next start with a kernel that works again.
	k.FailDrives(0, nil)
	k.Return(chip)
	if l != nil {
		l.Close()
	}
	l, err := gpio.Open(k, b, reset(bl.Name), mem)
	require.NoError(t, err)
	require.Equal(t, bl.ActiveHigh, k.Level(chip, bl.Offset), "%s: %s has no power\n%s", b.Model, bl.Name, k)
	require.NoError(t, l.Close())
}

func TestFakePrintsItself(t *testing.T) {
	b, _ := gpio.BoardFor("teltonika,rutx50")
	k, chip := router(b)
	require.Contains(t, k.String(), "gpiochip0 [pio] 16 lines\n")
	require.Contains(t, k.String(), "   8 -            output low  modem_reset\n")
	k.Vanish(chip)
	require.Contains(t, k.String(), "16 lines, gone")
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"sim1", "gpiochip0:6", "/dev/gpiochip1:0", "!5G_reset", "!pio:11", "a:b:3", ":1", "x:99999999999", "", "/dev/:0", "/dev//dev/x:0", "!!x", "/dev/!:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := gpio.ParseRef(s)
		if err != nil {
			require.ErrorIs(t, err, gpio.ErrBadLine)
			return
		}
		again, err := gpio.ParseRef(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func TestFileMemorySurvivesDamage(t *testing.T) {
	dir := t.TempDir()
	m := gpio.NewFileMemory(dir)
	require.NoError(t, m.Begin("5g1", true))
	rest, cutOff, err := gpio.NewFileMemory(dir).Pending("5g1")
	require.NoError(t, err)
	require.True(t, rest)
	require.True(t, cutOff)
	require.NoError(t, m.End("5g1"))
	_, cutOff, err = m.Pending("5g1")
	require.NoError(t, err)
	require.False(t, cutOff)
	require.Error(t, gpio.NewFileMemory(dir+"/missing").Begin("5g1", true))
}
