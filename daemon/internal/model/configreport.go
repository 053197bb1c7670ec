package model

import "fmt"

// Problem is one thing wrong with the configuration. The ubus method `config`
// and `remsim config check` show all of them at once.
type Problem struct {
	Section string `json:"section"` // as `uci` names it: "primary" or "@server[0]"; "" for the file
	Option  string `json:"option"`  // "" when the section as a whole is meant
	Value   string `json:"value"`   // as written; secrets and identities masked
	Message string `json:"message"` // what is wrong and what is accepted
	Line    int    `json:"-"`       // in the file, from 1; 0: something that is not there
	Warning bool   `json:"-"`       // the configuration can be used all the same
}

// String writes the problem as one line for a log or a terminal.
func (p Problem) String() string {
	where := "remsim"
	if p.Section != "" {
		where += "." + p.Section
	}
	if p.Option != "" {
		where += "." + p.Option
	}
	if p.Value != "" {
		where += fmt.Sprintf("=%q", p.Value)
	}
	if p.Line > 0 {
		where += fmt.Sprintf(" (line %d)", p.Line)
	}
	if p.Warning {
		return where + ": warning: " + p.Message
	}
	return where + ": " + p.Message
}

// Cost is what one setting costs: the longest time that something stays
// unnoticed because of it, and what it sends and receives in a month of 30 days.
type Cost struct {
	Setting string  `json:"setting"`
	Seconds float64 `json:"seconds"`
	MBMonth float64 `json:"mb_month"` // decimal megabytes, both directions, at the IP layer
}
