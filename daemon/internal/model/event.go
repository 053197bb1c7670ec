package model

import "time"

// Event is something that happened, stamped with the time it happened. Drivers
// make them, only the engine reads them.
type Event interface{ When() time.Time }

// At stamps an event; embed it.
type At struct{ Time time.Time }

// When returns the time of the event.
func (a At) When() time.Time { return a.Time }

// PeerKind tells the two RSPRO connections of a session apart.
type PeerKind string

// The two peers of a session.
const (
	PeerServer PeerKind = "server"
	PeerBankd  PeerKind = "bankd"
)

// PeerChanged: a session's connection to its server or bank changed state.
type PeerChanged struct {
	At
	Modem   string
	Peer    PeerKind
	State   ConnState
	Address string
	TLS     bool
	Reason  string // why, in words; "" when connected
	Code    string // finding code that names the failure, "" for none (see health)
}

// Assigned: the bank slot of a modem changed. Bank nil means none.
type Assigned struct {
	At
	Modem  string
	Client ClientSlot
	Bank   *BankSlot
	By     string // "server" (ConfigClientBankReq), "config", "command", "ionmesh"
}

// CardChanged: the card as its modem sees it changed.
type CardChanged struct {
	At
	Modem  string
	State  CardState
	Front  string // kind
	Device string
	ATR    string // hex
	ICCID  ICCID
	Reason string // why, in words
}

// FrontChanged: a card front opened its device or lost it.
type FrontChanged struct {
	At
	Modem  string
	Kind   string
	Device string
	Up     bool
	// Removes: the modem sees when this front's card goes. It may be known
	// only once the device is open.
	Removes bool
	Reason  string // why it is down
}

// FrontFault: something went wrong at a card front, or between it and the modem. One
// with an empty Reason clears the code; one with a Hold is over already, and shown for
// that long.
type FrontFault struct {
	At
	Modem  string
	Code   string // finding code
	Reason string // what exactly, in words
	Hold   time.Duration
}

// TPDUStats are a session's counters, reported at most once a second while
// commands pass and never when idle.
type TPDUStats struct {
	At
	Modem string
	TPDU  TPDU
}

// Noted is an observation for the journal only.
type Noted struct {
	At
	Kind    string
	Subject string
	Text    string
	Data    map[string]string
}

// TaskFailed: a task ended with an error and will be restarted.
type TaskFailed struct {
	At
	Task string
	Err  string
	Next time.Duration
}

// TaskRecovered: a task that had failed has been running well again.
type TaskRecovered struct {
	At
	Task string
}

// CommandMuted: a command of the modem got no answer in time; the modem was
// shown a card that does not answer.
type CommandMuted struct {
	At
	Modem  string
	Reason string
}
