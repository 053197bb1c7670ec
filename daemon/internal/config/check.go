package config

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// check looks at what no option can tell alone: the rules between options and
// between sections.
func check(b *builder, c *Config) {
	rules := &rules{b: b, c: c, missing: func(p model.Problem) { c.missing = append(c.missing, p) }}
	rules.modems()
	rules.networks()
	rules.peers()
	rules.banks()
	rules.paths()
	rules.others()
	if c.Main.Enabled {
		b.problems = append(b.problems, c.missing...)
	}
}

// Missing lists what has to be added before the daemon can be enabled. In an
// enabled configuration the same stand among the errors; in one that is not,
// they are no errors yet, since somebody may still be writing it.
func (c *Config) Missing() []model.Problem { return slices.Clone(c.missing) }

type rules struct {
	b       *builder
	c       *Config
	missing func(model.Problem)
}

// at returns the values of the i-th section of a type.
func (r *rules) at(typ string, i int) values {
	for _, s := range r.b.file.Sections {
		if s.Type != typ {
			continue
		}
		if i == 0 {
			return values{b: r.b, typ: typ, sec: s}
		}
		i--
	}
	return values{b: r.b, typ: typ, name: typ}
}

// need notes what an enabled configuration cannot do without. A value that is
// there and wrong has its error already.
func (r *rules) need(v values, name, format string, args ...any) {
	if name != "" && v.has(name) {
		return
	}
	r.missing(model.Problem{Section: v.path(), Option: name, Message: fmt.Sprintf(format, args...), Line: v.line(name)})
}

// modems checks each modem, and that no two are the same.
func (r *rules) modems() {
	matches := make(map[Match]string)
	clients := make(map[model.ClientSlot]string)
	for i, m := range r.c.Modems {
		v := r.at("modem", i)
		if m.Match.By == "" && m.Front != FrontVPCD && m.Front != FrontNone {
			r.need(v, "match", "is needed to know which modem it is; accepted: %s", v.row("match").Accepts())
		}
		if other, ok := matches[m.Match]; ok && m.Match.By != "" {
			v.add("match", m.Match.By+":"+m.Match.Value, "is the modem of section %s already; each modem needs a match of its own", other)
		}
		matches[m.Match] = m.Name
		if client, ok := m.Client(); ok {
			if other, ok := clients[client]; ok {
				v.add("client_id", fmt.Sprint(client.ID), "with client_slot %d is the client of section %s already; each modem needs a pair of its own",
					client.Slot, other)
			}
			clients[client] = m.Name
		}
		r.front(v, m)
		r.remote(v, m)
	}
}

// frontForms says which forms of front_device a front takes.
func frontForms(f Front) (by []string, words string) {
	switch f {
	case FrontCardem:
		return []string{"usb", "serial"}, "usb:PATH[:INTERFACE] or serial:TEXT[:INTERFACE]"
	case FrontUIMRemote:
		return []string{"qmi"}, "qmi:/dev/NAME[:SLOT]"
	case FrontVPCD:
		return []string{"tcp"}, "HOST:PORT of vpcd"
	case FrontNone:
		return nil, "nothing: front none opens no device"
	}
	return []string{"usb", "serial", "qmi", "tcp"}, ""
}

func (r *rules) front(v values, m Modem) {
	d := m.FrontDevice
	if d.By == "" {
		return
	}
	if forms, words := frontForms(m.Front); !slices.Contains(forms, d.By) {
		v.add("front_device", d.String(), "does not fit front %s; accepted: %s", m.Front, words)
	}
	if d.By == "tcp" {
		if host, _, err := net.SplitHostPort(d.Value); err == nil && !loopback(host) {
			v.warn("front_device", d.String(), "vpcd has no encryption: everyone on the way can read what the card is asked and answers")
		}
	}
}

// remote checks that a modem that shall use a remote card can come to one.
func (r *rules) remote(v values, m Modem) {
	if m.Source != model.SourceRemote {
		return
	}
	if r.c.IonMesh.Enabled {
		return // the orchestrator assigns client, server and bank
	}
	if m.ClientID == nil {
		r.need(v, "client_id", "is needed for a remote card while no orchestrator assigns one; accepted: %s", v.row("client_id").Accepts())
	}
	if _, direct := r.c.BankOf(m.Name); !direct && len(r.c.Servers) == 0 {
		r.missing(model.Problem{Section: v.path(), Option: "source", Value: string(m.Source), Line: v.line("source"),
			Message: fmt.Sprintf("there is no way to a remote card: add config server with option host, or config bank with option host and list modem '%s', "+
				"or enable config ionmesh 'ionmesh'; or set option source 'local'", m.Name)})
	}
	if m.Front == FrontNone {
		v.warn("front", string(m.Front), "with source remote: the card is reached, but no modem will see it")
	}
}

// networks checks that each netifd interface has one owner.
func (r *rules) networks() {
	owner := make(map[string]string)
	claim := func(v values, option, network, name string) {
		if network == "" {
			return
		}
		if other, ok := owner[network]; ok && other != name {
			v.add(option, network, "is the network of section %s already; a link belongs to one section", other)
			return
		}
		owner[network] = name
	}
	for i, m := range r.c.Modems {
		v := r.at("modem", i)
		claim(v, "network", m.Network, m.Name)
		claim(v, "network_remote", m.NetworkRemote, m.Name)
	}
	for i, l := range r.c.Links {
		v := r.at("link", i)
		r.need(v, "network", "is needed; accepted: %s", v.row("network").Accepts())
		claim(v, "network", l.Network, l.Name)
	}
}

// peers checks what servers, banks and the orchestrator have in common.
func (r *rules) peers() {
	for i, s := range r.c.Servers {
		v := r.at("server", i)
		r.need(v, "host", "is needed; accepted: %s", v.row("host").Accepts())
		r.secure(v, s.TLS, s.Host, "tls", "set option tls '1'")
	}
	for i, bank := range r.c.Banks {
		r.secure(r.at("bank", i), bank.TLS, bank.Host, "tls", "set option tls '1'")
	}
	v := r.b.single("ionmesh")
	if m := r.c.IonMesh; m.Enabled {
		if m.URL == "" && !v.has("url") {
			v.add("url", "", "is needed when enabled is 1; accepted: %s", v.row("url").Accepts())
		}
		r.secure(v, m.TLS, m.Host(), "url", "write https://")
	}
}

// secure refuses clear text off loopback, and half a client certificate.
func (r *rules) secure(v values, t TLS, host, option, instead string) {
	f := t.Files
	switch {
	case f.Cert != "" && f.Key == "" && !v.has("client_key"):
		v.add("client_key", "", "is needed with client_cert; accepted: %s", v.row("client_key").Accepts())
	case f.Key != "" && f.Cert == "" && !v.has("client_cert"):
		v.add("client_cert", "", "is needed with client_key; accepted: %s", v.row("client_cert").Accepts())
	}
	if t.On {
		return
	}
	if f != (model.TLSFiles{}) {
		v.warn(option, r.written(v, option), "means clear text: ca_cert, client_cert and client_key are not used")
	}
	// A host that was refused has its own error; one that a server will
	// announce can be anywhere.
	if t.AllowInsecure || loopback(host) || host == "" && (v.has("host") || v.typ != "bank") {
		return
	}
	where := "to " + host
	if host == "" {
		where = "to wherever the server says"
	}
	v.add(option, r.written(v, option), "clear text %s is refused: %s, or add to section %s the line: option allow_insecure '1'", where, instead, v.path())
}

// written is the value of an option as it stands in the file.
func (r *rules) written(v values, name string) string {
	if !v.has(name) {
		return ""
	}
	return v.sec.find(name).Values[0]
}

// banks checks who uses which bank and slot.
func (r *rules) banks() {
	user := make(map[string]string) // by modem
	corrected := make(map[uint16]string)
	type place struct {
		host string
		port uint16
		slot model.BankSlot
	}
	taken := make(map[place]string)
	for i, bank := range r.c.Banks {
		v := r.at("bank", i)
		if !bank.Direct() && !v.has("modem") {
			if other, ok := corrected[bank.ID]; ok {
				v.add("bank_id", fmt.Sprint(bank.ID), "is corrected in section %s already", other)
			}
			corrected[bank.ID] = bank.Name
			continue
		}
		r.need(v, "host", "is needed with list modem; accepted: %s", v.row("host").Accepts())
		if last := int(bank.Slot) + len(bank.Modems) - 1; last > maxID {
			v.add("slot", fmt.Sprint(bank.Slot), "leaves no slot for the last of %d modems; slots end at %d", len(bank.Modems), maxID)
		}
		for _, name := range bank.Modems {
			r.known(v, "modem", name, false)
			if other, ok := user[name]; ok {
				v.add("modem", name, "uses the bank of section %s already; a modem has one card", other)
			}
			user[name] = bank.Name
			slot, _ := bank.SlotOf(name)
			at := place{bank.Host, bank.Port, slot}
			if other, ok := taken[at]; ok && bank.Host != "" && other != name {
				v.add("slot", fmt.Sprint(bank.Slot), "slot %d of this bank is modem %s's already; a card has one user", slot.Slot, other)
			}
			taken[at] = name
		}
	}
}

// paths checks the names in failover and budget.
func (r *rules) paths() {
	v := r.b.single("failover")
	for _, name := range r.c.Failover.ControlPath {
		r.known(v, "control_path", name, true)
	}
	r.needsItself(v)
	counted := make(map[string]string)
	for i, budget := range r.c.Budgets {
		v := r.at("budget", i)
		r.need(v, "link", "is needed; accepted: %s", v.row("link").Accepts())
		if budget.Link == "" {
			continue
		}
		r.known(v, "link", budget.Link, true)
		if other, ok := counted[budget.Link]; ok {
			v.add("link", budget.Link, "has its budget in section %s already", other)
		}
		counted[budget.Link] = v.path()
	}
}

// needsItself finds the deadlock that two modems are there to avoid: every way to
// the card leads over a modem that needs the card first. Whoever lists such ways
// is refused; where they are only all there is, it is a warning.
func (r *rules) needsItself(v values) {
	path := r.c.Failover.ControlPath
	tell := v.add
	if len(path) == 0 {
		path, tell = defaultControlPath(r.c), v.warn
	}
	if !r.c.Main.Enabled || len(path) == 0 {
		return
	}
	var chain []string
	for _, name := range path {
		word := r.needsCard(name)
		if word == "" {
			return
		}
		chain = append(chain, word)
	}
	tell("control_path", strings.Join(path, " "), "%s, and the card is reached over them; "+
		"add a modem with source local or a config link, or set option fallback 'local'", strings.Join(chain, ", "))
}

// needsCard says in words why a link is online only with a remote card, "" if it
// is not so. A link section may be a modem's interface under another name.
func (r *rules) needsCard(name string) string {
	if m, ok := r.c.Modem(name); ok {
		if m.needsCard() {
			return name + " needs the remote card to be online"
		}
		return ""
	}
	for _, l := range r.c.Links {
		if l.Name != name {
			continue
		}
		for _, m := range r.c.Modems {
			if m.needsCard() && m.serves(l.Network) {
				return fmt.Sprintf("%s is the interface %s of modem %s, which needs the remote card to be online", name, l.Network, m.Name)
			}
		}
	}
	return ""
}

// needsCard tells that the modem is online only with its remote card.
func (m *Modem) needsCard() bool {
	return m.Source == model.SourceRemote && m.Network != "" && m.Fallback != FallbackLocal
}

// serves tells that network is the modem's, or a child of it (wwan0_4).
func (m *Modem) serves(network string) bool {
	for _, own := range []string{m.Network, m.NetworkRemote} {
		if own != "" && (network == own || network == own+"_4" || network == own+"_6") {
			return true
		}
	}
	return false
}

// known reports a name that no modem has (nor a link, if links count).
func (r *rules) known(v values, option, name string, links bool) {
	var names []string
	for _, m := range r.c.Modems {
		names = append(names, m.Name)
	}
	what := "modem"
	if links {
		what = "modem or link"
		for _, l := range r.c.Links {
			names = append(names, l.Name)
		}
	}
	if slices.Contains(names, name) {
		return
	}
	accepted := fmt.Sprintf("one of %q", names)
	switch near := r.b.nearest(name, names); {
	case len(names) == 0:
		accepted = "none, as there is no such section yet"
	case near != "":
		accepted += fmt.Sprintf(", did you mean %q", near)
	}
	v.add(option, name, "is no %s of this file; accepted: %s", what, accepted)
}

func (r *rules) others() {
	for i := range r.c.Hooks {
		v := r.at("hook", i)
		r.need(v, "script", "is needed; accepted: %s", v.row("script").Accepts())
	}
	if m := r.c.Metrics; m.Enabled {
		v := r.b.single("metrics")
		if host, _, err := net.SplitHostPort(m.Listen); err == nil && !loopback(host) {
			v.warn("listen", m.Listen, "everyone who reaches this address can read the metrics")
		}
	}
}
