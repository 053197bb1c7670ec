// Package health turns conditions into findings: what is wrong, how bad it is,
// since when, and what a person can do. It is pure: the engine passes the time
// and the findings of before.
package health

import (
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Condition says that something is so now.
type Condition struct {
	Code    string // one of Codes
	Subject string // modem, task, "config" or "remsim"
	Detail  string // what exactly, in words; may be empty
	Text    string // replaces the code's own text, where it would only repeat that
	Cause   string // code of the condition of the same subject that causes this one
}

// Compute makes the findings for the conditions that hold now, and adds those
// that another pure package has made (extra). A finding that
// was in before keeps its Since. One whose cause is found as well is hidden:
// the page shows roots, the diagnosis shows the tree.
func Compute(now time.Time, conditions []Condition, extra, before []model.Finding) model.Health {
	h := model.Health{Score: 100, Findings: []model.Finding{}}
	var roots []model.Finding
	for _, c := range conditions {
		if c.Cause == "" {
			roots = append(roots, finding(c))
		}
	}
	for _, f := range append(roots, extra...) {
		f.Since = now.Unix()
		for _, old := range before {
			if old.Code == f.Code && old.Subject == f.Subject {
				f.Since = old.Since
			}
		}
		h.Findings = append(h.Findings, f)
		h.Score -= weight[f.Severity]
	}
	h.Score = max(0, h.Score)
	return h
}

// weight is what one finding takes from the score of 100.
var weight = map[model.Severity]int{model.Critical: 40, model.Warning: 15, model.Info: 0}

// finding puts a condition into words.
func finding(c Condition) model.Finding {
	d := Lookup(c.Code)
	f := model.Finding{Code: c.Code, Severity: d.Severity, Subject: c.Subject, Text: d.Text, Fix: d.Fix, DependsOn: c.Cause}
	switch {
	case c.Text != "":
		f.Text = c.Text
	case c.Detail != "":
		f.Text = fmt.Sprintf("%s: %s", d.Text, c.Detail)
	}
	return f
}

// News lists the findings in now that were not in before, and those of before
// that are gone, the latter with the text "cleared: …" and severity info.
func News(before, now []model.Finding) []model.Finding {
	var out []model.Finding
	for _, f := range now {
		if !contains(before, f) {
			out = append(out, f)
		}
	}
	for _, f := range before {
		if !contains(now, f) {
			f.Text, f.Severity = "cleared: "+Lookup(f.Code).Text, model.Info
			out = append(out, f)
		}
	}
	return out
}

func contains(list []model.Finding, f model.Finding) bool {
	for _, g := range list {
		if g.Code == f.Code && g.Subject == f.Subject {
			return true
		}
	}
	return false
}
