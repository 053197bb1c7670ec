package client

import (
	"fmt"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// maxText bounds what a peer can put into the journal.
const maxText = 200

// printable keeps the printable ASCII of a peer's text, and not too much of it.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= maxText {
			b.WriteString("…")
			break
		}
		if r < ' ' || r >= 0x7f {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// errorText puts an errorInd into words.
func errorText(m *rspro.ErrorInd) string {
	text := fmt.Sprintf("%v reports a %v error: %v", m.Sender, m.Severity, m.Code)
	if m.BankSlot != nil {
		text += " at " + m.BankSlot.String()
	}
	if m.ClientSlot != nil {
		text += " at " + m.ClientSlot.String()
	}
	if m.ErrorString != nil {
		text += ": " + printable(*m.ErrorString)
	}
	return text
}

// notes lets one note a second through: a peer cannot flood the journal.
type notes struct {
	last    time.Time
	dropped int
}

// note tells the journal, unless there have been too many. It is for the reading
// goroutine.
func (c *conn) note(kind, text string) {
	now := time.Now()
	if now.Sub(c.notes.last) < time.Second {
		c.notes.dropped++
		return
	}
	if c.notes.dropped > 0 {
		text = fmt.Sprintf("%s (and %d more messages before it)", text, c.notes.dropped)
	}
	c.notes = notes{last: now}
	c.s.note(kind, text)
}
