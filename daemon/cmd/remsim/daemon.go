package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
)

const (
	defaultConfig = "/etc/config"
	defaultState  = "/etc/remsim"
	defaultRun    = "/var/run/remsim"
)

// Memory of the Go run time on a 128 MB router: collect early, and try hard to
// stay below the limit (a soft one). GOGC and GOMEMLIMIT of the environment win.
const (
	gcPercent   = 50
	memoryLimit = 16 << 20
)

// runDaemon serves until SIGTERM. SIGHUP reads the configuration again.
func runDaemon(ctx context.Context, c *cli, args []string) error {
	o := app.Options{Version: version}
	_, err := c.parse("daemon", args, 0, 0, func(fs *flag.FlagSet) {
		fs.StringVar(&o.ConfigDir, "config", defaultConfig, "`DIR` that holds the UCI file remsim")
		fs.StringVar(&o.StateDir, "state", defaultState, "`DIR` of what survives a reboot")
		fs.StringVar(&o.RunDir, "run", defaultRun, "`DIR` of what survives a restart")
	})
	if err != nil {
		return err
	}
	o.Ubus = c.ubus
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	level := new(slog.LevelVar)
	o.LogLevel = level
	o.Logger = slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
	if o.Hostname, err = os.Hostname(); err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	o.Reload = hup
	return app.Run(ctx, o, app.RealDrivers(o.Logger))
}

// withoutTime drops the time: procd adds it.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
