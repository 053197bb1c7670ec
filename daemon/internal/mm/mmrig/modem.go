package mmrig

import (
	"fmt"
	"sync"
)

// Card is a SIM as a played modem reads it.
type Card struct {
	ICCID string // 19 or 20 digits
	IMSI  string
	PIN   string // "" means that the card asks for none
	Tries int    // PIN tries left
}

// Registration is the network's word to a played modem.
type Registration int

// The registrations that a played modem can be put in.
const (
	Home Registration = iota
	Searching
	Denied
	Roaming
)

// Spec says which modem is played.
type Spec struct {
	Name         string // of the virtual device, and in failure texts
	Plugin       string // ModemManager plugin, for virtual modems
	Manufacturer string
	Model        string
	Revision     string
	IMEI         string
	Serial       string // USB serial number
	XMM          bool   // speaks Intel's AT+XACT
	MBIM         bool   // is controlled by MBIM, AT beside it
	PCI          bool   // sits on PCI Express, not on USB
	Vendor       string // four hex digits
	Product      string // four hex digits
	Driver       string // kernel driver of the control port
	USBPath      string // where it is plugged in: "2-1"; the PCI address on PCI
	Control      string // control device node: "cdc-wdm9"
	ATPorts      []string
	Net          string // netdev
}

// FM350 is a Fibocom FM350-GL on PCI Express (MediaTek T700), the only mode
// that ModemManager supports.
func FM350() Spec {
	return Spec{
		Name: "fm350", Manufacturer: "Fibocom Wireless Inc.", Model: "FM350-GL", Revision: "81600.0000.00.29.21.24",
		IMEI: "004999010640000", MBIM: true, PCI: true, Vendor: "14c3", Product: "4d75", Driver: "mtk_t7xx",
		USBPath: "0000:01:00.0", Control: "wwan8mbim0", ATPorts: []string{"wwan8at0"}, Net: "wwan8",
	}
}

// L850 is a Fibocom L850-GL on USB (Intel XMM7360) in its MBIM mode.
func L850() Spec {
	return Spec{
		Name: "l850", Manufacturer: "Fibocom Wireless Inc.", Model: "L850-GL", Revision: "18500.5001.00.05.27.30",
		IMEI: "015550000000002", Serial: "004999010640002", MBIM: true, XMM: true, Vendor: "2cb7", Product: "0007",
		Driver: "cdc_mbim", USBPath: "2-1", Control: "cdc-wdm9", ATPorts: []string{"ttySIM2", "ttySIM3"}, Net: "wwan9",
	}
}

// Virtual is a modem on ModemManager's test interface: AT over sockets, no
// device, no privilege. It says that it is a Telit, because of the AT plugins
// only Telit's hears of a card both coming and going.
func Virtual(name string) Spec {
	return Spec{
		Name: name, Plugin: "telit", Manufacturer: "Telit", Model: "LE910C4-EU", Revision: "25.21.660",
		IMEI: "004999010640000",
	}
}

// Modem is one played modem. What it is told to be is heard by ModemManager
// over AT and MBIM. All methods may be called from any goroutine.
type Modem struct {
	Spec Spec

	mu       sync.Mutex
	card     *Card
	unlocked bool // the PIN has been entered since the card came
	radio    bool
	muted    bool // answers nothing any more
	reg      Registration
	rsrp     int    // dBm
	numeric  bool   // +COPS? shows the operator's code
	apn      string // connected to; "" for none
	sinks    map[sink]bool
	unknown  []string // what it was asked and did not know
	commands []string // AT commands heard, in order
	onReset  func()
}

// sink is an open channel to ModemManager that can be told unasked.
type sink interface {
	// tell says what changed; each sink knows its own words for it.
	tell(m *Modem, what change)
}

type change int

const (
	cardChanged change = iota
	registrationChanged
	signalChanged
)

// NewModem makes a modem with a card that asks for no PIN, in its home network
// with a signal of -80 dBm.
func NewModem(s Spec) *Modem {
	return &Modem{
		Spec: s, radio: true, rsrp: -80, sinks: map[sink]bool{},
		card: &Card{ICCID: "89861234567890123450", IMSI: "001010123456789", Tries: 3},
	}
}

// InsertSIM puts a card in; the modem tells ModemManager if it can.
func (m *Modem) InsertSIM(c Card) {
	if c.Tries == 0 {
		c.Tries = 3
	}
	m.change(cardChanged, func() { m.card, m.unlocked = &c, false })
}

// RemoveSIM takes the card out.
func (m *Modem) RemoveSIM() { m.change(cardChanged, func() { m.card = nil }) }

// Register puts the modem in a registration state.
func (m *Modem) Register(r Registration) { m.change(registrationChanged, func() { m.reg = r }) }

// SetRSRP changes the received signal, in dBm.
func (m *Modem) SetRSRP(dbm int) { m.change(signalChanged, func() { m.rsrp = dbm }) }

// Mute makes the modem answer nothing, as one that hangs.
func (m *Modem) Mute(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.muted = on
}

// RefillTries gives the card its three PIN tries back.
func (m *Modem) RefillTries() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.card != nil {
		m.card.Tries = 3
	}
}

// Tries returns how many PIN tries the card has left, and -1 without a card.
func (m *Modem) Tries() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.card == nil {
		return -1
	}
	return m.card.Tries
}

// APN returns what the modem was last asked to connect to.
func (m *Modem) APN() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.apn
}

// Unknown returns what ModemManager asked and the modem did not know.
func (m *Modem) Unknown() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.unknown...)
}

// Commands returns the AT commands heard so far.
func (m *Modem) Commands() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.commands...)
}

// String prints the modem as text.
func (m *Modem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	card := "no card"
	if m.card != nil {
		card = "card …" + m.card.ICCID[len(m.card.ICCID)-4:]
		if m.locked() {
			card += fmt.Sprintf(" locked, %d tries left", m.card.Tries)
		}
	}
	return fmt.Sprintf("%s %s: %s, registration %d, %d dBm", m.Spec.Name, m.Spec.Model, card, m.reg, m.rsrp)
}

func (m *Modem) change(what change, apply func()) {
	m.mu.Lock()
	apply()
	sinks := make([]sink, 0, len(m.sinks))
	for s := range m.sinks {
		sinks = append(sinks, s)
	}
	m.mu.Unlock()
	for _, s := range sinks {
		s.tell(m, what)
	}
}

func (m *Modem) attach(s sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sinks[s] = true
}

func (m *Modem) detach(s sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sinks, s)
}

func (m *Modem) reset() {
	m.mu.Lock()
	f := m.onReset
	m.mu.Unlock()
	if f != nil {
		f()
	}
}

// locked tells whether the card wants its PIN. m.mu is held.
func (m *Modem) locked() bool { return m.card != nil && m.card.PIN != "" && !m.unlocked }

// enter tries a PIN. m.mu is held.
func (m *Modem) enter(pin string) bool {
	if m.card.Tries == 0 {
		return false
	}
	if pin != m.card.PIN {
		m.card.Tries--
		return false
	}
	m.card.Tries, m.unlocked = 3, true
	return true
}

// registered tells whether there is service. m.mu is held.
func (m *Modem) registered() bool {
	return m.radio && m.card != nil && !m.locked() && (m.reg == Home || m.reg == Roaming)
}
