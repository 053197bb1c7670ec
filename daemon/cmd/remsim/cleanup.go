package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
)

// runCleanup hands the world back after the daemon has ended, and prints what it
// did.
func runCleanup(ctx context.Context, c *cli, args []string) error {
	o := app.Options{Version: version}
	_, err := c.parse("cleanup", args, 0, 0, func(fs *flag.FlagSet) {
		fs.StringVar(&o.ConfigDir, "config", defaultConfig, "`DIR` that holds the UCI file remsim")
		fs.StringVar(&o.StateDir, "state", defaultState, "`DIR` of what survives a reboot")
		fs.StringVar(&o.RunDir, "run", defaultRun, "`DIR` of what survives a restart")
	})
	if err != nil {
		return err
	}
	o.Ubus = c.ubus
	if o.Hostname, err = os.Hostname(); err != nil {
		return fmt.Errorf("read the hostname: %w", err)
	}
	o.Logger = slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	done, err := app.Cleanup(ctx, o, app.RealDrivers(o.Logger))
	if err != nil {
		return err
	}
	return c.printCleaned(done)
}

func (c *cli) printCleaned(done []app.Cleaned) error {
	failed := false
	report := struct {
		Done   []string `json:"done"`
		Failed []string `json:"failed"`
	}{[]string{}, []string{}}
	for _, d := range done {
		if d.Err != nil {
			failed = true
			report.Failed = append(report.Failed, fmt.Sprintf("%s: %v", d.What, d.Err))
			continue
		}
		report.Done = append(report.Done, d.What)
	}
	switch {
	case c.json:
		if err := c.printJSON(report); err != nil {
			return err
		}
	case len(done) == 0:
		fmt.Fprintln(c.out, "nothing to clean up")
	}
	if !c.json {
		for _, what := range report.Done {
			fmt.Fprintln(c.out, "done:   ", what)
		}
		for _, what := range report.Failed {
			fmt.Fprintln(c.out, "FAILED: ", what)
		}
	}
	if failed {
		return errFailed
	}
	return nil
}
