package model

// FirmwareSwitchRequest is about the switch in a modem's firmware that turns UIM Remote
// on.
type FirmwareSwitchRequest struct {
	Modem  string
	Action string // plan, enable or undo
	// Old is, for enable, the value in the plan that was shown: another one is refused.
	Old string
	// Interrupt: ModemManager may be made to let go of the modem, which cuts its
	// connection for a while.
	Interrupt bool
}

// FirmwareSwitch is how that switch stands, and what would change it.
type FirmwareSwitch struct {
	Modem    string   `json:"modem"`
	Model    string   `json:"model"`
	Item     string   `json:"item"` // of the modem's file system
	Old      string   `json:"old"`  // its value, in hex, before the action
	New      string   `json:"new"`  // its value with UIM Remote on
	Needed   bool     `json:"needed"`
	Commands []string `json:"commands"` // what enable sends
	Undo     []string `json:"undo"`     // what undoes it
	Kept     string   `json:"kept"`     // the value that undo writes back, "" if none is kept
	Text     string   `json:"text"`     // all of it for a person, or what was done
}
