package model

// KindDoc describes one kind of journal entry; docs/UBUS.md is made from it.
type KindDoc struct {
	Kind    string
	Subject string // what the subject names
	Text    string
}

// Kinds of journal entries. They are stable once released.
const (
	KindDaemon     = "daemon"
	KindConfig     = "config"
	KindState      = "state"
	KindServer     = "server"
	KindBank       = "bank"
	KindAssignment = "assignment"
	KindFront      = "front"
	KindCard       = "card"
	KindCommand    = "command"
	KindFinding    = "finding"
	KindTask       = "task"
	KindModem      = "modem"
	KindIonMesh    = "ionmesh"
	KindLink       = "link"
	KindFailover   = "failover"
)

// EventKinds lists every kind of journal entry with its meaning.
var EventKinds = []KindDoc{
	{KindDaemon, "remsim", "the daemon started or was asked to stop"},
	{KindConfig, "remsim", "a configuration was accepted or refused"},
	{KindState, "remsim", "the overall state changed; the text is its reason"},
	{KindServer, "modem", "the connection to the RSPRO server changed"},
	{KindBank, "modem", "the connection to the bank changed"},
	{KindAssignment, "modem", "a bank slot was assigned or withdrawn"},
	{KindFront, "modem", "the card front opened its device or lost it"},
	{KindCard, "modem", "the card as the modem sees it changed: inserted, removed, reset, lost, back; or a command got no answer"},
	{KindCommand, "modem", "somebody gave a command"},
	{KindFinding, "subject of the finding", "a finding came or went"},
	{KindModem, "modem, or modemmanager", "ModemManager or a modem came, went or changed its state; a PIN was sent"},
	{KindSwitch, "modem", "a step of a card switch ended, or a whole switch; the data hold its outcome and milliseconds"},
	{KindReset, "modem", "a reset: why, which means, and what came of it"},
	{KindLink, "link, or remsim", "a link came, went, became usable or unusable; traffic moves from one link to another, and why"},
	{KindFailover, "link that took over", "the record of a failover: last good, detected, decided, routed, control up, card ready, registered, bearer up, first byte, in milliseconds since the first"},
	{KindIonMesh, "modem", "registration, beats, lease and commands of the orchestrator"},
	{KindTask, "task", "a part of the daemon failed and is started again"},
}
