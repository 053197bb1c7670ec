package main

import (
	"context"
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// runConfig shows what the daemon thinks of its configuration, makes it read
// the file again, or checks a file without any daemon.
func runConfig(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("config", args, 0, 2, nil)
	if err != nil {
		return err
	}
	switch {
	case len(words) == 0:
		var r model.ConfigReport
		shown, err := c.call(ctx, callTime, "config", nil, &r)
		if err != nil || shown {
			return err
		}
		return c.printReport(r)
	case words[0] == "reload" && len(words) == 1:
		var r model.ConfigReport
		shown, err := c.call(ctx, callTime, "reload", nil, &r)
		if err != nil || shown {
			return err
		}
		return c.printReport(r)
	case words[0] == "check":
		dir := word(words, 1)
		if dir == "" {
			dir = defaultConfig
		}
		r, err := app.CheckConfig(dir)
		if err != nil {
			return err
		}
		if c.json {
			if err := c.printJSON(r); err != nil {
				return err
			}
			if !r.OK {
				return errUsage // the contract gives a refused configuration status 2
			}
			return nil
		}
		if err := c.printReport(r); err != nil {
			return errUsage
		}
		return nil
	}
	fmt.Fprintf(c.err, "remsim config: %q is neither check nor reload\n", words[0])
	return errUsage
}

// printReport shows a report and returns errFailed if the configuration is
// refused.
func (c *cli) printReport(r model.ConfigReport) error {
	for _, p := range r.Errors {
		fmt.Fprintln(c.out, "error:  ", p)
	}
	for _, p := range r.Warnings {
		fmt.Fprintln(c.out, "warning:", p)
	}
	if len(r.Costs) > 0 {
		fmt.Fprintf(c.out, "\n%-44s %10s %12s\n", "what the settings cost", "seconds", "MB a month")
		for _, k := range r.Costs {
			fmt.Fprintf(c.out, "  %-42s %10.1f %12.2f\n", k.Setting, k.Seconds, k.MBMonth)
		}
	}
	if !r.OK {
		fmt.Fprintf(c.out, "\n%s: refused, %d errors\n", r.Path, len(r.Errors))
		return errFailed
	}
	fmt.Fprintf(c.out, "\n%s: accepted\n", r.Path)
	return nil
}
