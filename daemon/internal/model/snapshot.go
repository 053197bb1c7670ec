package model

import "time"

// State is the daemon's overall state.
type State string

// The overall states, from the contract.
const (
	StateStarting    State = "starting"
	StateWaiting     State = "waiting"      // no card assigned yet
	StateOperational State = "operational"  // every remote card is at work
	StateRideThrough State = "ride_through" // bank or every control path lost, card held
	StateDegraded    State = "degraded"     // works, or held too long; a person is needed
	StateStopped     State = "stopped"      // disabled, or no valid configuration
)

// Snapshot is the whole published state. It is immutable: the engine makes a
// new one for each change and readers share the pointer.
type Snapshot struct {
	Version  string    `json:"version"`
	Sequence int64     `json:"sequence"` // never repeats, across restarts too
	Time     time.Time `json:"-"`        // when it was made
	Started  time.Time `json:"-"`        // when the daemon started
	// GraceEnds is when a ride-through that runs now ends; zero: none runs. The
	// reply tells failover.grace_left_s from it.
	GraceEnds time.Time `json:"-"`
	DeviceID  string    `json:"device_id"`
	State     State     `json:"state"`
	Reason    string    `json:"reason"` // one sentence
	Modems    []Modem   `json:"modems"`
	Links     []Link    `json:"links"`
	Failover  Failover  `json:"failover"`
	Sessions  []Session `json:"sessions"`
	IonMesh   IonMesh   `json:"ionmesh"`
	Budget    []Budget  `json:"budget"`
	Health    Health    `json:"health"`
}

// Modem is one configured modem as seen now.
type Modem struct {
	Name             string `json:"name"`
	Role             Role   `json:"role"`
	Present          bool   `json:"present"`
	State            string `json:"state"` // ModemManager's name, or "absent"
	Model            string `json:"model"`
	Manufacturer     string `json:"manufacturer"`
	Revision         string `json:"revision"`
	Operator         string `json:"operator"`
	AccessTechnology string `json:"access_technology"`
	Registration     string `json:"registration"`
	RejectCause      string `json:"reject_cause"`
	Signal           Signal `json:"signal"`
	Card             Card   `json:"card"`
	Network          string `json:"network"` // netifd interface
	Device           string `json:"device"`
}

// Role is what a modem is there for.
type Role string

// The two roles.
const (
	RolePrimary Role = "primary" // user traffic
	RoleIoT     Role = "iot"     // control traffic
)

// Signal holds what the modem measures; nil means not measured.
type Signal struct {
	RSSI    *float64 `json:"rssi_dbm,omitempty"`
	RSRP    *float64 `json:"rsrp_dbm,omitempty"`
	RSRQ    *float64 `json:"rsrq_db,omitempty"`
	SINR    *float64 `json:"sinr_db,omitempty"`
	Quality *int     `json:"quality,omitempty"` // per cent
}

// CardState is what a modem's card is doing.
type CardState string

// The card states, from the contract.
const (
	CardNone    CardState = "none"    // no remote card wanted here
	CardAbsent  CardState = "absent"  // wanted, none assigned or in the bank
	CardPresent CardState = "present" // shown to the modem, not powered by it
	CardPowered CardState = "powered" // powered, held in reset
	CardReset   CardState = "reset"   // being reset
	CardReady   CardState = "ready"   // powered and answering
	CardLost    CardState = "lost"    // bank gone, card held
)

// Source says which card a modem shall use.
type Source string

// The two sources.
const (
	SourceRemote Source = "remote"
	SourceLocal  Source = "local"
)

// Card is the card of a modem.
type Card struct {
	Source Source `json:"source"`
	Front  string `json:"front"` // kind of the front in use, "" for a local card
	// FrontDevice is what the front opens; FrontDetail, with front auto, why this one.
	FrontDevice string `json:"front_device,omitempty"`
	FrontDetail string `json:"front_detail,omitempty"`

	State  CardState `json:"state"`
	ICCID  ICCID     `json:"iccid"` // masked in JSON
	ATR    string    `json:"atr"`   // hex
	Detail string    `json:"detail,omitempty"`
}

// Link is a way to the network.
type Link struct {
	Name    string   `json:"name"`
	Modem   string   `json:"modem"`
	Device  string   `json:"device"`
	Up      bool     `json:"up"`
	Usable  bool     `json:"usable"`
	Role    string   `json:"role"` // data control both none
	Reason  string   `json:"reason"`
	Since   int64    `json:"since"` // Unix seconds
	Loss    *float64 `json:"loss,omitempty"`
	RTT     *float64 `json:"rtt_ms,omitempty"`
	RxBytes int64    `json:"rx_bytes"`
	TxBytes int64    `json:"tx_bytes"`
}

// Failover is which link carries what, and why.
type Failover struct {
	Data       string      `json:"data"`    // link that carries user traffic
	Control    string      `json:"control"` // link that carries control traffic
	State      string      `json:"state"`
	Reason     string      `json:"reason"`
	Since      int64       `json:"since"`
	GraceLeft  int         `json:"grace_left_s"`
	Switches   int64       `json:"switches"`
	Candidates []Candidate `json:"candidates"`
}

// Candidate is one link considered for a role.
type Candidate struct {
	Link   string `json:"link"`
	Role   string `json:"role"`
	Usable bool   `json:"usable"`
	Reason string `json:"reason"`
}

// ConnState is the state of one RSPRO connection.
type ConnState string

// The connection states, from the contract.
const (
	ConnIdle       ConnState = "idle"
	ConnConnecting ConnState = "connecting"
	ConnConnected  ConnState = "connected"
	ConnRefused    ConnState = "refused" // the peer answered with a result that is not ok
	ConnBackoff    ConnState = "backoff"
)

// ClientSlot is an RSPRO client slot; both numbers are 0..1023.
type ClientSlot struct {
	ID   uint16 `json:"id"`
	Slot uint16 `json:"slot"`
}

// BankSlot is a slot of a bank; both numbers are 0..1023.
type BankSlot struct {
	ID   uint16 `json:"id"`
	Slot uint16 `json:"slot"`
}

// Peer is one end that a session talks to.
type Peer struct {
	State   ConnState `json:"state"`
	Address string    `json:"address"` // host:port
	TLS     bool      `json:"tls"`
	Reason  string    `json:"reason,omitempty"` // why it is not connected
	Since   int64     `json:"since"`            // Unix seconds of the last change of State
}

// TPDU counts what passed between front and bank.
type TPDU struct {
	Sent     int64   `json:"sent"`
	Received int64   `json:"received"`
	Errors   int64   `json:"errors"`
	Cached   int64   `json:"cached"` // commands answered on this side, from what the card said before
	Auth     int64   `json:"auth"`   // AUTHENTICATE and RUN GSM ALGORITHM that went to the card
	RTTp50   float64 `json:"rtt_p50_ms"`
	RTTp99   float64 `json:"rtt_p99_ms"`
}

// Session is one modem's RSPRO session.
type Session struct {
	Modem  string      `json:"modem"`
	State  ConnState   `json:"state"` // connected: the card is reached
	Client *ClientSlot `json:"client,omitempty"`
	Bank   *BankSlot   `json:"bank,omitempty"`
	Server Peer        `json:"server"`
	Bankd  Peer        `json:"bankd"`
	TPDU   TPDU        `json:"tpdu"`
}

// IonMesh is the state towards the orchestrator.
type IonMesh struct {
	State    string `json:"state"` // off registering registered silent refused
	URL      string `json:"url"`
	LastBeat int64  `json:"last_beat"`
	NextBeat int    `json:"next_beat_s"`
	Lease    *Lease `json:"lease,omitempty"`
	// Transport is rest or lean; "" before the first answer.
	Transport string       `json:"transport,omitempty"`
	Clients   []MeshClient `json:"clients,omitempty"`
	// NextBeatAt is when; the reply tells next_beat_s from it.
	NextBeatAt time.Time `json:"-"`
}

// MeshClient is one modem towards the orchestrator.
type MeshClient struct {
	Modem    string    `json:"modem"`
	ClientID string    `json:"client_id"`
	State    MeshState `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Bank     *BankSlot `json:"bank,omitempty"`
	Lease    *Lease    `json:"lease,omitempty"`
}

// Lease is the right to use one card until a time.
type Lease struct {
	ID    string `json:"id"`
	Until int64  `json:"until"`
	Epoch int64  `json:"epoch"`
}

// Budget is one link's allowance.
type Budget struct {
	Link     string           `json:"link"`
	Month    int64            `json:"month_bytes"`
	Limit    int64            `json:"limit_bytes"`
	Forecast int64            `json:"forecast_bytes"`
	State    string           `json:"state"`
	Purposes map[string]int64 `json:"purposes"`
}

// Severity of a finding.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Finding is something a person should know, computed from the snapshot.
type Finding struct {
	Code      string   `json:"code"`
	Severity  Severity `json:"severity"`
	Subject   string   `json:"subject"`
	Text      string   `json:"text"`
	Since     int64    `json:"since"` // Unix seconds
	Fix       string   `json:"fix"`
	DependsOn string   `json:"-"` // code/subject of the finding that causes this one
}

// Health is the list of findings and a score of 0 (nothing works) to 100.
type Health struct {
	Score    int       `json:"score"`
	Findings []Finding `json:"findings"`
}
