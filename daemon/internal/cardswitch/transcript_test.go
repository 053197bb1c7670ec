package cardswitch

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// TestTranscripts plays testdata/*.txt: lines that begin with a time happen,
// indented ones are what is decided then. What comes of a deadline between two
// lines carries its own time.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(want), got)
		})
	}
}

// player holds the world that a transcript describes.
type player struct {
	t    *testing.T
	in   Input
	mem  Memory
	now  time.Time
	wake time.Time
	plan model.SwitchPlan
	out  strings.Builder
}

func play(t *testing.T, script string) string {
	p := &player{t: t, in: Input{Facts: Facts{Modem: "primary"}}}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		p.line(line)
	}
	return p.out.String()
}

func (p *player) line(line string) {
	clock, rest, _ := strings.Cut(line, " ")
	at, err := time.Parse("15:04:05", clock)
	switch {
	case line == "" || line[0] == '#':
		p.out.WriteString(line + "\n")
		return
	case err != nil:
		require.Equal(p.t, "facts", clock, line)
		p.facts(strings.Fields(rest))
		p.out.WriteString(line + "\n")
		return
	}
	for !p.wake.IsZero() && p.wake.Before(at) {
		require.False(p.t, p.wake.Before(p.now), "wake in the past")
		p.step(p.wake, true)
	}
	p.out.WriteString(line + "\n")
	p.event(rest)
	p.step(at, false)
}

func (p *player) facts(words []string) {
	f := &p.in.Facts
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "line":
			f.Line = true
		case "front":
			f.Front = true
		case "removes":
			f.FrontRemoves = true
		case "fallback":
			f.FallbackLocal = true
		case "network":
			f.Network = v
		case "network-remote":
			f.NetworkRemote = v
		case "reset-is-power":
			f.ResetIsPower = true
		case "power-line":
			f.PowerLine = true
		case "rungs":
			for r := range strings.SplitSeq(v, ",") {
				f.Rungs = append(f.Rungs, model.ResetRung(r))
			}
		default:
			require.Fail(p.t, "unknown fact", w)
		}
	}
}

func (p *player) event(text string) {
	w := strings.Fields(text)
	if len(w) == 0 {
		return // only time passes
	}
	seen := &p.in.Seen
	arg := ""
	if len(w) > 1 {
		arg = w[1]
	}
	opts := map[string]string{}
	for _, o := range w[1:] {
		if k, v, is := strings.Cut(o, "="); is {
			opts[k] = v
		}
	}
	switch w[0] {
	case "want":
		p.in.Want.Generation++
		p.in.Want.Source, p.in.Want.Card, p.in.Want.ICCID = model.Source(arg), opts["card"], model.ICCID(opts["iccid"])
		if arg == "nothing" {
			p.in.Want.Source = ""
		}
	case "expect":
		p.in.Want.ICCID = model.ICCID(arg)
	case "reset":
		p.in.Want.Reset.Generation++
		p.in.Want.Reset.Rung = model.ResetRung(arg)
	case "mm":
		seen.ModemManager = arg == "up"
	case "modem":
		seen.Modem = p.modem(arg, opts)
	case "front":
		seen.FrontUp = arg == "up"
	case "bank":
		seen.Available = arg == "up"
	case "card":
		seen.Card = model.CardState(arg)
	case "line":
		seen.Line, seen.LineErr = model.Source(arg), strings.Join(w[2:], " ")
		if arg == "unknown" {
			seen.Line = ""
		}
	case "net":
		p.network(arg, w[2])
	case "done":
		p.in.Done = []model.ActionDone{{ID: p.plan.Action.ID, Err: strings.Join(w[1:], " ")}}
	case "sick":
		p.in.Verdict = Verdict{Sick: true, Registered: arg == "registered:", Reason: strings.Join(w[1:], " ")}
	case "well":
		p.in.Verdict = Verdict{}
	default:
		require.Fail(p.t, "unknown event", text)
	}
}

func (p *player) modem(path string, opts map[string]string) *model.ObservedModem {
	if path == "gone" {
		return nil
	}
	m := &model.ObservedModem{Path: path, State: opts["state"], FailedReason: opts["reason"], Plugin: opts["plugin"],
		Primary: "port0", Ports: []model.Port{{Name: "port0", Kind: model.PortKind(opts["port"])}}}
	if id, has := opts["sim"]; has {
		m.SIM = &model.ObservedSIM{ICCID: model.ICCID(id)}
	}
	return m
}

func (p *player) network(name, state string) {
	i := model.Interface{Name: name, Proto: "modemmanager", Available: true}
	switch state {
	case "up":
		i.Up, i.Autostart = true, true
	case "pending":
		i.Pending, i.Autostart = true, true
	case "taken-down":
		i.TakenDown = true
	case "blocked":
		i.Errors = []model.InterfaceError{{Subsystem: "modemmanager", Code: "MM_FAILED_REASON_SIM_MISSING"}}
	}
	// A new slice: the memory must not hold on to the old one.
	p.in.Seen.Networks = slices.DeleteFunc(slices.Clone(p.in.Seen.Networks), func(o model.Interface) bool { return o.Name == name })
	if state != "gone" {
		p.in.Seen.Networks = append(p.in.Seen.Networks, i)
	}
}

func (p *player) step(now time.Time, woken bool) {
	d := Step(now, p.in, p.mem)
	again := Step(now, p.in, p.mem)
	require.Equal(p.t, d, again, "the same input gives the same decision")
	p.mem, p.now, p.wake, p.in.Done = d.Memory, now, d.WakeAt, nil
	stamp := ""
	if woken {
		stamp = now.Format("15:04:05 ")
	}
	say := func(format string, args ...any) {
		p.out.WriteString("  " + stamp + fmt.Sprintf(format, args...) + "\n")
	}
	for _, n := range d.Notes {
		require.Equal(p.t, now, n.Time)
		say("%s", n.Text)
	}
	if d.Plan.Line != p.plan.Line {
		say("-> SIM line to %s", d.Plan.Line)
	}
	if d.Plan.Show != p.plan.Show {
		say("-> %s the card", map[bool]string{true: "show", false: "hide"}[d.Plan.Show])
	}
	if a := d.Plan.Action; a != p.plan.Action {
		require.Equal(p.t, p.plan.Action.ID+1, a.ID, "ids grow one by one")
		say("-> do %s", strings.TrimSpace(fmt.Sprintf("%s %s%s", a.Verb, a.Network, a.Line)))
	}
	p.plan = d.Plan
}
