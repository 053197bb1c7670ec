package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// printBudgets shows what the links have carried this month.
func printBudgets(w io.Writer, budgets []model.Budget) {
	if len(budgets) > 0 {
		fmt.Fprintln(w, "\nthis month")
	}
	for _, b := range budgets {
		fmt.Fprintf(w, "  %-10s %s\n", b.Link, budgetText(b))
	}
}

// budgetText is one account in a line: how much, of what, and what for.
func budgetText(b model.Budget) string {
	if b.State == "uncounted" {
		return "not counted"
	}
	text := megabytes(b.Month)
	if b.Limit > 0 {
		text += fmt.Sprintf(" of %s, %s", megabytes(b.Limit), budgetWord(b.State))
	}
	text += fmt.Sprintf(", %s by its end at this rate", megabytes(b.Forecast))
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(b.Purposes)) {
		parts = append(parts, p+" "+megabytes(b.Purposes[p]))
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

func budgetWord(state string) string {
	switch state {
	case "near":
		return "nearly used up"
	case "reached":
		return "used up"
	}
	return state
}

// megabytes are decimal, as carriers bill them.
func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }
