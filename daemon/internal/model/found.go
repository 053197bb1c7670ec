package model

// FoundModem is a modem that is there, whether or not a section names it.
type FoundModem struct {
	Match      string `json:"match"`      // as option match takes it; "" if nothing about it stays the same
	Configured string `json:"configured"` // the modem section that it is, "" for none
	Network    string `json:"network"`    // an interface of netifd that serves it, "" for none
	Device     string `json:"device"`     // sysfs path
	USBPath    string `json:"usb_path"`   // "2-1.3", "" when it is no USB device
	Serial     string `json:"serial"`
	IMEI       IMEI   `json:"imei"` // masked
	Maker      string `json:"manufacturer"`
	Model      string `json:"model"`
	Revision   string `json:"revision"`
	State      string `json:"state"` // as ModemManager names it
	Netdev     string `json:"netdev"`
	Ports      []Port `json:"ports"`
}

// FoundNetwork is an interface of netifd that a modem or a link could use.
type FoundNetwork struct {
	Name   string `json:"name"`
	Proto  string `json:"proto"`
	Device string `json:"device"`
	Up     bool   `json:"up"`
	Modem  string `json:"modem"` // match of the modem that it serves, "" for none
}

// Found is what `discover` answers: what is there and could be configured. What
// could not be asked is empty, and Notes say why.
type Found struct {
	Modems   []FoundModem   `json:"modems"`
	Fronts   []FrontSeen    `json:"fronts"`
	Lines    []Line         `json:"lines"`
	Networks []FoundNetwork `json:"networks"`
	Notes    []string       `json:"notes"`
}

// Hardware is what the drivers have told so far.
type Hardware struct {
	Modems     []ObservedModem
	Networks   []Interface
	Configured map[string]string // modem sections by the device that they are
	Service    string            // why there is no modem to see, "" if ModemManager is there
	Netifd     string            // why there is no interface to see, "" if netifd is there
}
