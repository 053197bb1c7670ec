package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// specs are the GPIO lines of a modem as configured.
func specs(m config.Modem) map[model.LineUse]gpio.Spec {
	out := make(map[model.LineUse]gpio.Spec)
	for use, line := range map[model.LineUse]config.Line{
		model.LineSIM: m.SIMLine, model.LineReset: m.ResetLine, model.LinePower: m.PowerLine,
	} {
		if !line.IsZero() {
			out[use] = gpio.Spec{Modem: m.Name, Use: use, Line: line.String(), RemoteHigh: m.SIMRemoteHigh, Pulse: m.ResetPulse}
		}
	}
	return out
}

// specsOf are those of the modem with a name.
func specsOf(cfg *config.Config, name string) map[model.LineUse]gpio.Spec {
	for _, m := range cfg.Modems {
		if m.Name == name {
			return specs(m)
		}
	}
	return nil // removed from the configuration since
}

// board is the profile of this router, by the name that OpenWrt gives it. On
// anything else there is none.
func (o Options) board() gpio.Board {
	name, err := os.ReadFile(filepath.Join(orDefault(o.Sysinfo, "/tmp/sysinfo"), "board_name"))
	if err != nil {
		return gpio.Board{}
	}
	b, _ := gpio.BoardFor(strings.TrimSpace(string(name)))
	return b
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// resetIsPower tells that the board's reset line of this modem is its supply.
func resetIsPower(b gpio.Board, spec gpio.Spec) bool {
	ref, err := gpio.ParseRef(spec.Line)
	if err != nil {
		return false
	}
	l, ok := b.Line(ref.Name)
	return ok && l.Kind == gpio.KindPower
}

// LinePlan shows a modem's line and what would be done with it.
func (a *App) LinePlan(modem string, use model.LineUse) (model.LinePlan, error) {
	cfg := a.conf.inUse()
	if cfg == nil {
		return model.LinePlan{}, &model.CommandError{Kind: model.NotFound, Message: "there is no valid configuration"}
	}
	for _, m := range cfg.Modems {
		spec, ok := specs(m)[use]
		if m.Name != modem && modem != "" || modem == "" && !ok {
			continue
		}
		if !ok {
			return model.LinePlan{}, &model.CommandError{Kind: model.NotFound, Message: fmt.Sprintf("modem %s has no option %s_line", m.Name, use)}
		}
		plan, err := gpio.Plan(a.drivers.GPIO, a.opts.board(), spec, a.pulses)
		if errors.Is(err, gpio.ErrNoLine) || errors.Is(err, gpio.ErrAmbiguous) {
			err = &model.CommandError{Kind: model.NotFound, Message: err.Error() + a.linesThereAre()}
		}
		return plan, err
	}
	if modem == "" {
		return model.LinePlan{}, &model.CommandError{Kind: model.NotFound, Message: fmt.Sprintf("no modem has option %s_line", use)}
	}
	return model.LinePlan{}, &model.CommandError{Kind: model.NotFound, Message: fmt.Sprintf("there is no modem %q", modem)}
}

// linesThereAre names this router's lines for an error.
func (a *App) linesThereAre() string {
	lines, err := gpio.Discover(a.drivers.GPIO, a.opts.board())
	if err != nil || len(lines) == 0 {
		return "; this router has no named line"
	}
	var names []string
	for _, l := range lines {
		if l.Name != "" {
			names = append(names, l.Name)
		} else {
			names = append(names, fmt.Sprintf("%s:%d", l.Chip, l.Offset))
		}
	}
	return "; there are: " + strings.Join(names, " ")
}

// lineCode is the finding for a line that cannot be had.
func lineCode(err error) string {
	if errors.Is(err, gpio.ErrNoLine) || errors.Is(err, gpio.ErrAmbiguous) || errors.Is(err, gpio.ErrBadLine) || errors.Is(err, gpio.ErrGone) {
		return health.LineMissing
	}
	return health.LineBusy
}
