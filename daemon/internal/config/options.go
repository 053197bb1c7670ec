package config

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says how a value is read.
type Kind string

// The kinds of values.
const (
	KindBool       Kind = "boolean"
	KindNumber     Kind = "number"
	KindSeconds    Kind = "seconds"
	KindMillis     Kind = "milliseconds"
	KindChoice     Kind = "choice"
	KindText       Kind = "text"
	KindName       Kind = "name"       // of a modem or link of ours
	KindNetwork    Kind = "network"    // a netifd interface
	KindHost       Kind = "host"       // name, IPv4 or IPv6 address
	KindListen     Kind = "listen"     // host:port to listen on
	KindURL        Kind = "url"        // http or https
	KindPath       Kind = "path"       // absolute
	KindCredential Kind = "credential" // an absolute path, or the name of a stored credential
	KindMatch      Kind = "match"      // which modem it is
	KindDevice     Kind = "device"     // what a card front opens
	KindLine       Kind = "line"       // GPIO line
	KindATR        Kind = "atr"        // answer to reset in hexadecimal digits
	KindPLMN       Kind = "plmn"       // MCC and MNC
)

// Option is one row of the table of all options.
type Option struct {
	Section string // UCI section type
	Name    string
	Kind    Kind
	List    bool
	Default string // "" means unset
	// IoTDefault is the default in a modem whose role is iot, if it is another.
	IoTDefault string
	Choices    []string // of KindChoice
	Min, Max   int      // of the kinds that are numbers; Max counts bytes in KindText
	Required   string   // when it has to be set, in words; "" if never
	Expert     bool     // stands in no LuCI form
	Doc        string   // one sentence or two
	Cost       string   // what it costs in time or bytes, "" if nothing
	// Later says what does not exist yet, in words, where the option is accepted
	// and checked but this version does nothing with it; "" if it acts.
	Later string
}

// Accepts says in words which values the option takes.
func (o Option) Accepts() string {
	switch o.Kind {
	case KindBool:
		return "1 or 0 (also yes no, on off, true false, enabled disabled)"
	case KindNumber:
		return fmt.Sprintf("a whole number, %d to %d", o.Min, o.Max)
	case KindSeconds:
		return fmt.Sprintf("whole seconds, %d to %d", o.Min, o.Max)
	case KindMillis:
		return fmt.Sprintf("whole milliseconds, %d to %d", o.Min, o.Max)
	case KindChoice:
		return "one of " + strings.Join(o.Choices, ", ")
	case KindText:
		return fmt.Sprintf("UTF-8 text of at most %d bytes without control characters", o.Max)
	case KindName:
		if o.Section == "bank" {
			return "the name of a config modem section"
		}
		return "the name of a config modem or config link section"
	case KindNetwork:
		return "a name from /etc/config/network: letters, digits and _"
	case KindHost:
		return "a host name, an IPv4 address, or an IPv6 address without brackets"
	case KindListen:
		return "ADDRESS:PORT, an IPv6 address in brackets"
	case KindURL:
		return "https://HOST[:PORT][/PATH], an IPv6 address in brackets"
	case KindPath:
		return "an absolute path"
	case KindCredential:
		return "an absolute path, or the name of a stored credential (letters, digits, . _ -)"
	case KindMatch:
		return "usb:PATH (as usb:2-1.4), imei:15 DIGITS, serial:TEXT or dev:/dev/NAME"
	case KindDevice:
		return "usb:PATH[:INTERFACE], serial:TEXT[:INTERFACE], qmi:/dev/NAME[:SLOT] or HOST:PORT, as the front has it"
	case KindLine:
		return "the name of a GPIO line, or CHIP:OFFSET (as gpiochip0:20), with ! in front if it is active low"
	case KindATR:
		return "2 to 33 bytes in hexadecimal digits, complete by ISO 7816-3"
	case KindPLMN:
		return "3 digits MCC and 2 or 3 digits MNC, as 26201"
	}
	return ""
}

// Section is one row of the table of section types.
type Section struct {
	Type string
	// Name is what the packaged file and LuCI call the section, "" for
	// sections that may repeat.
	Name  string
	Named bool // has to have a name, and may repeat
	Doc   string
}

// Single tells whether there may be only one section of the type.
func (s Section) Single() bool { return s.Name != "" }

// Sections returns the section types in the order of the file.
func Sections() []Section {
	return []Section{
		{Type: "remsim", Name: "main", Doc: "The daemon as a whole."},
		{Type: "modem", Named: true, Doc: "A modem of this router, any number of them. The section's name is used everywhere."},
		{Type: "link", Named: true, Doc: "A link that is no modem of ours: wired, satellite, a modem that something else looks after. " +
			"An interface and its children (`wan` and `wan_6`) are one link."},
		{Type: "server", Doc: "An RSPRO server (remsim-server). Several stand in order of preference."},
		{Type: "bank", Doc: "With `list modem`: a bank that those modems reach directly; the first gets `slot`, each further one the next slot. " +
			"Without: corrections for a bank that a server announces under the same `bank_id`; host and port that are not set stay as announced."},
		{Type: "ionmesh", Name: "ionmesh", Doc: "The orchestrator, which assigns banks, slots and client ids."},
		{Type: "failover", Name: "failover", Doc: "Which link carries what, and when that changes."},
		{Type: "budget", Doc: "What one link may carry in a month. May repeat, once per link."},
		{Type: "hook", Doc: "A script that is told of causes. May repeat."},
		{Type: "metrics", Name: "metrics", Doc: "Prometheus text over HTTP."},
	}
}

// Options returns the table of all options: it drives the parser, docs/CONFIG.md
// and the check of the LuCI forms.
func Options() []Option {
	return slices.Concat(mainOptions(), modemOptions(), linkOptions(), serverOptions(), bankOptions(),
		ionmeshOptions(), failoverOptions(), budgetOptions(), hookOptions(), metricsOptions())
}
