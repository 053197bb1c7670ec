// Package at talks to a modem in AT commands over one serial port, for the
// times when ModemManager is absent or has let go of the port. It owns the
// port (one owner, exclusive), the command queue, unsolicited lines, the
// standard's numbers and the vendors' differences as data. It never decides
// when to ask what, and never sends a PIN, dials or writes to a card.
//
// One goroutine, Run, does everything in order: it opens the port, sends one
// command at a time, hands out unsolicited lines, and opens the port again
// after it went away. A late answer never answers the next command: after a
// timeout the port is brought back into step first (see session.resync).
package at

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNoPort: the port is not open now (unplugged, held by somebody else).
	ErrNoPort = errors.New("AT port is not open")
	// ErrLost: the port went away under the command.
	ErrLost = errors.New("AT port went away")
	// ErrTimeout: the modem did not answer in time.
	ErrTimeout = errors.New("no answer from the modem")
	// ErrHung: the modem answers nothing at all any more.
	ErrHung = errors.New("AT port does not answer")
	// ErrBusy: another process holds the port.
	ErrBusy = errors.New("AT port is held by another process")
	// ErrMalformed: the answer is not what the standard says.
	ErrMalformed = errors.New("malformed answer")
	// ErrUnsupported: the modem, or its profile, has no such command.
	ErrUnsupported = errors.New("modem does not support this")
	// ErrClosed: Run has ended.
	ErrClosed = errors.New("AT port is closed")
)

// Command is one AT command.
type Command struct {
	Text    string        // without "AT": "+CSQ"
	Shape   Shape         // of its information lines
	Timeout time.Duration // 0: DefaultTimeout
}

// Shape tells information lines from unsolicited ones.
type Shape int

// The shapes of an answer.
const (
	// Prefixed: lines begin with the command's own name, "+CSQ: ".
	Prefixed Shape = iota
	// Bare: lines without prefix, as +CGMI and +CIMI answer.
	Bare
	// Block: free text over many lines, as AT!GSTATUS? answers.
	Block
)

// DefaultTimeout suits commands that the modem answers from its memory.
const DefaultTimeout = 10 * time.Second

// prefix is the name of the command: letters up to "=", "?" or the end.
func (c Command) prefix() string {
	name, _, _ := strings.Cut(c.Text, "=")
	return strings.TrimRight(name, "?") + ":"
}

// name is what errors may show of a command: parameters can be secrets.
func (c Command) name() string {
	name, rest, set := strings.Cut(c.Text, "=")
	if set && rest != "?" {
		return "AT" + name + "=…"
	}
	return "AT" + c.Text
}

// valid keeps a command from smuggling in a second one.
func (c Command) valid() error {
	if c.Text == "" || len(c.Text) > 512 || strings.ContainsFunc(c.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("command %.20q: %w", c.Text, ErrMalformed)
	}
	return nil
}

// Doer sends a command and returns its information lines. Conn is one.
type Doer interface {
	Do(ctx context.Context, cmd Command) ([]string, error)
}
