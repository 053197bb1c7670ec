package rig

// Status is what tests look at in the reply of the ubus method status. Its keys
// are the contract's, not our code's.
type Status struct {
	Version  string    `json:"version"`
	Sequence int64     `json:"sequence"`
	DeviceID string    `json:"device_id"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Modems   []Modem   `json:"modems"`
	Sessions []Session `json:"sessions"`
	Links    []Link    `json:"links"`
	Failover struct {
		Data, Control, State, Reason string
		Switches                     int64
	} `json:"failover"`
	Health struct {
		Score    int       `json:"score"`
		Findings []Finding `json:"findings"`
	} `json:"health"`
}

// Link is one of the ways out.
type Link struct {
	Name, Device, Role, Reason string
	Up, Usable                 bool
}

// Link returns a link, the zero one if there is none.
func (s *Status) Link(name string) Link {
	for _, l := range s.Links {
		if l.Name == name {
			return l
		}
	}
	return Link{}
}

// Modem is one of the modems.
type Modem struct {
	Name string `json:"name"`
	Card struct {
		Source, Front, State, ICCID, ATR string
	} `json:"card"`
}

// Session is one of the sessions.
type Session struct {
	Modem  string `json:"modem"`
	State  string `json:"state"`
	Client *Slot  `json:"client"`
	Bank   *Slot  `json:"bank"`
	Server Peer   `json:"server"`
	Bankd  Peer   `json:"bankd"`
	TPDU   struct {
		Sent, Received, Errors int
	} `json:"tpdu"`
}

// Slot is a client slot or a bank slot.
type Slot struct{ ID, Slot int }

// Peer is a connection to the server or the bank.
type Peer struct {
	State, Address string
	TLS            bool
}

// Finding is one of the findings of health.
type Finding struct {
	Code, Severity, Subject, Text, Fix string
}

// Finding returns the finding with this code, nil if there is none.
func (s *Status) Finding(code string) *Finding {
	for i, f := range s.Health.Findings {
		if f.Code == code {
			return &s.Health.Findings[i]
		}
	}
	return nil
}

// InState wants an overall state.
func InState(state string) func(*Status) bool {
	return func(s *Status) bool { return s.State == state }
}

// HasFinding wants a finding.
func HasFinding(code string) func(*Status) bool {
	return func(s *Status) bool { return s.Finding(code) != nil }
}

// Registered wants the first session's server to be connected.
func Registered(s *Status) bool {
	return len(s.Sessions) > 0 && s.Sessions[0].Server.State == "connected"
}

// CardIs wants the first modem's card in one of these states.
func CardIs(states ...string) func(*Status) bool {
	return func(s *Status) bool {
		for _, state := range states {
			if len(s.Modems) > 0 && s.Modems[0].Card.State == state {
				return true
			}
		}
		return false
	}
}
