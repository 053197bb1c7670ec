package model

import "time"

// MeshState is how a router stands with its orchestrator.
type MeshState string

// The states, from the contract.
const (
	MeshOff         MeshState = "off"
	MeshRegistering MeshState = "registering" // no answer yet
	MeshRegistered  MeshState = "registered"
	MeshSilent      MeshState = "silent"  // it answered before and does not now
	MeshRefused     MeshState = "refused" // it answers, and says no
)

// MeshAddress is where an orchestrator says that a bank or server listens.
type MeshAddress struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
	TLS  bool   `json:"tls"` // the orchestrator says so; false leaves it to the configuration
}

// MeshCard is the card that an orchestrator has given to a modem: where it lies
// and how it is reached.
type MeshCard struct {
	Bank BankSlot `json:"bank"`
	// Client is who reaches it; nil: the orchestrator leaves that to the
	// configuration.
	Client *ClientSlot `json:"client,omitempty"`
	Bankd  MeshAddress `json:"bankd"`
	// Server is the RSPRO server that makes the assignment; nil: the bank is
	// reached directly.
	Server *MeshAddress `json:"server,omitempty"`
}

// Same tells whether two cards are one, reached the same way.
func (c *MeshCard) Same(d *MeshCard) bool {
	if c == nil || d == nil {
		return c == d
	}
	return c.Bank == d.Bank && c.Bankd == d.Bankd && equal(c.Client, d.Client) && equal(c.Server, d.Server)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// MeshMember is one modem that the orchestrator gives a card to.
type MeshMember struct {
	Modem    string
	ClientID string // towards the orchestrator
}

// IonMeshPlan is what the client of the orchestrator shall reach. It is a level.
type IonMeshPlan struct {
	Online        bool // false: nothing is sent
	URL           string
	TLS           *TLSFiles // nil: clear text
	AllowInsecure bool      // clear text off loopback is wanted
	KeyFile       string    // holds the API key; "" for none
	TenantID      int
	Mode          string // mapping_mode
	MCCMNC        string
	Members       []MeshMember
	Interval      time.Duration // between beats, unless the orchestrator asks for another
	Timeout       time.Duration // for an answer
	// Path is the way that connections take; another one moves them. PathLost:
	// the way before this one carries nothing any more.
	Path     Path
	PathLost bool
	// Generation grows with each wish to register anew.
	Generation int64
}

// MeshStats is what a beat tells of a modem.
type MeshStats struct {
	Status     string // active, warning or error
	Uptime     int64  // seconds
	Sent       int64  // command TPDUs
	Received   int64
	Errors     int64
	RSSI, RSRP int // dBm; 0: not known
	DataRx     int64
	DataTx     int64
}

// IonMeshChanged: how one modem stands with the orchestrator.
type IonMeshChanged struct {
	At
	Modem     string
	ClientID  string
	URL       string
	State     MeshState
	Transport string // "rest" or "lean"; "" before the first answer
	LastBeat  time.Time
	NextBeat  time.Time
	// Code is the finding that names what went wrong last, without "ionmesh-";
	// "" when the last exchange went well. Reason says it in words.
	Code, Reason string
}

// LeaseChanged: what a modem has been given by the orchestrator, and whether it
// may use it now.
type LeaseChanged struct {
	At
	Modem string
	Card  *MeshCard // nil: none
	May   bool      // the card may be used now
	// Why not, in words, and its finding code without "ionmesh-".
	Code, Reason string
	// ID, Epoch and Ends describe the lease. Ends is by the system's clock, for
	// people; zero: there is no lease.
	ID    string
	Epoch int64
	Ends  time.Time
	Near  bool // the lease is near its end and was not renewed
}

// MeshOrderDone: a command of the orchestrator was carried out or refused.
type MeshOrderDone struct {
	At
	Modem   string
	ID      string
	Command string
	Status  string // done refused failed expired
	Message string
}

// Moved asks for the card that an orchestrator's command names, as MapBank does.
type Moved struct {
	Modem string
	Card  MeshCard
}

// Target names the modem.
func (c Moved) Target() string { return c.Modem }

// Codes of what can go wrong with the orchestrator. With "ionmesh-" before them
// they are finding codes; those of package net and TLS are the peers' (PeerDNSFailed …).
const (
	MeshKeyRefused    = "key-refused"
	MeshKeyFile       = "key-file"
	MeshTenantUnknown = "tenant-unknown"
	MeshNoSlot        = "no-slot"
	MeshPoolExhausted = "pool-exhausted"
	MeshBusy          = "busy"
	MeshRequest       = "request-refused"
	MeshBadAnswer     = "bad-answer"
	MeshRedirected    = "redirected"
	MeshTimeout       = "timeout"
	MeshSilentLong    = "silent"
	MeshLeaseNear     = "lease-near-end"
	MeshLeaseEnded    = "lease-ended"
	MeshLeaseUnproven = "lease-unproven"
	MeshStaleEpoch    = "stale-epoch"
	MeshOrderRefused  = "command-refused"
	MeshClearText     = "clear-text"
	MeshUnstored      = "not-stored"
)
