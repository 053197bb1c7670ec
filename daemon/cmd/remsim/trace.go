package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func runTrace(ctx context.Context, c *cli, args []string) error {
	modem, limit, file := "", 50, ""
	words, err := c.parse("trace", args, 0, 1, func(fs *flag.FlagSet) {
		fs.StringVar(&modem, "modem", "", "which `MODEM`, if several use remote cards")
		fs.IntVar(&limit, "limit", 50, "how many of the newest, `N` of 1..200")
		fs.StringVar(&file, "pcap", "", "write all that is kept to `FILE` for Wireshark (GSMTAP); hidden bytes become zeros")
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
	if file != "" {
		return c.exportTrace(ctx, modem, file)
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

// tracePage is the most that one reply gives.
const tracePage = 200

// wholeTrace fetches all that is kept, oldest first, page by page.
func (c *cli) wholeTrace(ctx context.Context, modem string) ([]model.APDU, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	quiet := *c
	quiet.json = false // what is printed is what was written, not the pages
	var all []model.APDU
	for since := int64(1); ; since = all[len(all)-1].ID { // 0 would give the newest
		var page struct {
			APDUs []model.APDU `json:"apdus"`
		}
		if _, err := quiet.callOn(ctx, conn, callTime, "trace", map[string]any{"modem": modem, "since": since, "limit": tracePage}, &page); err != nil {
			return nil, err
		}
		all = append(all, page.APDUs...)
		if len(page.APDUs) < tracePage {
			return all, nil
		}
	}
}

// exportTrace writes the trace as a capture file, readable by its owner only.
func (c *cli) exportTrace(ctx context.Context, modem, file string) error {
	all, err := c.wholeTrace(ctx, modem)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("nothing traced; `remsim trace on` starts it")
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	skipped, err := writePCAP(f, all)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if c.json {
		return c.printJSON(map[string]any{"file": file, "apdus": len(all) - skipped, "skipped": skipped})
	}
	fmt.Fprintf(c.out, "%d APDUs written to %s; bytes that the trace hides are zeros there\n", len(all)-skipped, file)
	if skipped > 0 {
		fmt.Fprintf(c.out, "%d commands without an answer are left out: the format cannot show them\n", skipped)
	}
	return nil
}
