package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func runTrace(ctx context.Context, c *cli, args []string) error {
	modem, limit := "", 50
	words, err := c.parse("trace", args, 0, 1, func(fs *flag.FlagSet) {
		fs.StringVar(&modem, "modem", "", "which `MODEM`, if several use remote cards")
		fs.IntVar(&limit, "limit", 50, "how many of the newest, `N` of 1..200")
	})
	if err != nil {
		return err
	}
	switch w := word(words, 0); w {
	case "":
	case "on", "off":
		done := map[string]string{"on": "trace switched on; `remsim trace` shows it", "off": "trace switched off"}
		return c.ordered(ctx, "tracing", map[string]any{"modem": modem, "on": w == "on"}, done[w])
	default:
		fmt.Fprintf(c.err, "remsim trace: %q is neither on nor off\n", w)
		return errUsage
	}
	var reply struct {
		APDUs []model.APDU `json:"apdus"`
	}
	shown, err := c.call(ctx, callTime, "trace", map[string]any{"modem": modem, "limit": limit}, &reply)
	if err != nil || shown {
		return err
	}
	if len(reply.APDUs) == 0 {
		fmt.Fprintln(c.out, "nothing traced; `remsim trace on` starts it")
	}
	for _, a := range reply.APDUs {
		at := time.Unix(a.Time, 0).Format("15:04:05")
		fmt.Fprintf(c.out, "%s %7.1f ms  %s\n                   > %s\n                   < %s  %s\n", at, a.MS, a.Name, a.Command, a.Response, a.Status)
	}
	return nil
}
