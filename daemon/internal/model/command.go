package model

// Command is what a user, a script or the orchestrator asks for. It changes
// what the engine wants; the drivers then follow.
type Command interface{ Target() string }

// SetSource asks a modem to use its remote or its local card.
type SetSource struct {
	Modem  string
	Source Source
}

// MapBank assigns a bank slot to a modem by hand. It holds until unmap, another
// map, or the end of the daemon.
type MapBank struct {
	Modem string
	// Host and Port of the bank. Empty and 0 take them from the configured
	// bank with the same id.
	Host string
	Port int
	Slot BankSlot
}

// Unmap takes the remote card away from a modem until a new assignment comes.
type Unmap struct{ Modem string }

// SetTracing switches the APDU trace of a modem.
type SetTracing struct {
	Modem string
	On    bool
}

// SwitchRole has a role carried by a link while that is usable. Link "auto"
// gives the choice back to the failover.
type SwitchRole struct {
	Role string // data or control
	Link string
}

// Target names no modem: the command is about a link.
func (c SwitchRole) Target() string { return "" }

// Target names the modem.
func (c SetSource) Target() string { return c.Modem }

// Target names the modem.
func (c MapBank) Target() string { return c.Modem }

// Target names the modem.
func (c Unmap) Target() string { return c.Modem }

// Target names the modem.
func (c SetTracing) Target() string { return c.Modem }

// CommandErrorKind tells why a command was refused.
type CommandErrorKind int

// The reasons why a command can be refused.
const (
	InvalidArgument CommandErrorKind = iota + 1
	NotFound
	NotSupported
)

// CommandError refuses a command, in words for the person who gave it.
type CommandError struct {
	Kind    CommandErrorKind
	Message string
}

// Error returns the words.
func (e *CommandError) Error() string { return e.Message }
