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
		return c.askReport(ctx)
	case words[0] == "reload" && len(words) == 1:
		var r model.ConfigReport
		shown, err := c.call(ctx, callTime, "reload", nil, &r)
		switch {
		case err != nil:
			return err
		case !shown:
			return c.askReport(ctx) // a reload tells the errors only
		case !r.OK:
			return errFailed
		}
		return nil
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
		} else {
			c.printReport(r)
		}
		if !r.OK {
			return errUsage // the contract gives a refused configuration status 2
		}
		return nil
	}
	fmt.Fprintf(c.err, "remsim config: %q is neither check nor reload\n", words[0])
	return errUsage
}

// askReport shows what the daemon says of its configuration.
func (c *cli) askReport(ctx context.Context) error {
	var r model.ConfigReport
	shown, err := c.call(ctx, callTime, "config", nil, &r)
	if err != nil {
		return err
	}
	if !shown {
		c.printReport(r)
	}
	if !r.OK {
		return errFailed
	}
	return nil
}

func (c *cli) printReport(r model.ConfigReport) {
	for _, p := range r.Errors {
		fmt.Fprintln(c.out, "error:  ", p)
	}
	for _, p := range r.Warnings {
		p.Warning = false // the word stands in front already
		fmt.Fprintln(c.out, "warning:", p)
	}
	if len(r.Costs) > 0 {
		if len(r.Errors)+len(r.Warnings) > 0 {
			fmt.Fprintln(c.out)
		}
		fmt.Fprintf(c.out, "%9s %12s  what the settings cost\n", "seconds", "MB a month")
	}
	for _, k := range r.Costs {
		fmt.Fprintf(c.out, "%9.1f %12.2f  %s\n", k.Seconds, k.MBMonth, k.Setting)
	}
	if len(r.Errors)+len(r.Warnings)+len(r.Costs) > 0 {
		fmt.Fprintln(c.out)
	}
	verdict := "accepted"
	if !r.OK {
		verdict = fmt.Sprintf("refused, %d errors", len(r.Errors))
	}
	fmt.Fprintf(c.out, "%s: %s\n", r.Path, verdict)
}
