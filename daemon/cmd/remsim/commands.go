package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// entry is one journal entry as `events` and the bus give it.
type entry struct {
	ID      int64             `json:"id"`
	Time    int64             `json:"time"`
	Kind    string            `json:"kind"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	Data    map[string]string `json:"data"`
	Count   int               `json:"count"`
}

func (c *cli) printEntry(e entry) {
	times := ""
	if e.Count > 1 {
		times = fmt.Sprintf(" (%d times)", e.Count)
	}
	fmt.Fprintf(c.out, "%s  %-10s %-10s %s%s\n", time.Unix(e.Time, 0).Format("2006-01-02 15:04:05"), e.Kind, e.Subject, e.Text, times)
}

func runEvents(ctx context.Context, c *cli, args []string) error {
	kind, limit, follow := "", 100, false
	_, err := c.parse("events", args, 0, 0, func(fs *flag.FlagSet) {
		fs.StringVar(&kind, "kind", "", "only this kind")
		fs.IntVar(&limit, "limit", 100, "how many, 1..500")
		fs.BoolVar(&follow, "follow", false, "go on with what happens")
	})
	if err != nil {
		return err
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	live := make(chan entry, 64)
	if follow {
		take := func(_ string, t ubus.Table) {
			var e entry
			if t.Decode(&e) == nil && (kind == "" || e.Kind == kind) {
				select {
				case live <- e:
				case <-ctx.Done():
				}
			}
		}
		if err := conn.Listen(ctx, object, take); err != nil {
			return explain(err)
		}
	}
	var reply struct {
		Events []entry `json:"events"`
	}
	shown, err := c.callOn(ctx, conn, callTime, "events", map[string]any{"limit": limit, "kind": kind}, &reply)
	if err != nil {
		return err
	}
	var last int64
	if !shown {
		for _, e := range reply.Events {
			c.printEntry(e)
			last = e.ID
		}
	}
	for follow {
		select {
		case <-ctx.Done():
			return nil
		case <-conn.Done():
			return fmt.Errorf("the connection to ubusd ended")
		case e := <-live:
			if e.ID <= last {
				continue // it was in the reply
			}
			if c.json {
				if err := c.printJSON(e); err != nil {
					return err
				}
				continue
			}
			c.printEntry(e)
		}
	}
	return nil
}

func runDoctor(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("doctor", args, 0, 1, nil)
	if err != nil {
		return err
	}
	var reply struct {
		Checks  []model.Check `json:"checks"`
		Verdict string        `json:"verdict"`
	}
	shown, err := c.call(ctx, callTime, "diagnose", map[string]string{"modem": word(words, 0)}, &reply)
	if err != nil || shown {
		return err
	}
	failed := false
	for _, k := range reply.Checks {
		mark := "ok  "
		if !k.OK {
			mark, failed = "FAIL", true
		}
		fmt.Fprintf(c.out, "%s  %-22s %s\n", mark, k.Name, k.Text)
		if k.Fix != "" {
			fmt.Fprintf(c.out, "      %-22s -> %s\n", "", k.Fix)
		}
	}
	fmt.Fprintf(c.out, "\n%s\n", reply.Verdict)
	if failed {
		return errFailed
	}
	return nil
}

func runTest(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("test", args, 1, 2, nil)
	if err != nil {
		return err
	}
	var reply struct {
		OK    bool         `json:"ok"`
		Steps []model.Step `json:"steps"`
	}
	shown, err := c.call(ctx, testTime, "test", map[string]string{"target": words[0], "name": word(words, 1)}, &reply)
	if err != nil || shown {
		return err
	}
	for _, s := range reply.Steps {
		mark := "ok  "
		if !s.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(c.out, "%s  %-18s %8.1f ms  %s\n", mark, s.Name, s.MS, s.Text)
	}
	if !reply.OK {
		return errFailed
	}
	return nil
}

// ordered sends a command and tells that it was taken.
func (c *cli) ordered(ctx context.Context, method string, args map[string]any, done string) error {
	var reply struct {
		Sequence int64 `json:"sequence"`
	}
	shown, err := c.call(ctx, callTime, method, args, &reply)
	if err == nil && !shown {
		fmt.Fprintf(c.out, "%s (see `remsim status`)\n", done)
	}
	return err
}

func runSim(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("sim", args, 1, 2, nil)
	if err != nil {
		return err
	}
	modem, source := "", words[0]
	if len(words) == 2 {
		modem, source = words[0], words[1]
	}
	return c.ordered(ctx, "sim", map[string]any{"modem": modem, "source": source}, "card source: "+source)
}

func runMap(ctx context.Context, c *cli, args []string) error {
	modem, host, port := "", "", 0
	words, err := c.parse("map", args, 2, 2, func(fs *flag.FlagSet) {
		fs.StringVar(&modem, "modem", "", "which modem, if several use remote cards")
		fs.StringVar(&host, "host", "", "address of the bank; default: that of the configured bank")
		fs.IntVar(&port, "port", 0, "port of the bank; default: that of the configured bank, else 9999")
	})
	if err != nil {
		return err
	}
	bank, err1 := strconv.Atoi(words[0])
	slot, err2 := strconv.Atoi(words[1])
	if err1 != nil || err2 != nil {
		fmt.Fprintf(c.err, "remsim map: bank %q and slot %q must be numbers, 0..1023\n", words[0], words[1])
		return errUsage
	}
	return c.ordered(ctx, "map", map[string]any{"modem": modem, "host": host, "port": port, "bank_id": bank, "slot": slot},
		fmt.Sprintf("assigned: bank %d slot %d", bank, slot))
}

func runUnmap(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("unmap", args, 0, 1, nil)
	if err != nil {
		return err
	}
	return c.ordered(ctx, "unmap", map[string]any{"modem": word(words, 0)}, "remote card taken away")
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}
