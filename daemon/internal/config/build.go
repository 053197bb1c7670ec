package config

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// build reads all sections by the table, then checks the rules between them.
func (b *builder) build() *Config {
	b.checkNames()
	c := &Config{Main: b.main(), IonMesh: b.ionmesh(), Failover: b.failover(), Metrics: b.metrics()}
	for _, s := range b.file.Sections {
		v := values{b: b, typ: s.Type, sec: s}
		switch s.Type {
		case "modem":
			c.Modems = append(c.Modems, v.modem())
		case "link":
			c.Links = append(c.Links, v.link())
		case "server":
			c.Servers = append(c.Servers, v.server())
		case "bank":
			c.Banks = append(c.Banks, v.bank())
		case "budget":
			c.Budgets = append(c.Budgets, v.budget())
		case "hook":
			c.Hooks = append(c.Hooks, Hook{Script: one(v, "script", parsePath)})
		}
	}
	check(b, c)
	if len(c.Failover.ControlPath) == 0 {
		c.Failover.ControlPath = defaultControlPath(c)
	}
	b.warnLater(c)
	return c
}

// single returns the only section of a type that may be there once; a second
// one is reported by checkNames and not read.
func (b *builder) single(typ string) values {
	v := values{b: b, typ: typ}
	for _, s := range Sections() {
		if s.Type == typ {
			v.name = s.Name
		}
	}
	for _, s := range b.file.Sections {
		if s.Type == typ {
			v.sec = s
			break
		}
	}
	return v
}

func (b *builder) main() Main {
	v := b.single("remsim")
	return Main{
		Enabled:  v.yes("enabled"),
		DeviceID: one(v, "device_id", parseText),
		LogLevel: logLevel(v.choice("log_level")),

		HistoryKeep:   v.yes("history_keep"),
		CardCacheKeep: v.yes("card_cache_keep"),
	}
}

func logLevel(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (v values) modem() Modem {
	role := model.Role(v.choice("role"))
	v.iot = role == model.RoleIoT
	m := Modem{
		Name:           v.path(),
		Role:           role,
		Match:          one(v, "match", parseMatch),
		Network:        v.network("network"),
		NetworkRemote:  v.network("network_remote"),
		Source:         model.Source(v.choice("source")),
		Fallback:       Fallback(v.choice("fallback")),
		Front:          Front(v.choice("front")),
		FrontDevice:    one(v, "front_device", parseDevice),
		ClientSlot:     uint16(v.number("client_slot")),
		ATR:            one[card.ATR](v, "atr", parseATR),
		CardCache:      CardCache(v.choice("card_cache")),
		StatusInterval: v.duration("status_interval"),
		SIMLine:        one(v, "sim_line", parseLine),
		SIMRemoteHigh:  v.choice("sim_remote_level") == "high",
		ResetLine:      one(v, "reset_line", parseLine),
		ResetPulse:     v.duration("reset_pulse_ms"),
		PowerLine:      one(v, "power_line", parseLine),
		MMReset:        v.yes("mm_reset"),
		Metered:        v.yes("metered"),
		UserTraffic:    UserTraffic(v.choice("user_traffic")),
	}
	// 0 is a client id like any other, so that unset needs a value of its own.
	if id := one(v, "client_id", parseID); id != nil {
		m.ClientID = id
	}
	return m
}

// parseID reads a number where 0 and unset differ.
func parseID(o Option, v string) (*uint16, error) {
	n, err := parseNumber(o, v)
	if err != nil {
		return nil, err
	}
	id := uint16(n)
	return &id, nil
}

func (v values) link() Link {
	return Link{
		Name:        v.path(),
		Network:     v.network("network"),
		Metered:     v.yes("metered"),
		UserTraffic: UserTraffic(v.choice("user_traffic")),
	}
}

// tls reads the options that every peer has.
func (v values) tls(on bool) TLS {
	return TLS{
		On:            on,
		Files:         model.TLSFiles{CA: v.credential("ca_cert"), Cert: v.credential("client_cert"), Key: v.credential("client_key")},
		AllowInsecure: v.yes("allow_insecure"),
	}
}

func (v values) server() Server {
	return Server{
		Name: v.path(),
		Host: one(v, "host", parseHost),
		Port: uint16(v.number("port")),
		TLS:  v.tls(v.yes("tls")),
	}
}

func (v values) bank() Bank {
	b := Bank{
		Name:   v.path(),
		Host:   one(v, "host", parseHost),
		Port:   uint16(v.number("port")),
		ID:     uint16(v.number("bank_id")),
		Slot:   uint16(v.number("slot")),
		Modems: many(v, "modem", parseName),
		TLS:    v.tls(v.yes("tls")),
	}
	if !v.has("modem") && !v.has("port") {
		b.Port = 0
	}
	return b
}

func (b *builder) ionmesh() IonMesh {
	v := b.single("ionmesh")
	m := IonMesh{
		Enabled:     v.yes("enabled"),
		URL:         one(v, "url", parseURL),
		TenantID:    v.number("tenant_id"),
		MappingMode: v.choice("mapping_mode"),
		MCCMNC:      one(v, "mcc_mnc", parsePLMN),
		APIKeyFile:  v.credential("api_key_file"),
		Heartbeat:   v.duration("heartbeat_interval"),
		Timeout:     v.duration("timeout"),
	}
	m.TLS = v.tls(!strings.HasPrefix(m.URL, "http://"))
	return m
}

// Host is the orchestrator's host name or address.
func (m IonMesh) Host() string {
	u, err := url.Parse(m.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (b *builder) failover() Failover {
	v := b.single("failover")
	return Failover{
		ControlPath: many(v, "control_path", parseName),
		Grace:       v.duration("grace"),
		Failback:    Failback(v.choice("failback")),
		Hold:        v.duration("hold"),
		Detect:      Detect(v.choice("detect")),
		Probes:      many(v, "probe", parseHost),
	}
}

// defaultControlPath is control_path where the file has none.
func defaultControlPath(c *Config) []string {
	var iot, others []string
	for _, m := range c.Modems {
		if m.Role == model.RoleIoT {
			iot = append(iot, m.Name)
		} else {
			others = append(others, m.Name)
		}
	}
	path := slices.Concat(iot, others)
	for _, l := range c.Links {
		path = append(path, l.Name)
	}
	return path
}

func (v values) budget() Budget {
	return Budget{
		Link:      one(v, "link", parseName),
		MonthlyMB: v.number("monthly_mb"),
		ResetDay:  v.number("reset_day"),
		AtLimit:   AtLimit(v.choice("at_limit")),
	}
}

func (b *builder) metrics() Metrics {
	v := b.single("metrics")
	return Metrics{Enabled: v.yes("enabled"), Listen: one(v, "listen", parseListen)}
}
