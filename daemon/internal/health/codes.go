package health

import (
	"slices"
	"sort"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Codes of findings. They are stable once released.
const (
	ConfigInvalid = "config-invalid"
	ConfigRefused = "config-refused"
	ConfigWarning = "config-warning"
	Disabled      = "disabled"
	TaskFailing   = "task-failing"
	ClearText     = "rspro-clear-text"
	FrontNone     = "front-none"
	FrontDown     = "front-down"
	FrontGone     = "front-unplugged"
	FrontRestart  = "front-restarted"
	FrontStalled  = "front-stalled"
	FrontProxy    = "front-proxy-gone"
	FrontModem    = "front-modem-restarted"
	NoAssignment  = "no-assignment"
	Unmapped      = "unmapped"
	CardHeld      = "card-held"
	CardHeldLong  = "card-held-long"
	CardSilent    = "card-silent"
	CardSlow      = "card-slow"
	CardCut       = "card-cut"

	ModemManagerMissing = "modemmanager-missing"
	ModemFailed         = "modem-failed"
	SIMMissing          = "sim-missing"
	SIMError            = "sim-error"
	PINMissing          = "pin-missing"
	PINWrong            = "pin-wrong"
	PINLastTry          = "pin-last-try"
	PUKNeeded           = "puk-needed"
	RegistrationDenied  = "registration-denied"
	WrongCard           = "wrong-card"
	SwitchFailed        = "switch-failed"
	ATPortHung          = "at-port-hung"
	ATPortBusy          = "at-port-busy"
	LineBusy            = "line-busy"
	LineMissing         = "line-missing"
	PowerOff            = "power-off"
	TwoOwners           = "two-owners"
	Watchcat            = "watchcat"
	PowerSaving         = "power-saving"

	LinkUnusable  = "link-unusable"
	ControlLost   = "control-lost"
	ControlOnCard = "control-on-card"
	Deadlock      = "card-needs-itself"
	RoutesFailed  = "routes-failed"
	OtherRouter   = "other-router"

	BudgetNear    = "budget-near"
	BudgetReached = "budget-reached"
	NotCounted    = "traffic-not-counted"
	Unasked       = "unsolicited-inbound"
	PeerDNS       = "peerdns-on-closed-link"
	DefaultRoute  = "defaultroute-on-closed-link"
)

// Server, Bank and IonMesh are put before a peer code (model.PeerCodes) to make the code
// of the finding: server-dns-failed, bank-no-card.
const (
	Server  = "server-"
	Bank    = "bank-"
	IonMesh = "ionmesh-"
)

// Doc describes one finding code: what is true, how bad it is and the cure.
// docs/TROUBLESHOOTING.md has a section for each.
type Doc struct {
	Code     string
	Severity model.Severity
	Text     string
	Fix      string
}

// own are the findings that are not about a connection.
var own = []Doc{
	{ConfigInvalid, model.Critical, "the configuration cannot be used and there is no earlier one",
		"Run `remsim config check`, correct /etc/config/remsim, then `ubus call remsim reload`."},
	{ConfigRefused, model.Critical, "the new configuration was refused, the last accepted one is in use",
		"Run `remsim config check`, correct /etc/config/remsim, then `ubus call remsim reload`."},
	{ConfigWarning, model.Warning, "the configuration holds something that has no effect",
		"Run `remsim config check` and correct what it names."},
	{Disabled, model.Info, "remsim is switched off",
		"Set option enabled '1' in section main when the settings are complete."},
	{TaskFailing, model.Warning, "a part of remsim keeps failing and is started again",
		"Read the reason; if it names no device or service of yours, report it with the system log."},
	{ClearText, model.Critical, "card traffic travels in clear text",
		"Set option tls '1' for this peer, or keep the connection inside a VPN."},
	{FrontNone, model.Critical, "the modem has no way to take a remote card",
		"Put a card emulator into its SIM slot and plug that in; or switch UIM Remote on in a Quectel modem: `remsim front enable MODEM`; or set option front and front_device."},
	{FrontDown, model.Critical, "the card front cannot be opened",
		"Check that the device is plugged in and that nothing else uses it; remsim tries again by itself."},
	{FrontGone, model.Critical, "the card emulator is not plugged in",
		"Plug it in again; remsim goes on by itself. If nobody pulled it out, try another cable or socket: some deliver too little power."},
	{FrontRestart, model.Warning, "the card front failed and came back",
		"The modem starts its card anew by itself. If nobody touched it: an emulator may need other firmware, another cable or socket; of a modem or its proxy, ModemManager's log may know more."},
	{FrontStalled, model.Warning, "the card emulator refused USB transfers",
		"remsim opens it anew by itself. If this comes again, plug it in anew, and update its firmware."},
	{FrontProxy, model.Critical, "the program that shares the modem's control port is gone",
		"ModemManager starts qmi-proxy or mbim-proxy: `service modemmanager restart`. remsim goes on by itself as soon as it is back."},
	{FrontModem, model.Warning, "the modem restarted under its remote card",
		"Nothing to do if somebody reset it. Else look at its power supply and firmware; remsim shows the card again by itself."},
	{NoAssignment, model.Warning, "no card is assigned to this modem",
		"Create a slot map for this client id and slot at the RSPRO server, or add a bank section."},
	{Unmapped, model.Info, "the card was taken away by the command unmap",
		"Run `remsim map`, or let the server assign a slot anew."},
	{CardHeld, model.Warning, "the bank is away, the card is held for the modem",
		"Nothing to do yet: remsim reconnects by itself. Look at the bank if this lasts."},
	{CardHeldLong, model.Critical, "the bank has been away for longer than the grace time",
		"Check the bank and the path to it; the card stays held until it is back."},
	{CardSilent, model.Warning, "the card does not answer in time",
		"Check the bank's card reader and the delay to it; `remsim test card` measures it."},
	{CardSlow, model.Warning, "the card lets the modem wait",
		"Nothing to do if this passes. Else check the path to the bank and its card reader; `remsim test card` measures them."},
	{CardCut, model.Warning, "the modem gave a command up before its answer came",
		"Nothing to do if somebody reset the modem. Else it lost its power, or its patience with a distant card: `remsim test card` shows the delay."},
	{ModemManagerMissing, model.Critical, "ModemManager is not running",
		"Install and start it: `opkg install modemmanager` (or apk add), then `service modemmanager start`."},
	{ModemFailed, model.Critical, "ModemManager cannot use the modem",
		"`remsim reset MODEM` restarts it; if it comes back failed, update its firmware or check its USB mode."},
	{SIMMissing, model.Critical, "the modem sees no card",
		"Put a card in, or check the SIM line: `remsim gpio MODEM sim` shows where it stands."},
	{SIMError, model.Critical, "the modem cannot read its card",
		"Take the card out and in again, or try it in a phone; a remote card may need another option atr."},
	{PINMissing, model.Critical, "the card asks for its PIN and none is configured",
		"Set option pincode of the modem's network interface, or switch the PIN off."},
	{PINWrong, model.Critical, "the card refused the configured PIN",
		"Correct option pincode of the modem's network interface. remsim does not try the same PIN again."},
	{PINLastTry, model.Critical, "only one PIN try is left, so remsim tries none",
		"Enter the right PIN by hand (`mmcli -i SIM --pin=…`) or with a phone; a wrong one blocks the card."},
	{PUKNeeded, model.Critical, "the card is blocked and asks for its PUK",
		"Unblock it with a phone, or `mmcli -i SIM --puk=… --pin=…`."},
	{RegistrationDenied, model.Critical, "the network refuses the modem",
		"The text names the cause, where the modem tells: check the subscription, roaming, and that the card may be used in this modem."},
	{WrongCard, model.Critical, "after the switch the modem shows another card than the one assigned",
		"Check that the SIM line and the card front belong to this modem: option sim_line, sim_remote_level and front_device."},
	{SwitchFailed, model.Critical, "the card switch failed",
		"`remsim events --kind card_switch` lists its steps; `remsim sim MODEM remote` tries again."},
	{ATPortHung, model.Warning, "the modem's AT port does not answer",
		"`remsim reset MODEM` restarts the modem; if another program uses the port, stop it."},
	{ATPortBusy, model.Warning, "another program has the modem's AT port open",
		"Stop the program that the text names, or give it another port."},
	{LineBusy, model.Critical, "a GPIO line is held by somebody else",
		"The text names the holder: remove its gpio-leds or gpio-export entry, or configure another line."},
	{LineMissing, model.Critical, "a configured GPIO line does not exist on this router",
		"`remsim gpio MODEM LINE` lists the lines there are; correct option sim_line, reset_line or power_line."},
	{PowerOff, model.Critical, "the modem's power line stands on off",
		"`remsim reset MODEM --method power` switches it on; find out which program switched it off."},
	{TwoOwners, model.Critical, "another program controls the same modem",
		"Run only one of them: the text names the other."},
	{Watchcat, model.Warning, "watchcat may restart the router or this modem's interface behind remsim's back",
		"Remove the watchcat section that the text names; remsim watches the link itself."},
	{PowerSaving, model.Warning, "the modem may sleep through control traffic",
		"Switch it off: AT+CPSMS=0 and AT+CEDRXS=0."},
	{LinkUnusable, model.Warning, "the link carries nothing",
		"The text says what was seen. Check antenna, subscription and interface; remsim uses the other links meanwhile and comes back by itself."},
	{ControlLost, model.Critical, "no control path is usable: neither server, bank nor orchestrator can be reached",
		"Bring one of the links of option control_path back; the card is held meanwhile."},
	{ControlOnCard, model.Warning, "control traffic runs over the very card it carries",
		"It works, but nothing is in reserve: bring the IoT modem or another link back."},
	{Deadlock, model.Critical, "the way to the card needs the card",
		"Add a way that does not: an IoT modem with source local, or a config link for a wired network, in option control_path; or set option fallback 'local'."},
	{BudgetNear, model.Warning, "the link has carried 80 % of its monthly budget",
		"`remsim links` shows what it went for, and `remsim config check` what each setting costs; or raise option monthly_mb."},
	{BudgetReached, model.Critical, "the link has carried its monthly budget",
		"Raise option monthly_mb of its budget section, or wait for the next month; `remsim links` shows what it went for."},
	{NotCounted, model.Warning, "the traffic of the links can neither be counted nor be kept off them",
		"Install nftables-json and kmod-nft-core, which every OpenWrt with firewall4 has; the text says what went wrong."},
	{Unasked, model.Warning, "traffic that nobody asked for comes in over a metered link",
		"It is dropped, but the carrier counts it: ask for a private APN, or for a firewall in the carrier's network."},
	{PeerDNS, model.Warning, "the router asks the name servers of a link that its own traffic may not use",
		"Set option peerdns '0' in the interface that the text names; remsim asks them for itself all the same."},
	{DefaultRoute, model.Warning, "the router has a default route over a link that its own traffic may not use",
		"Set option defaultroute '0' in the interface that the text names; remsim has routes of its own there."},
	{RoutesFailed, model.Critical, "the routes of the links could not be set",
		"The text names the rule or route. Until it is mended, traffic goes where the system's own routes lead."},
	{OtherRouter, model.Info, "another program decides over user traffic, so remsim leaves that to it and routes only its own",
		"Nothing to do if that is wanted; else remove the other program's configuration and reload remsim."},
}

// peers are the findings about a connection, for the server and for the bank.
var peers = []struct {
	code     string
	severity model.Severity
	text     string
	fix      string
}{
	{model.PeerDNSFailed, model.Warning, "its name cannot be resolved",
		"Check the spelling of option host and that DNS works on the control path."},
	{model.PeerConnectRefused, model.Warning, "nothing listens there",
		"Check option port and that the program runs; remsim tries again by itself."},
	{model.PeerConnectTimeout, model.Warning, "it does not answer",
		"Check the address, the path to it and firewalls between; remsim tries again by itself."},
	{model.PeerTLSFailed, model.Critical, "the TLS handshake fails",
		"Check that the peer speaks TLS on this port and accepts the client certificate."},
	{model.PeerCertificateExpired, model.Critical, "its certificate has expired",
		"Renew the peer's certificate, or check the router's clock."},
	{model.PeerCertificateNotYetValid, model.Critical, "its certificate is not valid yet",
		"Check the router's clock: it may not have been set since it was switched on."},
	{model.PeerCertificateUntrusted, model.Critical, "its certificate is not trusted",
		"Set option ca_cert to the authority that signed it, and host to the name in it."},
	{model.PeerGarbage, model.Critical, "it does not speak RSPRO",
		"Check option port: something else, often a web server, answers there."},
	{model.PeerMalformed, model.Warning, "it sent a malformed message",
		"Report the text with the versions of both sides; remsim reconnects by itself."},
	{model.PeerKeepAliveTimeout, model.Warning, "it stopped answering keep-alives",
		"Check the path to it; remsim reconnects by itself."},
	{model.PeerClosed, model.Warning, "it closed the connection",
		"Look at the peer's log if this lasts; remsim reconnects by itself."},
	{model.PeerIdentityInUse, model.Critical, "another client uses the same client id and slot",
		"Give each router its own client_id and client_slot. After a cut, an old connection may block for about a minute."},
	{model.PeerNoCard, model.Critical, "it has no card in the assigned slot",
		"Check the slot map, the bank's reader and card. A bank that still serves a dead connection needs unmap and map, or a restart."},
	{model.PeerRefused, model.Warning, "it refused this client",
		"The text names the result; check client_id, client_slot and the slot map."},
	{model.PeerWrongType, model.Critical, "it is not the program that is expected there",
		"A server listens on 9998, a bank on 9999: check host and port of the sections server and bank."},
	{model.PeerOutOfStep, model.Warning, "its answers did not fit the commands",
		"Report it with the bank's version; remsim reconnects by itself and loses no command silently."},
	{model.PeerWriteTimeout, model.Warning, "it takes no data",
		"Check the path to it; remsim reconnects by itself."},
}

// Codes lists every finding code there is, sorted by code.
func Codes() []Doc {
	all := slices.Clone(own)
	for _, p := range peers {
		all = append(all,
			Doc{Server + p.code, p.severity, "RSPRO server: " + p.text, p.fix},
			Doc{Bank + p.code, p.severity, "bank: " + p.text, p.fix})
	}
	for _, m := range mesh {
		m.Code = IonMesh + m.Code
		all = append(all, m)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all
}

// Lookup returns the description of a code. An unknown code describes itself.
func Lookup(code string) Doc {
	for _, d := range own {
		if d.Code == code {
			return d
		}
	}
	for _, p := range peers {
		switch code {
		case Server + p.code:
			return Doc{code, p.severity, "RSPRO server: " + p.text, p.fix}
		case Bank + p.code:
			return Doc{code, p.severity, "bank: " + p.text, p.fix}
		}
	}
	for _, m := range mesh {
		if IonMesh+m.Code == code {
			m.Code = code
			return m
		}
	}
	return Doc{Code: code, Severity: model.Warning, Text: code}
}
