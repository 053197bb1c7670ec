package config

import (
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// checkNames reports sections and options that are not in the tables. They are
// warnings: what is known keeps its meaning. A section that would leave open
// which of two counts, or what it is called, is an error.
func (b *builder) checkNames() {
	types := make(map[string]Section)
	var known []string
	for _, s := range Sections() {
		types[s.Type] = s
		known = append(known, s.Type)
	}
	first := make(map[string]*section)
	for _, s := range b.file.Sections {
		kind, ok := types[s.Type]
		if !ok {
			b.section(s, true, "%s", b.unknownSection(s, known))
			continue
		}
		switch {
		case kind.Single() && first[s.Type] != nil:
			b.section(s, false, "is the second %q section after %s; only one is accepted", s.Type, first[s.Type].Path())
		case kind.Single() && s.Name != kind.Name:
			b.section(s, true, "is read, but LuCI looks for it under the name %q: config %s '%s'", kind.Name, s.Type, kind.Name)
		case kind.Named && s.Anonymous:
			b.section(s, false, "has no name, by which the rest of the file would call it: write config %s 'NAME'", s.Type)
		}
		if first[s.Type] == nil {
			first[s.Type] = s
		}
		b.unknownOptions(s)
	}
}

// section notes a problem of a section as a whole.
func (b *builder) section(s *section, warning bool, format string, args ...any) {
	b.problems = append(b.problems, model.Problem{Section: s.Path(), Message: fmt.Sprintf(format, args...), Line: s.Line, Warning: warning})
}

func (b *builder) unknownOptions(s *section) {
	var known []string
	for _, o := range Options() {
		if o.Section == s.Type {
			known = append(known, o.Name)
		}
	}
	v := values{b: b, typ: s.Type, sec: s}
	for _, o := range s.Options {
		if _, ok := b.options[[2]string{s.Type, o.Name}]; ok {
			continue
		}
		value := ""
		if len(o.Values) > 0 {
			value = o.Values[0]
		}
		v.warn(o.Name, value, "%s", b.unknownOption(s.Type, o.Name, known))
	}
}

func (b *builder) unknownSection(s *section, known []string) string {
	text := fmt.Sprintf("section type %q is not known and is not used", clip(s.Type))
	if hint, ok := formerSections()[s.Type]; ok {
		return text + "; " + hint
	}
	if near := b.nearest(s.Type, known); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

func (b *builder) unknownOption(typ, name string, known []string) string {
	text := "is not known and is not used"
	former := formerOptions()
	for _, key := range []string{typ + "." + name, name} {
		if hint, ok := former[key]; ok {
			return text + "; " + hint
		}
	}
	if near := b.nearest(name, known); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	for _, o := range Options() {
		if o.Name == name {
			return text + fmt.Sprintf("; it belongs into config %s", o.Section)
		}
	}
	return text
}

// formerSections says where the sections of the original project went.
func formerSections() map[string]string {
	const convert = "; `remsim config import FILE` converts a file of the original project"
	return map[string]string{
		"service":        "its enabled stands in config remsim 'main'" + convert,
		"client":         "client_id and client_slot stand in each config modem, a name for the router in option device_id of config remsim 'main'" + convert,
		"modems":         "each modem has a config modem of its own" + convert,
		"modem1":         "write config modem 'primary'" + convert,
		"modem2":         "write config modem 'iot'" + convert,
		"modem_quirks":   "what a modem model needs is built in",
		"monitoring":     "signal comes from ModemManager; what a link may carry stands in config budget" + convert,
		"logging":        "option log_level stands in config remsim 'main'" + convert,
		"routing":        "which links carry control traffic stands in list control_path of config failover" + convert,
		"advanced":       "scripts stand in config hook" + convert,
		"heartbeat":      "heartbeat_interval and timeout stand in config ionmesh" + convert,
		"security":       "tls, ca_cert, client_cert and client_key stand in each config server, config bank and config ionmesh" + convert,
		"load_balancing": "user traffic is failed over, not balanced: see config failover; mwan3 balances",
		"healing_policy": "what is tried, and when, is built in; see config failover for its times",
		"alert":          "a config hook is told of every cause",
	}
}

// formerOptions says where options of the original project went, and helps
// with names that people often try. Keys are type.name, or a name in any section.
func formerOptions() map[string]string {
	return map[string]string{
		"modem.device":            "write option match 'dev:/dev/ttyUSB2', better usb: and the USB path",
		"modem.sim_switch_gpio":   "write option sim_line with the line's name or CHIP:OFFSET; the original read its number as hexadecimal",
		"modem.sim_gpio":          "write option sim_line with the line's name or CHIP:OFFSET; the original read its number as hexadecimal",
		"modem.reset_gpio":        "write option reset_line with the line's name or CHIP:OFFSET; the original read its number as hexadecimal",
		"modem.power_gpio":        "write option power_line with the line's name or CHIP:OFFSET",
		"modem.interface":         "write option network with the netifd interface",
		"modem.vendor":            "ModemManager tells the vendor",
		"modem.model":             "ModemManager tells the model",
		"modem.imei":              "write option match 'imei:DIGITS'",
		"modem.enabled":           "take the section out, or set option source 'local'",
		"modem.apn":               "APN and PIN stay with netifd, in /etc/config/network",
		"modem.pin":               "APN and PIN stay with netifd, in /etc/config/network",
		"server.atr":              "it stands in config modem",
		"server.atr_ignore_rspro": "an option atr in config modem always wins over the bank's",
		"server.enabled":          "take the section out instead",
		"bank.enabled":            "take the section out instead",
		"bank.slot_id":            "did you mean \"slot\"?",
		"ionmesh.host":            "write option url 'https://HOST:PORT'",
		"ionmesh.port":            "it stands in option url",
		"ionmesh.api_key":         "everybody can read this file: put the key in a file of mode 0600 and name it in api_key_file",
		"ionmesh.interval":        "did you mean \"heartbeat_interval\"?",
		"ionmesh.tls":             "an url with https:// means TLS",
		"remsim.debug":            "write option log_level 'debug'",
		"remsim.client_id":        "it stands in each config modem; a name for the router is option device_id",
		"use_tls":                 "did you mean \"tls\"?",
		"hook.path":               "did you mean \"script\"?",
		"failover.interface":      "links are named in list control_path",
	}
}
