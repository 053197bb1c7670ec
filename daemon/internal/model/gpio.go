package model

// LineUse is what a modem's GPIO line is there for.
type LineUse string

// The three uses, as the contract's `gpio` method names them.
const (
	LineSIM   LineUse = "sim"   // chooses between the local and the remote card
	LineReset LineUse = "reset" // resets the modem
	LinePower LineUse = "power" // powers the modem
)

// Line is one GPIO line as it is now, for `discover`.
type Line struct {
	Name      string `json:"name"` // from the device tree, "" if it has none
	Chip      string `json:"chip"` // gpiochip0
	Offset    int    `json:"offset"`
	Consumer  string `json:"consumer"`  // who holds it, "" for nobody
	Direction string `json:"direction"` // input output
	ActiveLow bool   `json:"active_low"`
	Role      string `json:"role,omitempty"` // what the board profile knows of it
}

// LinePlan answers `gpio`: the line, and what would be done with it. Making it
// touches nothing.
type LinePlan struct {
	Line      string   `json:"line"` // as configured
	Chip      string   `json:"chip"`
	Offset    int      `json:"offset"`
	Consumer  string   `json:"consumer"`  // who holds it now, "" for nobody
	Direction string   `json:"direction"` // now: input output
	ActiveLow bool     `json:"active_low"`
	Plan      []string `json:"plan"`      // steps, in order, one sentence each
	Conflicts []string `json:"conflicts"` // what stands in the way; empty: the plan would be carried out
}
