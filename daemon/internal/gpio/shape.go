package gpio

import (
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// shape is how a configured line behaves: what its rest level is and why.
type shape struct {
	restHigh bool
	proven   bool   // a board profile or the configuration says so
	power    bool   // it is a supply, whatever the configuration calls it
	refused  string // why remsim will not drive it
	role     Kind   // from the profile, "" if it has none
	note     string
}

// resolve finds a line and decides how it behaves. It touches nothing.
func resolve(k Kernel, board Board, spec Spec) (Info, shape, error) {
	ref, err := ParseRef(spec.Line)
	if err != nil {
		return Info{}, shape{}, fmt.Errorf("%s line: %w", spec.Use, err)
	}
	info, err := find(k, ref)
	if err != nil {
		return Info{}, shape{}, fmt.Errorf("%s line: %w", spec.Use, err)
	}
	bl, known := boardLine(board, ref, info)
	if known {
		return info, shapeOf(spec.Use, bl, info), nil
	}
	// Without a profile: asserted high, or low where the configuration ("!")
	// or the line's present holder says active low.
	low := ref.ActiveLow || info.ActiveLow
	s := shape{power: spec.Use == model.LinePower, proven: ref.ActiveLow}
	s.restHigh = s.power != low
	return info, s, nil
}

// boardLine finds the profile's entry, by the name of the line, of its export,
// or by offset on the chip that carries the profile's names.
func boardLine(board Board, ref Ref, info Info) (BoardLine, bool) {
	for _, name := range []string{info.Export, info.Name, ref.Name} {
		if name == "" {
			continue
		}
		if l, ok := board.Line(name); ok {
			return l, true
		}
	}
	return BoardLine{}, false
}

func shapeOf(use model.LineUse, bl BoardLine, info Info) shape {
	s := shape{proven: true, power: bl.Kind == KindPower, role: bl.Kind, note: bl.Note}
	s.restHigh = s.power == bl.ActiveHigh
	switch {
	case bl.Kind == KindFixed || bl.Kind == KindKey:
		s.refused = fmt.Sprintf("on this board %s is a %s line (%s)", bl.Name, bl.Kind, bl.Note)
	case use == model.LineSIM && bl.Kind != KindSelect:
		s.refused = fmt.Sprintf("on this board %s is a %s line, not a card switch", bl.Name, bl.Kind)
	case use != model.LineSIM && bl.Kind == KindSelect:
		s.refused = fmt.Sprintf("on this board %s switches cards", bl.Name)
	case bl.Offset != info.Offset:
		s.refused = fmt.Sprintf("the board profile knows %s at offset %d, here it is at %d", bl.Name, bl.Offset, info.Offset)
	}
	return s
}
