package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
)

// Cleaned is one thing that was handed back, or could not be.
type Cleaned struct {
	What string
	Err  error // nil: done
}

// Cleanup hands the world back after the daemon has ended: what it put into the
// kernel goes without any state, cards by the configuration. Doing it twice does
// nothing the second time. It refuses to work against a daemon that runs.
func Cleanup(ctx context.Context, o Options, d Drivers) ([]Cleaned, error) {
	unlock, err := lockRun(o.RunDir)
	if errors.Is(err, fs.ErrNotExist) {
		unlock, err = func() {}, nil // it never ran since the boot
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	var done []Cleaned
	for _, clean := range []func(context.Context, Options, Drivers) []Cleaned{cleanCards, cleanIonMesh, cleanRoutes, cleanMeter} {
		done = append(done, clean(ctx, o, d)...)
	}
	return done, nil
}

// cleanRoutes takes rules and tables out of the kernel.
func cleanRoutes(_ context.Context, _ Options, d Drivers) (done []Cleaned) {
	if d.Routes == nil {
		return nil
	}
	k, err := d.Routes()
	if err != nil {
		return []Cleaned{{"rules and routes", err}}
	}
	defer k.Close()
	removed, err := route.Cleanup(k)
	for _, what := range removed {
		done = append(done, Cleaned{What: what})
	}
	if err != nil {
		done = append(done, Cleaned{"rules and routes", err})
	}
	return done
}

// cleanMeter takes counters and fences out of the packet filter.
func cleanMeter(ctx context.Context, _ Options, d Drivers) []Cleaned {
	const what = "counters and fences of the links"
	if d.Meter == nil {
		return nil
	}
	removed, err := d.Meter.Remove(ctx)
	switch {
	case errors.Is(err, meter.ErrNoProgram): // without nft there never was a table
		return nil
	case err != nil:
		return []Cleaned{{what, err}}
	case removed:
		return []Cleaned{{What: what}}
	}
	return nil
}

// cleanCards turns the SIM lines to the local cards. The modem notices by itself or
// with its next reset: nobody is there to wait for it.
func cleanCards(_ context.Context, o Options, d Drivers) (done []Cleaned) {
	cfg, _, err := config.Load(o.ConfigDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []Cleaned{{"local cards", err}}
	}
	if cfg == nil || d.GPIO == nil {
		return nil
	}
	for _, m := range cfg.Modems {
		spec, ok := specs(m)[model.LineSIM]
		if !ok {
			continue
		}
		what := fmt.Sprintf("modem %s: local card by line %s", m.Name, spec.Line)
		if turned, err := turnLocal(o, d, spec); err != nil {
			done = append(done, Cleaned{what, err})
		} else if turned {
			done = append(done, Cleaned{What: what})
		}
	}
	return done
}

// turnLocal tells whether the line had to be turned.
func turnLocal(o Options, d Drivers, spec gpio.Spec) (bool, error) {
	l, err := gpio.Open(d.GPIO, o.board(), spec, gpio.NewFileMemory(o.RunDir))
	if err != nil {
		return false, err
	}
	defer l.Close()
	if remote, err := l.Remote(); err != nil || !remote {
		return false, err
	}
	return true, l.Select(false)
}
