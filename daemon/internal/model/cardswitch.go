package model

import "time"

// Kinds of journal entries that the card switch and the reset ladder write.
const (
	KindSwitch = "card_switch"
	KindReset  = "reset"
)

// ActionVerb is something that is done to a modem once.
type ActionVerb string

// The verbs. What stays (the SIM line, the card shown) is no verb: it is a
// level in SwitchPlan.
const (
	ActNetworkDown ActionVerb = "network-down" // netifd: take an interface down
	ActNetworkUp   ActionVerb = "network-up"   // netifd: bring an interface up, which also lifts its restart block
	ActInhibit     ActionVerb = "inhibit"      // have ModemManager let go of the modem
	ActUninhibit   ActionVerb = "uninhibit"    // give it back: it is probed anew
	ActResetSoft   ActionVerb = "reset-soft"   // restart the firmware by AT+CFUN (3GPP TS 27.007 §8.2); needs a free AT port
	ActResetMM     ActionVerb = "reset-mm"     // restart the firmware through ModemManager
	ActPulse       ActionVerb = "pulse"        // take Line away from rest for its configured time, then back
	ActRelease     ActionVerb = "release"      // bring Line back to rest after a pulse that may have been cut off
)

// ModemAction is one thing to be done once. Whoever carries it out remembers
// the highest ID it has begun: the same ID again is nothing to do.
type ModemAction struct {
	ID      int64 // only grows; 0: nothing to do
	Verb    ActionVerb
	Network string        // of ActNetworkDown, ActNetworkUp
	Line    LineUse       // of ActPulse, ActRelease
	Limit   time.Duration // the answer is not waited for any longer
}

// SwitchPlan is what the drivers of one modem shall reach. It is a level:
// setting it again changes nothing.
type SwitchPlan struct {
	// Line is where the SIM line, or the front's own selector, shall stand.
	// Empty: leave it.
	Line Source
	// Show: the front shall show its card.
	Show bool
	// Action is the newest one-shot; at most one is under way.
	Action ModemAction
}

// ActionDone reports the end of an action.
type ActionDone struct {
	At
	Modem string
	ID    int64
	Err   string // why it could not be done, in words; "" for done
}

// LineSeen reports where the SIM line of a modem stands.
type LineSeen struct {
	At
	Modem  string
	Source Source // "" when it cannot be told
	Err    string // why it could not be read or driven, in words
}

// ResetRung is one step of the reset ladder, lightest first. The names are
// those of the contract's `reset` method.
type ResetRung string

// The rungs.
const (
	RungSoft  ResetRung = "soft"
	RungMM    ResetRung = "modemmanager"
	RungGPIO  ResetRung = "gpio"
	RungPower ResetRung = "power"
)

// SwitchOutcome is how a step, or a whole card switch, ended.
type SwitchOutcome string

// The outcomes.
const (
	OutcomeOK      SwitchOutcome = "ok"
	OutcomeSkipped SwitchOutcome = "skipped" // does not apply here
	OutcomeFailed  SwitchOutcome = "failed"
	OutcomeTimeout SwitchOutcome = "timeout"
	OutcomeDropped SwitchOutcome = "dropped" // something else was wanted meanwhile
)

// SwitchStatus is where the card switch of a modem stands.
type SwitchStatus struct {
	Running bool   `json:"running"`
	Reset   bool   `json:"reset"`    // what runs is a reset, not a switch
	WayBack bool   `json:"way_back"` // on the way back to the local card
	Step    string `json:"step"`     // under way, "" when idle
	Source  Source `json:"source"`   // the card that is in use, as far as known; "" unknown
	Failed  string `json:"failed"`   // why the last switch did not reach what was wanted, in words; "" when it did
	Since   int64  `json:"since"`    // Unix seconds of the last start or end
}
