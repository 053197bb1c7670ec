package gpio

import (
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Plan shows a line and what remsim would do with it. It touches nothing. An
// error means that there is no such line.
func Plan(k Kernel, board Board, spec Spec, mem Memory) (model.LinePlan, error) {
	info, s, err := resolve(k, board, spec)
	if err != nil {
		return model.LinePlan{}, err
	}
	ours := info.Consumer == Consumer
	p := model.LinePlan{
		Line: spec.Line, Chip: info.Chip, Offset: info.Offset, Consumer: info.Consumer,
		Direction: direction(info.Output), ActiveLow: activeLow(s, info), Plan: []string{}, Conflicts: []string{},
	}
	if s.refused != "" {
		p.Conflicts = append(p.Conflicts, s.refused)
	}
	if info.Used && info.Export == "" && !ours {
		p.Conflicts = append(p.Conflicts, fmt.Sprintf("%q holds the line", info.Consumer))
	}
	if len(p.Conflicts) > 0 {
		return p, nil
	}
	p.Plan = append(p.Plan, takeStep(info, ours))
	if spec.Use == model.LineSIM {
		p.Plan = append(p.Plan, fmt.Sprintf("drive it %s for the remote card, %s for the local one",
			levelName(spec.RemoteHigh), levelName(!spec.RemoteHigh)))
		return p, nil
	}
	p.Plan = append(p.Plan, pulseSteps(spec, s, info, mem)...)
	return p, nil
}

func takeStep(info Info, ours bool) string {
	switch {
	case info.Export != "":
		return fmt.Sprintf("use the kernel's export /sys/class/gpio/%s, which keeps its level when remsim ends", info.Export)
	case ours:
		return "go on holding the line"
	}
	return fmt.Sprintf("take the line as %q without changing direction or level", Consumer)
}

func pulseSteps(spec Spec, s shape, info Info, mem Memory) []string {
	rest, why := levelName(s.restHigh), "by the configuration"
	switch {
	case s.role != "":
		why = "by the board profile"
	case !s.proven && info.Output:
		rest, why = "the level it has now", "no profile proves its polarity"
	case !s.proven:
		why = "no profile proves its polarity"
	}
	what := "reset"
	if s.power {
		what = "power"
	}
	var steps []string
	if mem != nil {
		if restHigh, cutOff, err := mem.Pending(info.key()); err == nil && cutOff {
			steps = append(steps, "first end a pulse that was cut off: drive it "+levelName(restHigh))
		}
	}
	l := Line{spec: spec}
	return append(steps,
		fmt.Sprintf("rest is %s (%s, %s)", rest, what, why),
		fmt.Sprintf("on reset: away from rest for %d ms, then back to rest in every case", l.pulse(0).Milliseconds()))
}

func activeLow(s shape, info Info) bool {
	if s.role == "" {
		return info.ActiveLow
	}
	return s.restHigh != s.power
}

func direction(output bool) string {
	if output {
		return "output"
	}
	return "input"
}

// Discover lists the lines of this router that may have to do with a modem: the
// named, the exported and those that remsim holds.
func Discover(k Kernel, board Board) ([]model.Line, error) {
	chips, err := k.Chips()
	if err != nil {
		return nil, fmt.Errorf("list GPIO chips: %w", err)
	}
	out := []model.Line{}
	for _, c := range chips {
		lines, err := k.Lines(c.Name)
		if err != nil {
			continue // gone since it was listed
		}
		for _, l := range lines {
			name := l.Name
			if l.Export != "" {
				name = l.Export
			}
			if name == "" && l.Consumer != Consumer {
				continue
			}
			bl, _ := board.Line(name)
			out = append(out, model.Line{Name: name, Chip: l.Chip, Offset: l.Offset, Consumer: l.Consumer,
				Direction: direction(l.Output), ActiveLow: l.ActiveLow, Role: string(bl.Kind)})
		}
	}
	return out, nil
}
