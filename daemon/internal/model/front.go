package model

// FrontSeen is one way to show a modem a remote card that is there now.
type FrontSeen struct {
	Kind   string `json:"kind"`   // "cardem" or "uim-remote"
	Device string `json:"device"` // as option front_device takes it
	Serial string `json:"serial"` // of an emulator, "" if it has none
	Model  string `json:"model"`  // the emulator's board, or the modem
	// FreeFor names the configured modems that could take it; Reason says in one
	// sentence why these, or why none.
	FreeFor []string `json:"free_for"`
	Reason  string   `json:"reason"`

	USBPath string     `json:"-"` // where the emulator or the modem is plugged in, "" unknown
	Port    string     `json:"-"` // kernel name of a modem's control port, "" for an emulator
	State   FrontState `json:"-"`
	Words   string     `json:"-"` // why State is not offered
}

// FrontState is what is known of a way to a modem's slot.
type FrontState uint8

// The states of a front that is seen.
const (
	FrontUnasked FrontState = iota // a control port that was not asked yet
	FrontOffered                   // it can be used
	FrontRefused                   // the modem said that it does not have it
	FrontFailed                    // it could not be asked
)

// FrontsSeen: all the fronts that are there, anew after each change.
type FrontsSeen struct {
	At
	Fronts []FrontSeen
}

// FrontPlan is the front that a modem shall have: configured, or chosen by front auto.
// Kind "" is none.
type FrontPlan struct {
	Kind   string
	Device string
}

// FrontWatch is what shall be looked for: whether fronts are, and which control
// ports, by front_device, are to be asked for UIM Remote.
type FrontWatch struct {
	On    bool
	Probe []string
}
