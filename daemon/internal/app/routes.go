package app

import (
	"context"

	"github.com/terminills/remsim-openwrt/daemon/internal/route"
)

// keepRoutes keeps the kernel's rules and tables as the engine wants them.
func (a *App) keepRoutes(ctx context.Context) error {
	k, err := a.drivers.Routes()
	if err != nil {
		return err
	}
	defer k.Close()
	return route.New(route.Options{Kernel: k, Plan: a.engine.PathPlans().Routes, Events: a.engine.Tell}).Run(ctx)
}
