package engine

import (
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/budget"
	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Settings are what the engine needs to know of the configuration.
type Settings struct {
	// Valid is false when no configuration could be accepted, not even an
	// older one: nothing is touched then.
	Valid    bool
	Enabled  bool
	DeviceID string
	Grace    time.Duration // how long a lost bank is ridden through before the state is degraded
	Modems   []Modem
	Links    []Link // in the order of the configuration, which numbers them
	// Failover is the owner's policy; Grace and what was forced by command are
	// filled in by the engine.
	Failover failover.Policy
	Detect   string   // how eagerly links are probed: fast, normal, frugal
	Probes   []string // extra hosts to probe
	Budgets  []budget.Policy
	// IonMesh is the plan of the orchestrator's client but for the path; without a
	// URL there is none. MeshClearText names what is not protected, "" for nothing.
	IonMesh       model.IonMeshPlan
	MeshClearText string
	// Errors and Warnings are what the check of the newest file said, one
	// sentence each. OldConfig tells that the file was refused and an earlier
	// configuration is in use.
	Errors    []string
	Warnings  []string
	OldConfig bool
}

// Modem is one configured modem.
type Modem struct {
	Name    string
	Role    model.Role
	Network string
	Source  model.Source
	// Match names the modem among those that are seen; By "" names none: a
	// front without a modem of ours behind it.
	Match Match
	// NetworkRemote replaces Network while the remote card is in; "" does not.
	NetworkRemote string
	FallbackLocal bool
	// What there is to switch and reset with. ResetIsPower: on this board the
	// reset line is the modem's supply.
	HasSIMLine, HasResetLine, HasPowerLine bool
	ResetIsPower                           bool
	MMReset                                bool
	// Front is the kind of front the modem will get, or "" with the reason
	// in NoFront.
	// With FrontAuto it is chosen from what there is, among what FrontDevice means.
	Front       string
	FrontAuto   bool
	FrontDevice string
	NoFront     string
	ATR         []byte // overrides the bank's when not empty
	// Cache, StatusInterval and AuthPerHour go to the card plan as they are.
	Cache          string
	StatusInterval time.Duration
	AuthPerHour    int
	// HasClient: the configuration names Session.Client.
	HasClient bool
	// Loopback tells whether a host is this machine; ServerPing is the keep-alive
	// interval of a server that only the orchestrator names.
	Loopback   func(host string) bool
	ServerPing time.Duration
	// Session is the configured plan: client slot, servers, direct bank.
	Session model.SessionPlan
	// Banks are the configured banks, by id, for `map` without an address.
	Banks map[uint16]model.Endpoint
	// DefaultBank gives TLS and keep-alive for a bank that no section names.
	DefaultBank model.Endpoint
	// ClearText names the peers whose connection is not protected although
	// it leaves the machine (allow_insecure).
	ClearText []string
}

// Match names a modem: By is usb, imei, serial or dev.
type Match struct{ By, Value string }
