package config

import (
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Config is the whole checked configuration. Sections keep the order of the file.
type Config struct {
	Main     Main
	Modems   []Modem
	Links    []Link
	Servers  []Server
	Banks    []Bank
	IonMesh  IonMesh
	Failover Failover
	Budgets  []Budget
	Hooks    []Hook
	Metrics  Metrics

	missing []model.Problem
}

// Main is `config remsim`.
type Main struct {
	Enabled  bool
	DeviceID string // "" until SetHostname
	LogLevel slog.Level

	HistoryKeep   bool // the history outlives a reboot
	CardCacheKeep bool // and so does what is kept of cards
}

// Modem is one `config modem`.
type Modem struct {
	Name           string
	Role           model.Role
	Match          Match
	Network        string // netifd interface, "" for none
	NetworkRemote  string // while the remote card is in; "" means Network
	Source         model.Source
	Fallback       Fallback
	Front          Front
	FrontDevice    Device
	ClientID       *uint16 // nil: the orchestrator assigns one
	ClientSlot     uint16
	ATR            card.ATR // overrides the bank's when not empty
	CardCache      CardCache
	StatusInterval time.Duration // 0: every STATUS goes to the card
	SIMLine        Line
	SIMRemoteHigh  bool // level of SIMLine that selects the remote card
	ResetLine      Line
	ResetPulse     time.Duration
	PowerLine      Line
	MMReset        bool // ModemManager may reset it
	Metered        bool
	UserTraffic    UserTraffic
}

// Client is the modem's RSPRO client slot. ok is false while it has no client id.
func (m Modem) Client() (client model.ClientSlot, ok bool) {
	if m.ClientID == nil {
		return model.ClientSlot{}, false
	}
	return model.ClientSlot{ID: *m.ClientID, Slot: m.ClientSlot}, true
}

// Fallback is what to do when no remote card can be had.
type Fallback string

// The fallbacks.
const (
	FallbackNone  Fallback = "none"
	FallbackLocal Fallback = "local"
)

// Front is the kind of a card front.
type Front string

// The fronts.
const (
	FrontAuto      Front = "auto"
	FrontCardem    Front = "cardem"
	FrontUIMRemote Front = "uim-remote"
	FrontVPCD      Front = "vpcd"
	FrontNone      Front = "none"
)

// CardCache is what is kept of a card on this side.
type CardCache string

// The caches.
const (
	CacheOff  CardCache = "off"
	CacheSafe CardCache = "safe"
	CacheFull CardCache = "full"
)

// UserTraffic says when user traffic may use a link.
type UserTraffic string

// The policies.
const (
	TrafficNever     UserTraffic = "never"
	TrafficEmergency UserTraffic = "emergency"
	TrafficAlways    UserTraffic = "always"
)

// Match says which modem a section means; the zero Match means none.
type Match struct {
	By    string // "usb", "imei", "serial" or "dev"
	Value string
}

// String writes the match as in the file, an IMEI masked.
func (m Match) String() string {
	switch m.By {
	case "":
		return ""
	case "imei":
		return "imei:" + model.Masked(m.Value)
	}
	return m.By + ":" + m.Value
}

// Device is what a card front opens; the zero Device means whatever is found.
type Device struct {
	By        string // "usb", "serial", "qmi" or "tcp"
	Value     string // USB path, serial number, device node, or host:port
	Interface int    // of usb and serial, or the modem's slot of qmi; -1: not said
}

// String writes the device as in the file.
func (d Device) String() string {
	switch {
	case d.By == "" || d.By == "tcp":
		return d.Value
	case d.Interface < 0:
		return d.By + ":" + d.Value
	}
	return d.By + ":" + d.Value + ":" + strconv.Itoa(d.Interface)
}

// Line is a GPIO line, by its name or by chip and offset; the zero Line means none.
type Line struct {
	Name      string
	Chip      string
	Offset    int
	ActiveLow bool
}

// IsZero tells whether no line is named.
func (l Line) IsZero() bool { return l == Line{} }

// String writes the line as in the file.
func (l Line) String() string {
	s := l.Name
	if l.Chip != "" {
		s = l.Chip + ":" + strconv.Itoa(l.Offset)
	}
	if l.ActiveLow {
		s = "!" + s
	}
	return s
}

// Link is one `config link`.
type Link struct {
	Name        string
	Network     string
	Metered     bool
	UserTraffic UserTraffic
}

// TLS is how one peer is reached.
type TLS struct {
	On            bool
	Files         model.TLSFiles
	AllowInsecure bool // clear text off loopback is wanted
}

func (t TLS) files() *model.TLSFiles {
	if !t.On {
		return nil
	}
	f := t.Files
	return &f
}

// Server is one `config server`.
type Server struct {
	Name string // "@server[0]" for a section without a name
	Host string
	Port uint16
	TLS  TLS
}

// Endpoint is the server as the RSPRO client takes it.
func (s Server) Endpoint() model.Endpoint {
	return model.Endpoint{Host: s.Host, Port: s.Port, TLS: s.TLS.files(), Ping: ServerPing}
}

// Bank is one `config bank`.
type Bank struct {
	Name   string // "@bank[0]" for a section without a name
	Host   string // "" in a correction: as announced
	Port   uint16 // 0 in a correction: as announced
	ID     uint16
	Slot   uint16   // of the first modem
	Modems []string // none: a correction for a bank that a server announces
	TLS    TLS
}

// Direct tells whether modems reach the bank without a server.
func (b Bank) Direct() bool { return len(b.Modems) > 0 }

// Endpoint is the bank as the RSPRO client takes it.
func (b Bank) Endpoint() model.Endpoint {
	return model.Endpoint{Host: b.Host, Port: b.Port, TLS: b.TLS.files(), Ping: BankPing}
}

// SlotOf returns the slot that a modem has in a bank reached directly.
func (b Bank) SlotOf(modem string) (slot model.BankSlot, ok bool) {
	i := slices.Index(b.Modems, modem)
	if i < 0 {
		return model.BankSlot{}, false
	}
	return model.BankSlot{ID: b.ID, Slot: b.Slot + uint16(i)}, true
}

// BankOf returns the bank that a modem reaches directly.
func (c *Config) BankOf(modem string) (Bank, bool) {
	for _, b := range c.Banks {
		if slices.Contains(b.Modems, modem) {
			return b, true
		}
	}
	return Bank{}, false
}

// Corrections are the banks that only correct what a server announces, by bank id.
func (c *Config) Corrections() map[uint16]model.Endpoint {
	out := make(map[uint16]model.Endpoint)
	for _, b := range c.Banks {
		if !b.Direct() {
			out[b.ID] = b.Endpoint()
		}
	}
	return out
}

// Modem returns the modem of that name.
func (c *Config) Modem(name string) (Modem, bool) {
	for _, m := range c.Modems {
		if m.Name == name {
			return m, true
		}
	}
	return Modem{}, false
}

// SetHostname makes the system's hostname the device id where none is set.
func (c *Config) SetHostname(hostname string) {
	if c.Main.DeviceID == "" {
		c.Main.DeviceID = hostname
	}
}

// IonMesh is `config ionmesh`.
type IonMesh struct {
	Enabled     bool
	URL         string // without a slash at the end
	TenantID    int
	MappingMode string
	MCCMNC      string // digits only
	APIKeyFile  string
	TLS         TLS // On follows from URL
	Heartbeat   time.Duration
	Timeout     time.Duration
}

// Failback says when a better link takes over again.
type Failback string

// The ways back.
const (
	FailbackAfter     Failback = "after"
	FailbackImmediate Failback = "immediate"
	FailbackNever     Failback = "never"
)

// Failover is `config failover`.
type Failover struct {
	ControlPath []string // modems and links in order; the default when none is set
	Grace       time.Duration
	Failback    Failback
	Hold        time.Duration
	Detect      Detect
	Probes      []string // extra targets: hosts
}

// AtLimit is what happens when a budget is used up.
type AtLimit string

// The answers to a used-up budget.
const (
	LimitWarn      AtLimit = "warn"
	LimitEssential AtLimit = "essential"
	LimitStop      AtLimit = "stop"
)

// Budget is one `config budget`.
type Budget struct {
	Link      string
	MonthlyMB int // decimal megabytes
	ResetDay  int
	AtLimit   AtLimit
}

// Hook is one `config hook`.
type Hook struct{ Script string }

// Metrics is `config metrics`.
type Metrics struct {
	Enabled bool
	Listen  string
}
