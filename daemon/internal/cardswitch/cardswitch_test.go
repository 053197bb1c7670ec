package cardswitch

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var allRungs = []model.ResetRung{model.RungPower, model.RungGPIO, model.RungMM, model.RungSoft}

func TestMeansByModem(t *testing.T) {
	modem := func(plugin string, primary model.PortKind) *model.ObservedModem {
		return &model.ObservedModem{Plugin: plugin, Primary: "p", Ports: []model.Port{{Name: "x", Kind: model.PortMBIM}, {Name: "p", Kind: primary}}}
	}
	visible := Facts{Front: true, FrontRemoves: true, Rungs: []model.ResetRung{model.RungMM}}
	hidden := Facts{Front: true, Rungs: []model.ResetRung{model.RungMM, model.RungSoft}}
	for _, tt := range []struct {
		name  string
		facts Facts
		mm    bool
		modem *model.ObservedModem
		want  string
	}{
		{"MBIM modem notices", visible, true, modem("mtk", model.PortMBIM), "the modem's own notice, a new probe by ModemManager, reset by ModemManager"},
		{"QMI modem notices", visible, true, modem("generic", model.PortQMI), "the modem's own notice, a new probe by ModemManager, reset by ModemManager"},
		{"AT plugin with a line for it", visible, true, modem("telit", model.PortAT), "the modem's own notice, a new probe by ModemManager, reset by ModemManager"},
		{"AT plugin without", visible, true, modem("fibocom", model.PortAT), "a new probe by ModemManager, reset by ModemManager"},
		{"modem not seen before", visible, true, nil, "the modem's own notice, a new probe by ModemManager, reset by ModemManager"},
		{"removal hidden", hidden, true, modem("mtk", model.PortMBIM), "soft reset, reset by ModemManager"},
		{"no ModemManager", hidden, false, nil, "soft reset"},
		{"trays behind a line", Facts{Line: true, Rungs: allRungs, PowerLine: true}, true, modem("generic", model.PortAT), "soft reset, reset by ModemManager, reset line, power cycle"},
		{"no reset at all", Facts{Line: true}, true, modem("generic", model.PortAT), "a new probe by ModemManager"},
		{"nothing at all", Facts{Line: true}, false, nil, "the modem's own notice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var names []string
			for _, w := range ways(tt.facts, tt.mm, tt.modem) {
				names = append(names, w.name)
				require.Equal(t, stepArrive, w.steps[len(w.steps)-1].kind)
			}
			require.Equal(t, tt.want, strings.Join(names, ", "))
		})
	}
}

func TestResetLineThatIsTheSupplyIsAPowerCycle(t *testing.T) {
	f := Facts{Rungs: []model.ResetRung{model.RungGPIO, model.RungSoft}, ResetIsPower: true}
	require.Equal(t, []model.ResetRung{model.RungSoft, model.RungPower}, rungs(f))
	require.Equal(t, model.LineReset, resetSteps(f, model.RungPower)[0].line)
	f.PowerLine, f.Rungs = true, allRungs
	require.Equal(t, []model.ResetRung{model.RungSoft, model.RungMM, model.RungPower}, rungs(f), "never both: it is one supply")
	require.Equal(t, model.LinePower, resetSteps(f, model.RungPower)[0].line)
}

func TestSameCard(t *testing.T) {
	for _, tt := range []struct {
		a, b model.ICCID
		want bool
	}{
		{"8988211000000000017", "8988211000000000017", true},
		{"8988211000000000017F", "8988211000000000017", true},
		{"898821100000000001", "8988211000000000017", true}, // without its check digit
		{"8988211000000000017", "8988211000000000025", false},
		{"89882110", "898821101", false},
		{"", "", false},
		{"", "8988211000000000017", false},
	} {
		require.Equal(t, tt.want, same(tt.a, tt.b), "%s %s", string(tt.a), string(tt.b))
		require.Equal(t, tt.want, same(tt.b, tt.a))
	}
}

func TestStepsDoNotShareMemory(t *testing.T) {
	now := time.Unix(1e9, 0)
	in := Input{
		Facts: Facts{Modem: "m", Line: true, Front: true, FrontRemoves: true, Network: "n", Rungs: allRungs, PowerLine: true},
		Want:  Want{Source: model.SourceRemote},
		Seen: Seen{ModemManager: true, FrontUp: true, Available: true, Line: model.SourceLocal,
			Networks: []model.Interface{{Name: "n", Up: true}}},
	}
	first := Step(now, in, Memory{})
	again := Step(now, in, Memory{})
	for later := now; later.Before(now.Add(20 * time.Minute)); {
		d := Step(later, in, first.Memory)
		if later = d.WakeAt; later.IsZero() {
			break
		}
		first.Memory = d.Memory
	}
	require.Equal(t, again.Plan, Step(now, in, again.Memory).Plan)
	require.Equal(t, again, Step(now, in, Memory{}))
}

func TestLimitIsFinite(t *testing.T) {
	f := Facts{Line: true, Front: true, FrontRemoves: true, Network: "a", NetworkRemote: "b", Rungs: allRungs, PowerLine: true, FallbackLocal: true}
	remote, local := Limit(f, model.SourceRemote), Limit(f, model.SourceLocal)
	require.Greater(t, remote, local)
	require.Less(t, remote, 40*time.Minute)
	f.FallbackLocal = false
	require.Equal(t, 20*time.Minute, Limit(f, model.SourceRemote).Round(time.Minute), "every way of every kind, in vain")
}

func BenchmarkStepIdle(b *testing.B) {
	now := time.Unix(1e9, 0)
	in := Input{Facts: Facts{Modem: "m"}, Want: Want{Source: model.SourceLocal}}
	mem := Step(now, in, Memory{}).Memory
	b.ReportAllocs()
	for b.Loop() {
		mem = Step(now, in, mem).Memory
	}
}
