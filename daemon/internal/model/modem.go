package model

// PortKind is what a modem's port is for, as ModemManager names it.
type PortKind string

// The port kinds that anybody here asks for; others keep their own name.
const (
	PortNet     PortKind = "net"
	PortAT      PortKind = "at"
	PortQMI     PortKind = "qmi"
	PortMBIM    PortKind = "mbim"
	PortGPS     PortKind = "gps"
	PortQCDM    PortKind = "qcdm"
	PortAudio   PortKind = "audio"
	PortIgnored PortKind = "ignored"
	PortUnknown PortKind = "unknown"
)

// Port is one port of a modem: a kernel name without /dev/, and its use.
type Port struct {
	Name string   `json:"name"`
	Kind PortKind `json:"kind"`
}

// ObservedSIM is a card as its modem has read it. Empty fields were not read.
type ObservedSIM struct {
	Path         string `json:"-"` // D-Bus object
	ICCID        ICCID  `json:"iccid"`
	IMSI         IMSI   `json:"imsi"`
	EID          ICCID  `json:"eid,omitempty"` // of an eUICC; masks like an ICCID
	OperatorCode string `json:"operator_code,omitempty"`
	OperatorName string `json:"operator_name,omitempty"`
	Active       bool   `json:"active"`
	ESIM         bool   `json:"esim,omitempty"`
}

// ObservedBearer is a data connection that somebody else (netifd) made.
type ObservedBearer struct {
	Path      string `json:"-"` // D-Bus object
	Interface string `json:"interface"`
	Connected bool   `json:"connected"`
	Error     string `json:"error,omitempty"` // why the last attempt failed
}

// ATObject begins the Path and the Device of a modem that is asked over its AT
// port, in place of ModemManager; the port follows.
const ATObject = "at:"

// ObservedModem is one modem as ModemManager shows it now. What this
// ModemManager or this modem does not tell is empty. The first group says which
// device it is and outlives a reprobe; Path does not.
type ObservedModem struct {
	Device    string   `json:"device"`                // sysfs path, or the uid that a udev rule gave; what netifd's option device names
	Physdev   string   `json:"physdev,omitempty"`     // sysfs path of the USB or PCI device
	USBPath   string   `json:"usb_path,omitempty"`    // "2-1.3"; "" when it is no USB device
	IMEI      IMEI     `json:"imei"`                  // masked in JSON
	Serial    string   `json:"serial,omitempty"`      // USB serial number; "" when it is the IMEI
	VendorID  string   `json:"vendor_id,omitempty"`   // four hex digits
	ProductID string   `json:"product_id,omitempty"`  // four hex digits
	Path      string   `json:"-"`                     // D-Bus object; new after every reprobe
	Plugin    string   `json:"plugin,omitempty"`      // ModemManager's
	Drivers   []string `json:"drivers,omitempty"`     // kernel drivers
	Ports     []Port   `json:"ports"`                 // sorted by name
	Primary   string   `json:"primary_port"`          // the port that ModemManager controls it by
	Netdev    string   `json:"netdev,omitempty"`      // the first net port
	Maker     string   `json:"manufacturer"`          // as the modem tells
	Model     string   `json:"model"`                 // as the modem tells
	Revision  string   `json:"revision"`              // firmware
	Hardware  string   `json:"hardware,omitempty"`    // hardware revision
	HashID    string   `json:"device_hash,omitempty"` // ModemManager's DeviceIdentifier; may change with the firmware

	State        string         `json:"state"`                   // failed unknown initializing locked disabled disabling enabling enabled searching registered disconnecting connecting connected
	FailedReason string         `json:"failed_reason,omitempty"` // sim-missing sim-error unknown-capabilities esim-without-profiles unknown
	Power        string         `json:"power,omitempty"`         // off low on
	Lock         string         `json:"lock,omitempty"`          // what must be unlocked: sim-pin sim-puk …; "" for nothing
	Retries      map[string]int `json:"retries,omitempty"`       // tries left, per lock

	Registration     string            `json:"registration,omitempty"` // idle home searching denied unknown roaming …
	OperatorCode     string            `json:"operator_code,omitempty"`
	OperatorName     string            `json:"operator_name,omitempty"`
	AccessTechnology string            `json:"access_technology,omitempty"` // "lte", "lte+5gnr", …
	RejectCause      string            `json:"reject_cause,omitempty"`      // ModemManager 1.24 and later
	Signal           Signal            `json:"signal"`                      // of the access technology in use
	Signals          map[string]Signal `json:"signals,omitempty"`           // gsm umts lte 5gnr

	SIM         *ObservedSIM     `json:"sim,omitempty"`          // nil: no card
	Slots       []*ObservedSIM   `json:"slots,omitempty"`        // nil: an empty slot
	PrimarySlot int              `json:"primary_slot,omitempty"` // 1-based; 0: the modem has no slots to choose from
	Bearers     []ObservedBearer `json:"bearers,omitempty"`
}

// ModemSeen: a modem appeared or changed; Seen is all that is known of it.
type ModemSeen struct {
	At
	Seen ObservedModem
}

// ModemGone: ModemManager no longer shows this modem. The device may still be
// there: a reprobe is a ModemGone and a ModemSeen with the same Device.
type ModemGone struct {
	At
	Path   string // D-Bus object
	Device string
}

// ModemsService: ModemManager came or went. When it goes, each of its modems
// has been reported gone before.
type ModemsService struct {
	At
	Up      bool
	Version string
	Reason  string // why it is down, in words
}
