package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// status is the reply of the method status.
type status struct {
	model.Snapshot
	Now    int64 `json:"time"`
	Uptime int64 `json:"uptime_s"`
}

func runStatus(ctx context.Context, c *cli, args []string) error {
	watch := false
	_, err := c.parse("status", args, 0, 0, func(fs *flag.FlagSet) {
		fs.BoolVar(&watch, "watch", false, "refresh in place until Ctrl-C")
	})
	if err != nil {
		return err
	}
	if watch {
		return c.watch(ctx)
	}
	var s status
	shown, err := c.call(ctx, callTime, "status", nil, &s)
	if err != nil || shown {
		return err
	}
	printStatus(c.out, &s)
	return nil
}

// refresh is how often the watched page is redrawn without a change, for the
// times on it.
const refresh = 5 * time.Second

// What ends the watched page, and the second one what is followed.
var (
	errLeft     = errors.New("the daemon left the bus")
	errBusEnded = errors.New("the connection to ubusd ended")
)

// watch shows the status anew with each change until ctx ends.
func (c *cli) watch(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	changed := make(chan struct{}, 1)
	gone := make(chan struct{})
	wake := func(string, ubus.Table) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if err := conn.Subscribe(ctx, object, wake, func() { close(gone) }); err != nil {
		return explain(err)
	}
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		var s status
		shown, err := c.callOn(ctx, conn, callTime, "status", nil, &s)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errAway): // before the bus told us so
			return errLeft
		case err != nil:
			return err
		}
		if !shown {
			c.redraw(&s)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return errLeft
		case <-conn.Done():
			return errBusEnded
		case <-changed:
		case <-tick.C:
		}
	}
}

// redraw replaces the page on a terminal and appends to anything else.
func (c *cli) redraw(s *status) {
	var page bytes.Buffer
	if terminal(c.out) {
		page.WriteString("\x1b[H\x1b[J")
	}
	printStatus(&page, s)
	_, _ = page.WriteTo(c.out) // one write: no flicker; a closed terminal ends us by signal
}

func printStatus(w io.Writer, s *status) {
	fmt.Fprintf(w, "remsim %s on %s: %s (up %s)\n  %s\n", s.Version, s.DeviceID, s.State, span(s.Uptime), s.Reason)
	fmt.Fprintln(w, "\nmodems")
	if len(s.Modems) == 0 {
		fmt.Fprintln(w, "  none configured")
	}
	for _, m := range s.Modems {
		printModem(w, m)
	}
	if len(s.Sessions) > 0 {
		fmt.Fprintln(w, "\nsessions")
	}
	for _, x := range s.Sessions {
		printSession(w, x, s.Now)
	}
	printMesh(w, s)
	printBudgets(w, s.Budget)
	fmt.Fprintf(w, "\nhealth %d of 100\n", s.Health.Score)
	for _, f := range s.Health.Findings {
		fmt.Fprintf(w, "  %-8s %s: %s (for %s)\n           %s\n", f.Severity, f.Subject, f.Text, span(s.Now-f.Since), f.Fix)
	}
}

func printModem(w io.Writer, m model.Modem) {
	fmt.Fprintf(w, "  %-10s %-8s %s card", m.Name, m.Role, m.Card.Source)
	if m.Card.Source == model.SourceRemote {
		fmt.Fprintf(w, " %s", m.Card.State)
		if m.Card.ICCID != "" {
			fmt.Fprintf(w, ", ICCID %s", m.Card.ICCID)
		}
		if m.Card.Front != "" {
			fmt.Fprintf(w, ", front %s", m.Card.Front)
		} else if m.Card.Detail != "" {
			fmt.Fprintf(w, ", no front: %s", m.Card.Detail)
		}
	}
	fmt.Fprintln(w)
}

func printSession(w io.Writer, x model.Session, now int64) {
	fmt.Fprintf(w, "  %-10s %s", x.Modem, x.State)
	if x.Client != nil {
		fmt.Fprintf(w, ", client %d slot %d", x.Client.ID, x.Client.Slot)
	}
	if x.Bank != nil {
		fmt.Fprintf(w, ", bank %d slot %d", x.Bank.ID, x.Bank.Slot)
	}
	fmt.Fprintln(w)
	printPeer(w, "server", x.Server, now)
	printPeer(w, "bank", x.Bankd, now)
	fmt.Fprintf(w, "             commands: %d sent, %d answered, %d errors", x.TPDU.Sent, x.TPDU.Received, x.TPDU.Errors)
	if x.TPDU.Received > 0 {
		fmt.Fprintf(w, ", round trip %.1f ms (p50) %.1f ms (p99)", x.TPDU.RTTp50, x.TPDU.RTTp99)
	}
	fmt.Fprintln(w)
}

func printMesh(w io.Writer, s *status) {
	if len(s.IonMesh.Clients) == 0 {
		return
	}
	fmt.Fprintf(w, "\norchestrator %s: %s", s.IonMesh.URL, s.IonMesh.State)
	if s.IonMesh.LastBeat > 0 {
		fmt.Fprintf(w, ", last heard %s ago (%s)", span(s.Now-s.IonMesh.LastBeat), s.IonMesh.Transport)
	}
	if s.IonMesh.NextBeat > 0 {
		fmt.Fprintf(w, ", next beat in %s", span(int64(s.IonMesh.NextBeat)))
	}
	fmt.Fprintln(w)
	for _, c := range s.IonMesh.Clients {
		fmt.Fprintf(w, "  %-10s %s as %s", c.Modem, c.State, c.ClientID)
		if c.Bank != nil {
			fmt.Fprintf(w, ", bank %d slot %d", c.Bank.ID, c.Bank.Slot)
		}
		if c.Lease != nil {
			fmt.Fprintf(w, ", lease %s for %s, epoch %d", c.Lease.ID, span(c.Lease.Until-s.Now), c.Lease.Epoch)
		}
		if c.Reason != "" {
			fmt.Fprintf(w, ": %s", c.Reason)
		}
		fmt.Fprintln(w)
	}
}

func printPeer(w io.Writer, name string, p model.Peer, now int64) {
	if p.Address == "" {
		return
	}
	secure := "clear text"
	if p.TLS {
		secure = "TLS"
	}
	fmt.Fprintf(w, "             %-7s %s %s", name, p.Address, p.State)
	if p.Since > 0 {
		fmt.Fprintf(w, " for %s", span(now-p.Since))
	}
	fmt.Fprintf(w, ", %s", secure)
	if p.Reason != "" {
		fmt.Fprintf(w, ": %s", p.Reason)
	}
	fmt.Fprintln(w)
}

// span writes a duration in seconds as a person would.
func span(s int64) string {
	switch {
	case s < 0:
		return "0 s"
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s < 7200:
		return fmt.Sprintf("%d min", s/60)
	case s < 172800:
		return fmt.Sprintf("%d h", s/3600)
	}
	return fmt.Sprintf("%d days", s/86400)
}
