package main

import (
	"context"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func runLinks(ctx context.Context, c *cli, args []string) error {
	if _, err := c.parse("links", args, 0, 0, nil); err != nil {
		return err
	}
	var s status
	shown, err := c.call(ctx, callTime, "status", nil, &s)
	if err != nil || shown {
		return err
	}
	if len(s.Links) == 0 {
		fmt.Fprintln(c.out, "no link is configured: give the modems their option network, or add a config link")
		return nil
	}
	f := s.Failover
	fmt.Fprintf(c.out, "failover %s: control over %s, user traffic over %s\n  %s\n", f.State, dash(f.Control), dash(f.Data), f.Reason)
	if f.GraceLeft > 0 {
		fmt.Fprintf(c.out, "  grace ends in %d s\n", f.GraceLeft)
	}
	for _, l := range s.Links {
		c.printLink(l, f.Candidates)
		for _, b := range s.Budget {
			if b.Link == l.Name {
				fmt.Fprintf(c.out, "  month     %s\n", budgetText(b))
			}
		}
	}
	return nil
}

// printLink shows one link and what the failover thinks of it for each role.
func (c *cli) printLink(l model.Link, candidates []model.Candidate) {
	state := "usable"
	if !l.Usable {
		state = "not usable: " + l.Reason
	}
	fmt.Fprintf(c.out, "%s (%s): %s, since %s\n", l.Name, dash(l.Device), state, time.Unix(l.Since, 0).Format("2006-01-02 15:04:05"))
	fmt.Fprintf(c.out, "  carries   %s\n", l.Role)
	if l.RTT != nil || l.Loss != nil {
		fmt.Fprintf(c.out, "  probes    %s\n", probesText(l))
	}
	if l.RxBytes+l.TxBytes > 0 {
		fmt.Fprintf(c.out, "  counted   %s in, %s out\n", megabytes(l.RxBytes), megabytes(l.TxBytes))
	}
	for _, k := range candidates {
		if k.Link == l.Name {
			fmt.Fprintf(c.out, "  %-9s %s\n", k.Role, k.Reason)
		}
	}
}

func probesText(l model.Link) string {
	text := ""
	if l.RTT != nil {
		text = fmt.Sprintf("round trip %.0f ms", *l.RTT)
	}
	if l.Loss != nil {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%.0f %% lost", *l.Loss*100)
	}
	return text
}

func runSwitch(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("switch", args, 2, 2, nil)
	if err != nil {
		return err
	}
	return c.ordered(ctx, "switch", map[string]any{"role": words[0], "link": words[1]}, "switched; see `remsim links`")
}
