package model

// ModemPlan is what shall be so with a modem besides its card: a level, like
// SwitchPlan. It goes to the same driver.
type ModemPlan struct {
	// Device names the modem for ModemManager (ObservedModem.Device), also
	// while it is inhibited or gone; "" as long as it was never seen.
	Device string
	// Unlock: the card asks for its PIN, which is the `pincode` of Network.
	Unlock  bool
	Network string
	// Enable: no netifd interface owns the modem, so remsim switches it on.
	Enable bool
	// Path is the modem's present D-Bus object; what was tried on another
	// one is tried anew.
	Path string
	// ATPort is the modem's AT port as last seen, "/dev/ttyUSB2", and Vendor and
	// Product its USB identity in hex: a soft reset needs them.
	ATPort          string
	Vendor, Product string
	// Netdev is the modem's network device as last seen.
	Netdev string
	// AskAT: ModemManager is not there, so the AT port is free and the modem
	// is asked over it.
	AskAT bool
}

// UnlockDone reports what came of a PIN. Code is a finding code, "" when the
// card is unlocked.
type UnlockDone struct {
	At
	Modem  string
	Code   string
	Reason string
}

// ModemTrouble reports something about a modem that only its driver can see: a
// port that hangs, another program on it, a GPIO line that cannot be had. One
// with an empty Reason clears the code.
type ModemTrouble struct {
	At
	Modem  string
	Code   string // finding code
	Reason string
}

// Reset asks for a reset of a modem.
type Reset struct {
	Modem string
	// Rung is the lightest to use, "" for the lightest there is.
	Rung ResetRung
}

// Target names the modem.
func (c Reset) Target() string { return c.Modem }

// Identity is one modem's numbers in whole, for the one method that may show
// them.
type Identity struct {
	Name  string `json:"name"`
	IMEI  string `json:"imei"`
	ICCID string `json:"iccid"`
	IMSI  string `json:"imsi"`
	EID   string `json:"eid"`
}
