package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// runModems shows each modem: what it is, where it stands, how well it hears,
// and what is wrong with it.
func runModems(ctx context.Context, c *cli, args []string) error {
	if _, err := c.parse("modems", args, 0, 0, nil); err != nil {
		return err
	}
	var s status
	shown, err := c.call(ctx, callTime, "status", nil, &s)
	if err != nil || shown {
		return err
	}
	for _, m := range s.Modems {
		printHardware(c.out, m)
		for _, f := range s.Health.Findings {
			if f.Subject == m.Name || m.Device != "" && f.Subject == m.Device {
				fmt.Fprintf(c.out, "  %s: %s\n    -> %s\n", f.Severity, f.Text, f.Fix)
			}
		}
	}
	for _, f := range s.Health.Findings {
		if f.Subject == "modemmanager" || f.Code == "modem-unclaimed" {
			fmt.Fprintf(c.out, "%s: %s: %s\n  -> %s\n", f.Severity, f.Subject, f.Text, f.Fix)
		}
	}
	if len(s.Modems) == 0 {
		fmt.Fprintln(c.out, "no modem is configured")
	}
	return nil
}

func printHardware(w io.Writer, m model.Modem) {
	fmt.Fprintf(w, "%s (%s): %s\n", m.Name, m.Role, m.State)
	if m.Present {
		fmt.Fprintf(w, "  hardware  %s %s, firmware %s\n  device    %s\n", m.Manufacturer, m.Model, dash(m.Revision), m.Device)
		fmt.Fprintf(w, "  network   %s, %s, %s", dash(m.Registration), dash(m.Operator), dash(m.AccessTechnology))
		if m.RejectCause != "" {
			fmt.Fprintf(w, ", reject cause %s", m.RejectCause)
		}
		fmt.Fprintf(w, "\n  signal    %s\n", signalText(m.Signal))
	}
	fmt.Fprintf(w, "  card      %s", m.Card.Source)
	if m.Card.State != model.CardNone {
		fmt.Fprintf(w, ", %s", m.Card.State)
	}
	if m.Card.ICCID != "" {
		fmt.Fprintf(w, ", ICCID %s", string(m.Card.ICCID))
	}
	fmt.Fprintln(w)
}

// signalText writes what was measured.
func signalText(s model.Signal) string {
	var parts []string
	add := func(name string, v *float64, unit string) {
		if v != nil {
			parts = append(parts, fmt.Sprintf("%s %.0f %s", name, *v, unit))
		}
	}
	if s.Quality != nil {
		parts = append(parts, fmt.Sprintf("%d %%", *s.Quality))
	}
	add("RSSI", s.RSSI, "dBm")
	add("RSRP", s.RSRP, "dBm")
	add("RSRQ", s.RSRQ, "dB")
	add("SINR", s.SINR, "dB")
	if len(parts) == 0 {
		return "not measured"
	}
	return strings.Join(parts, ", ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func runReset(ctx context.Context, c *cli, args []string) error {
	method := "auto"
	words, err := c.parse("reset", args, 0, 1, func(fs *flag.FlagSet) {
		fs.StringVar(&method, "method", "auto", "auto, soft, modemmanager, gpio or power")
	})
	if err != nil {
		return err
	}
	return c.ordered(ctx, "reset", map[string]any{"modem": word(words, 0), "method": method}, "reset asked for: "+method)
}

// runGPIO shows what would be done with a line. It never does it.
func runGPIO(ctx context.Context, c *cli, args []string) error {
	dry := true
	words, err := c.parse("gpio", args, 1, 2, func(fs *flag.FlagSet) {
		fs.BoolVar(&dry, "dry-run", true, "only show; lines are driven by sim and reset")
	})
	if err != nil {
		return err
	}
	modem, line := "", words[0]
	if len(words) == 2 {
		modem, line = words[0], words[1]
	}
	var p model.LinePlan
	shown, err := c.call(ctx, callTime, "gpio", map[string]any{"modem": modem, "line": line, "dry_run": dry}, &p)
	if err != nil || shown {
		return err
	}
	polarity := "active high"
	if p.ActiveLow {
		polarity = "active low"
	}
	fmt.Fprintf(c.out, "line %s: %s offset %d, now %s, %s, held by %s\n", p.Line, p.Chip, p.Offset, dash(p.Direction), polarity, orNobody(p.Consumer))
	for _, step := range p.Plan {
		fmt.Fprintf(c.out, "  would: %s\n", step)
	}
	for _, k := range p.Conflicts {
		fmt.Fprintf(c.out, "  CONFLICT: %s\n", k)
	}
	if len(p.Conflicts) > 0 {
		return errFailed
	}
	return nil
}

func orNobody(s string) string {
	if s == "" {
		return "nobody"
	}
	return s
}

func runHistory(ctx context.Context, c *cli, args []string) error {
	span := "1h"
	words, err := c.parse("history", args, 2, 2, func(fs *flag.FlagSet) {
		fs.StringVar(&span, "range", "1h", "1h, 6h, 24h or 7d")
	})
	if err != nil {
		return err
	}
	var a struct {
		Unit   string       `json:"unit"`
		Step   int          `json:"step_s"`
		Points [][4]float64 `json:"points"`
	}
	shown, err := c.call(ctx, callTime, "history", map[string]any{"metric": words[0], "subject": words[1], "range": span}, &a)
	if err != nil || shown {
		return err
	}
	fmt.Fprintf(c.out, "%s of %s in %s, steps of %d s: time, minimum, average, maximum\n", words[0], words[1], a.Unit, a.Step)
	for _, p := range a.Points {
		fmt.Fprintf(c.out, "%s %9.1f %9.1f %9.1f\n", time.Unix(int64(p[0]), 0).Format("2006-01-02 15:04:05"), p[1], p[2], p[3])
	}
	if len(a.Points) == 0 {
		fmt.Fprintln(c.out, "nothing was measured yet")
	}
	return nil
}
