package model

import "time"

// TLSFiles are the files of one TLS connection. Empty CA means the system's.
type TLSFiles struct {
	CA   string
	Cert string
	Key  string
}

// Endpoint is where an RSPRO peer listens.
type Endpoint struct {
	Host string // name, IPv4 or IPv6 address without brackets
	Port uint16
	TLS  *TLSFiles     // nil: clear text
	Ping time.Duration // keep-alive interval; 0: send none
}

// BankAssignment names the slot that a modem's card sits in, and its bank.
type BankAssignment struct {
	Slot     BankSlot
	Endpoint Endpoint
	By       string // "config", "command", "ionmesh"
}

// SessionPlan is what one modem's RSPRO session shall reach. It is a level:
// applying it twice changes nothing.
type SessionPlan struct {
	Online  bool // false: close everything, in order
	Client  ClientSlot
	Servers []Endpoint // in order of preference; none: the bank is assigned directly
	// Bank is an assignment that does not come from a server; it wins over
	// the server's. Nil: the server decides.
	Bank *BankAssignment
	// Corrections replace host, port and TLS of a bank that a server
	// announces, by bank id. Port 0 and an empty host keep what was announced.
	Corrections map[uint16]Endpoint
	// BankDefaults apply to an announced bank without a correction: TLS and Ping.
	BankDefaults Endpoint
	// PlainLoopback: an announced bank on this machine that no correction
	// names is reached in clear text whatever BankDefaults say.
	PlainLoopback bool
	// Unmapped: a person said `unmap`; the server's assignment is not used
	// until a new one comes.
	Unmapped bool
	// Path is the way to the bank, ServerPath that to the server; another one
	// (Path.Same) moves the connection. PathLost, ServerPathLost: the way before
	// this one carries nothing any more.
	Path, ServerPath         Path
	PathLost, ServerPathLost bool
	// Generation grows with each map, unmap and re-connect request.
	Generation int64
}

// CardPlan is what one modem's front shall show.
type CardPlan struct {
	Show        bool          // false: no card
	ATR         []byte        // overrides the bank's when not empty
	Hold        bool          // keep the card shown while the bank is away
	Limit       time.Duration // longest wait for the bank per command; 0: the front's own
	TraceActive bool          // record APDUs
	// Cache is how much of the card is kept on this side: "off" (or empty),
	// "safe" or "full" (docs/CACHE.md). StatusInterval is the time between two
	// STATUS commands that go to the card; those in between are answered here
	// unless the cache is off. 0: all go.
	Cache          string
	StatusInterval time.Duration
	// AuthPerHour bounds AUTHENTICATE and RUN GSM ALGORITHM: whoever has stolen a
	// session shall not use the card as an oracle (docs/KIPROXY.md). 0: no bound.
	AuthPerHour int
}
