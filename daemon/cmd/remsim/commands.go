package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	kind, limit, follow, failovers := "", 100, false, false
	_, err := c.parse("events", args, 0, 0, func(fs *flag.FlagSet) {
		fs.StringVar(&kind, "kind", "", "only this `KIND`: "+kinds())
		fs.BoolVar(&failovers, "failover", false, "only the records of failovers, the same as --kind failover")
		fs.IntVar(&limit, "limit", 100, "how many, `N` of 1..500")
		fs.BoolVar(&follow, "follow", false, "go on with what happens, until Ctrl-C")
	})
	if err != nil {
		return err
	}
	if failovers {
		kind = model.KindFailover
	}
	if kind != "" && !slices.Contains(strings.Fields(kinds()), kind) {
		fmt.Fprintf(c.err, "remsim events: kind %q is not one of %s\n", kind, kinds())
		return errUsage
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
	for _, e := range reply.Events {
		if !shown {
			c.printEntry(e)
		}
		last = e.ID
	}
	for follow {
		select {
		case <-ctx.Done():
			return nil
		case <-conn.Done():
			return errBusEnded
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

// kinds lists the kinds of journal entries.
func kinds() string {
	var names []string
	for _, k := range model.EventKinds {
		names = append(names, k.Kind)
	}
	return strings.Join(names, " ")
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
	if err != nil {
		return err
	}
	if !shown {
		c.printChecks(reply.Checks)
		fmt.Fprintf(c.out, "\n%s\n", reply.Verdict)
	}
	if slices.ContainsFunc(reply.Checks, func(k model.Check) bool { return !k.OK }) {
		return errFailed
	}
	return nil
}

func (c *cli) printChecks(checks []model.Check) {
	for _, k := range checks {
		fmt.Fprintf(c.out, "%s  %-22s %s\n", mark(k.OK), k.Name, k.Text)
		if k.Fix != "" {
			fmt.Fprintf(c.out, "      %-22s -> %s\n", "", k.Fix)
		}
	}
}

func mark(ok bool) string {
	if ok {
		return "ok  "
	}
	return "FAIL"
}

func runTest(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("test", args, 1, 2, nil)
	if err != nil {
		return err
	}
	return c.tried(ctx, words[0], word(words, 1))
}

// tried has the daemon try one thing out and prints the steps.
func (c *cli) tried(ctx context.Context, target, name string) error {
	var reply struct {
		OK    bool         `json:"ok"`
		Steps []model.Step `json:"steps"`
	}
	shown, err := c.call(ctx, testTime, "test", map[string]string{"target": target, "name": name}, &reply)
	if err != nil {
		return err
	}
	for _, s := range reply.Steps {
		took := ""
		if s.MS > 0 {
			took = fmt.Sprintf("%.1f ms", s.MS)
		}
		if !shown {
			fmt.Fprintf(c.out, "%s  %-12s %11s  %s\n", mark(s.OK), s.Name, took, s.Text)
		}
	}
	if !reply.OK {
		return errFailed
	}
	return nil
}

// ordered sends a command and tells that it was taken, and where its effect is
// to be seen.
func (c *cli) ordered(ctx context.Context, method string, args map[string]any, done string) error {
	var reply struct {
		Sequence int64 `json:"sequence"`
	}
	shown, err := c.call(ctx, callTime, method, args, &reply)
	if err == nil && !shown {
		fmt.Fprintln(c.out, done)
	}
	return err
}

func runSim(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("sim", args, 1, 2, nil)
	if err != nil {
		return err
	}
	if words[0] == "test" {
		return c.tried(ctx, "card", word(words, 1))
	}
	modem, source := "", words[0]
	if len(words) == 2 {
		modem, source = words[0], words[1]
	}
	return c.ordered(ctx, "sim", map[string]any{"modem": modem, "source": source}, "card source: "+source+"; see `remsim status`")
}

func runMap(ctx context.Context, c *cli, args []string) error {
	modem, host, port := "", "", 0
	words, err := c.parse("map", args, 2, 2, func(fs *flag.FlagSet) {
		fs.StringVar(&modem, "modem", "", "which `MODEM`, if several use remote cards")
		fs.StringVar(&host, "host", "", "`HOST` that the bank runs on; default: that of the configured bank")
		fs.IntVar(&port, "port", 0, "`PORT` of the bank; default: that of the configured bank, else 9999")
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
		fmt.Sprintf("assigned: bank %d slot %d; see `remsim status`", bank, slot))
}

func runUnmap(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("unmap", args, 0, 1, nil)
	if err != nil {
		return err
	}
	return c.ordered(ctx, "unmap", map[string]any{"modem": word(words, 0)}, "remote card taken away; see `remsim status`")
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}
