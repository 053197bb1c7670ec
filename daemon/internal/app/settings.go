package app

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/budget"
	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// credentialsDir is where stored credentials lie in the state directory.
const credentialsDir = "credentials"

// settings translates a checked configuration for the engine.
func (o Options) settings(c *config.Config) engine.Settings {
	s := engine.Settings{
		Valid: true, Enabled: c.Main.Enabled, DeviceID: c.Main.DeviceID, Grace: c.Failover.Grace,
	}
	for _, m := range c.Modems {
		s.Modems = append(s.Modems, o.modem(c, m))
	}
	s.IonMesh, s.MeshClearText = o.meshPlan(c)
	s.Links = linksOf(c)
	if len(s.Links) > 0 {
		s.Failover = failoverOf(c)
		s.Detect, s.Probes = string(c.Failover.Detect), c.Failover.Probes
	}
	for _, b := range c.Budgets {
		s.Budgets = append(s.Budgets, budget.Policy{Link: b.Link, Limit: int64(b.MonthlyMB) * 1_000_000, ResetDay: b.ResetDay, AtLimit: string(b.AtLimit)})
	}
	return s
}

// linksOf are the ways to the network: modems with an interface, then the link
// sections. Their order numbers them.
func linksOf(c *config.Config) (out []engine.Link) {
	for _, m := range c.Modems {
		if m.Network != "" {
			out = append(out, engine.Link{Name: m.Name, Modem: m.Name, Network: m.Network, Metered: m.Metered, User: model.UserTraffic(m.UserTraffic)})
		}
	}
	for _, l := range c.Links {
		out = append(out, engine.Link{Name: l.Name, Network: l.Network, Metered: l.Metered, User: model.UserTraffic(l.UserTraffic)})
	}
	return out
}

// failoverOf is the owner's policy. A stock server pings by itself, which costs a
// metered link more than everything else together, so its connection takes another
// one while that works.
func failoverOf(c *config.Config) failover.Policy {
	p := failover.Policy{
		ControlOrder: c.Failover.ControlPath, Hold: c.Failover.Hold, Failback: string(c.Failover.Failback),
		PreferUnmetered: len(c.Servers) > 0,
	}
	for _, m := range c.Modems {
		if m.Role == model.RolePrimary {
			p.DataOrder = append(p.DataOrder, m.Name)
		}
	}
	return p
}

func (o Options) modem(c *config.Config, m config.Modem) engine.Modem {
	e := engine.Modem{
		Name: m.Name, Role: m.Role, Network: m.Network, Source: m.Source,
		FrontDevice: m.FrontDevice.String(), ATR: m.ATR,
		Cache: string(m.CardCache), StatusInterval: m.StatusInterval,
		Banks:       make(map[uint16]model.Endpoint),
		DefaultBank: model.Endpoint{Port: defaultBankPort, TLS: &model.TLSFiles{}, Ping: config.BankPing},
	}
	if c.IonMesh.Enabled && c.IonMesh.MappingMode == kiProxy {
		e.Cache, e.AuthPerHour = string(config.CacheFull), kiProxyAuths
	}
	e.Front, e.NoFront = configuredFront(m)
	e.FrontAuto = m.Front == config.FrontAuto
	e.Match = engine.Match{By: m.Match.By, Value: m.Match.Value}
	e.NetworkRemote, e.FallbackLocal, e.MMReset = m.NetworkRemote, m.Fallback == config.FallbackLocal, m.MMReset
	lines := specs(m)
	_, e.HasSIMLine = lines[model.LineSIM]
	reset, hasReset := lines[model.LineReset]
	_, e.HasPowerLine = lines[model.LinePower]
	e.HasResetLine, e.ResetIsPower = hasReset, hasReset && resetIsPower(o.board(), reset)
	for _, b := range c.Banks {
		e.Banks[b.ID] = o.credentials(b.Endpoint())
	}
	e.Session = o.session(c, m)
	_, e.HasClient = m.Client()
	e.Loopback, e.ServerPing = loopback, config.ServerPing
	if e.Source == model.SourceRemote {
		e.ClearText = clearText(e.Session)
	}
	return e
}

// In mapping mode kiProxy (docs/KIPROXY.md) files come from what is kept of the card, and
// kiProxyAuths bounds the authentications per hour: a modem that roams at a border does a
// few dozen at worst.
const (
	kiProxy      = "KI_PROXY_SWSIM"
	kiProxyAuths = 60
)

// defaultBankPort is bankd's port.
const defaultBankPort = 9999

// session is the configured way of one modem to its card.
func (o Options) session(c *config.Config, m config.Modem) model.SessionPlan {
	p := model.SessionPlan{
		// A bank that a server announces and that no section corrects is
		// reached with TLS, as the server is; clear text is only for this machine
		// unless a section allows it.
		BankDefaults: model.Endpoint{Ping: config.BankPing, TLS: &model.TLSFiles{}},
		Corrections:  make(map[uint16]model.Endpoint),
	}
	p.Client, _ = m.Client()
	if b, ok := c.BankOf(m.Name); ok {
		slot, _ := b.SlotOf(m.Name)
		p.Bank = &model.BankAssignment{Slot: slot, Endpoint: o.credentials(b.Endpoint()), By: "config"}
	} else {
		for _, s := range c.Servers {
			p.Servers = append(p.Servers, o.credentials(s.Endpoint()))
		}
	}
	if len(p.Servers) > 0 {
		if p.PlainLoopback = p.Servers[0].TLS == nil; !p.PlainLoopback {
			p.BankDefaults.TLS = p.Servers[0].TLS
		}
	}
	for id, e := range c.Corrections() {
		p.Corrections[id] = o.credentials(e)
	}
	return p
}

// credentials turns names of stored credentials into paths; a path stays.
func (o Options) credentials(e model.Endpoint) model.Endpoint {
	if e.TLS == nil {
		return e
	}
	e.TLS = &model.TLSFiles{CA: o.stored("ca", e.TLS.CA), Cert: o.stored("cert", e.TLS.Cert), Key: o.stored("key", e.TLS.Key)}
	return e
}

// configuredFront tells which front option front names, or why none. Front auto is
// decided by package fronts from what there is.
func configuredFront(m config.Modem) (kind, why string) {
	switch m.Front {
	case config.FrontVPCD, config.FrontCardem, config.FrontUIMRemote:
		return string(m.Front), ""
	case config.FrontAuto:
		return "", ""
	case config.FrontNone:
		return "", "option front is none"
	}
	return "", fmt.Sprintf("front %s is not in this version; it has cardem, uim-remote and vpcd", m.Front)
}

// clearText lists the peers of a session that are reached without TLS outside
// this machine. A bank whose address only the server says can be anywhere.
func clearText(p model.SessionPlan) []string {
	var out []string
	add := func(what string, e model.Endpoint) {
		if e.TLS == nil && !loopback(e.Host) {
			out = append(out, fmt.Sprintf("%s %s", what, e.Host))
		}
	}
	for _, s := range p.Servers {
		add("server", s)
	}
	if p.Bank != nil {
		add("bank", p.Bank.Endpoint)
	}
	for _, id := range slices.Sorted(maps.Keys(p.Corrections)) {
		e := p.Corrections[id]
		switch {
		case p.Bank != nil: // nobody announces one
		case e.Host != "":
			add("bank", e)
		case e.TLS == nil:
			out = append(out, fmt.Sprintf("bank %d, wherever the server says", id))
		}
	}
	return out
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
