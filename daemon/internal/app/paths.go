package app

import (
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
)

// watchPaths starts the probes from the first link on. Call with the lock held.
func (a *App) watchPaths(s engine.Settings) {
	if a.watching.paths || a.drivers.Probes == nil || !s.Valid || !s.Enabled || len(s.Links) == 0 {
		return
	}
	a.watching.paths = true
	d := probe.New(probe.Options{
		Plan: a.engine.PathPlans().Probe, World: a.drivers.Probes, Heard: a.drivers.Heard, Events: a.engine.Tell,
	})
	a.modems.Start(supervise.Task{Name: "probes", Run: d.Run})
}
