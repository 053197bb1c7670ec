package config

// The rows of the table, one function per section type. Names, defaults and
// ranges are the contract; a change here is a change for every user.

func mainOptions() []Option {
	return in("remsim",
		Option{Name: "enabled", Kind: KindBool, Default: "0",
			Doc: "0: the daemon runs all the same, in state `stopped`: it reads and answers, connects nowhere and changes nothing."},
		Option{Name: "device_id", Kind: KindText, Max: 64,
			Doc: "How this router calls itself towards the orchestrator. Unset: the system's hostname."},
		Option{Name: "log_level", Kind: KindChoice, Default: "info", Choices: []string{"debug", "info", "warn", "error"},
			Doc: "The least severe line that is logged."},
		Option{Name: "history_keep", Kind: KindBool, Default: "0", Expert: true,
			Doc:  "1: write the measurements that `remsim history` shows to the state directory once an hour, so that they outlive a reboot. 0: they outlive a restart of the daemon only.",
			Cost: "Up to 355 KB written to flash an hour."},
		Option{Name: "card_cache_keep", Kind: KindBool, Default: "0", Expert: true,
			Doc:  "1: write what `card_cache` keeps of a card in mode `safe` to the state directory, once an hour at most and at the end, so that the first start-up after a reboot is as quick as any other. The card is asked for all of it again first. The file tells whose cards were used here (ICCID, IMSI); it holds no key, no PIN and no place. 0: it is removed.",
			Cost: "About 6 KB a card written to flash when it has changed, and 30 KB on the wire after a start."},
	)
}

func modemOptions() []Option {
	return in("modem",
		Option{Name: "role", Kind: KindChoice, Default: "primary", Choices: []string{"primary", "iot"},
			Doc: "`primary` carries user traffic, `iot` carries control traffic."},
		Option{Name: "match", Kind: KindMatch, Required: "unless front is vpcd or none",
			Doc: "Which modem it is. A USB path names the socket, IMEI and serial number the device; device nodes may change their numbers at a restart."},
		Option{Name: "network", Kind: KindNetwork,
			Doc: "The netifd interface of this modem. It and its children (`wwan0_4`, `wwan0_6`) are one link. Unset: the modem carries no traffic that we look after."},
		Option{Name: "network_remote", Kind: KindNetwork,
			Doc: "Another interface while the remote card is in, with that card's APN and PIN. Unset: `network`."},
		Option{Name: "source", Kind: KindChoice, Default: "remote", IoTDefault: "local", Choices: []string{"remote", "local"},
			Doc: "Which card the modem shall use."},
		Option{Name: "fallback", Kind: KindChoice, Default: "none", Choices: []string{"none", "local"},
			Doc: "What to do when no remote card can be had: nothing, or use the local card.", Cost: "A switch of cards costs an attach: some 10 to 60 s without the link."},
		Option{Name: "front", Kind: KindChoice, Default: "auto", Choices: []string{"auto", "cardem", "uim-remote", "vpcd", "none"},
			Doc: "How the modem is made to see the remote card: a card emulator in the SIM slot, a Qualcomm modem's UIM Remote service, vpcd for PC/SC programs. `auto` takes the modem's own UIM Remote service, else the only card emulator that can be meant."},
		Option{Name: "front_device", Kind: KindDevice,
			Doc: "What the front opens. cardem: `usb:PATH[:INTERFACE]` or `serial:TEXT[:INTERFACE]`; uim-remote: `qmi:/dev/NAME[:SLOT]`, SLOT being the modem's slot, 1 if not said; vpcd: `HOST:PORT`. Unset: the only one there is, 127.0.0.1:35963 for vpcd. With front auto it narrows the choice."},
		Option{Name: "client_id", Kind: KindNumber, Min: 0, Max: maxID, Required: "for a remote card, unless the orchestrator assigns one",
			Doc: "RSPRO client id. Together with client_slot it says at the server which card is meant for this modem."},
		Option{Name: "client_slot", Kind: KindNumber, Default: "0", Min: 0, Max: maxID,
			Doc: "RSPRO client slot."},
		Option{Name: "atr", Kind: KindATR, Expert: true,
			Doc: "Answer to reset that the modem sees instead of the bank's."},
		Option{Name: "card_cache", Kind: KindChoice, Default: "safe", Choices: []string{"off", "safe", "full"},
			Doc:  "What is kept of the card on this side: nothing; what cannot change while it is powered; files that the modem reads again and again too.",
			Cost: "`off` sends every STATUS poll of the modem to the bank."},
		Option{Name: "status_interval", Kind: KindSeconds, Default: "600", Min: 0, Max: 86400,
			Doc:  "Time between STATUS commands that really go to the card; those in between are answered here. 0: all go.",
			Cost: "Each is about 300 bytes. A card that was pulled out stays unnoticed for that long while nothing else goes to it."},
		Option{Name: "sim_line", Kind: KindLine,
			Doc: "GPIO line that switches the SIM slot between the local and the remote card."},
		Option{Name: "sim_remote_level", Kind: KindChoice, Default: "high", Choices: []string{"high", "low"},
			Doc: "Level of sim_line that selects the remote card."},
		Option{Name: "reset_line", Kind: KindLine,
			Doc: "GPIO line that resets the modem."},
		Option{Name: "reset_pulse_ms", Kind: KindMillis, Default: "500", Min: 10, Max: 10000, Expert: true,
			Doc: "How long reset_line is held."},
		Option{Name: "power_line", Kind: KindLine,
			Doc: "GPIO line that switches the modem's power."},
		Option{Name: "mm_reset", Kind: KindBool, Default: "1", Expert: true,
			Doc: "ModemManager may be asked to reset the modem."},
		Option{Name: "metered", Kind: KindBool, Default: "0", IoTDefault: "1",
			Doc: "Each byte counts: a silent link is probed less often.", Cost: "A dead metered link is noticed later; see failover.detect."},
		Option{Name: "user_traffic", Kind: KindChoice, Default: "always", IoTDefault: "never", Choices: []string{"never", "emergency", "always"},
			Doc: "May user traffic use this link: never, only when no other is left, always."},
	)
}

func linkOptions() []Option {
	return in("link",
		Option{Name: "network", Kind: KindNetwork, Required: "always",
			Doc: "The netifd interface."},
		Option{Name: "metered", Kind: KindBool, Default: "0",
			Doc: "Each byte counts: a silent link is probed less often.", Cost: "A dead metered link is noticed later; see failover.detect."},
		Option{Name: "user_traffic", Kind: KindChoice, Default: "always", Choices: []string{"never", "emergency", "always"},
			Doc: "May user traffic use this link: never, only when no other is left, always."},
	)
}

// tlsOptions are the same for every peer.
func tlsOptions() []Option {
	return []Option{
		{Name: "ca_cert", Kind: KindCredential,
			Doc: "Who signed the peer's certificate. Unset: the system's authorities."},
		{Name: "client_cert", Kind: KindCredential, Required: "with client_key",
			Doc: "Certificate to show to the peer."},
		{Name: "client_key", Kind: KindCredential, Required: "with client_cert",
			Doc: "Key of client_cert."},
		{Name: "allow_insecure", Kind: KindBool, Default: "0", Expert: true,
			Doc: "1: clear text to a peer that is not this router itself. Everyone on the way can read and answer; a critical finding stays."},
	}
}

func serverOptions() []Option {
	return in("server", append([]Option{
		{Name: "host", Kind: KindHost, Required: "always",
			Doc: "Where the server is.", Cost: "A stock server and we ping each other every 30 s."},
		{Name: "port", Kind: KindNumber, Default: "9998", Min: 1, Max: 65535,
			Doc: "The server's port for clients."},
		{Name: "tls", Kind: KindBool, Default: "1",
			Doc: "TLS to the server. A stock remsim-server speaks none: put stunnel or remsim-gate before it."},
	}, tlsOptions()...)...)
}

func bankOptions() []Option {
	return in("bank", append([]Option{
		{Name: "host", Kind: KindHost, Required: "with list modem",
			Doc: "Where the bank is."},
		{Name: "port", Kind: KindNumber, Default: "9999", Min: 1, Max: 65535,
			Doc: "The bank's port. Unset in a correction: as announced."},
		{Name: "bank_id", Kind: KindNumber, Default: "1", Min: 0, Max: maxID,
			Doc: "RSPRO bank id."},
		{Name: "slot", Kind: KindNumber, Default: "0", Min: 0, Max: maxID,
			Doc: "Slot of the first modem of `list modem`; each further modem gets the next one. Not used in a correction."},
		{Name: "modem", Kind: KindName, List: true,
			Doc: "Modems that use this bank directly, without a server."},
		{Name: "tls", Kind: KindBool, Default: "1",
			Doc: "TLS to the bank. A stock bank speaks none: put stunnel or remsim-gate before it."},
	}, tlsOptions()...)...)
}

func ionmeshOptions() []Option {
	return in("ionmesh", append([]Option{
		{Name: "enabled", Kind: KindBool, Default: "0",
			Doc: "Register with the orchestrator."},
		{Name: "url", Kind: KindURL, Required: "when enabled",
			Doc: "Where the orchestrator is."},
		{Name: "tenant_id", Kind: KindNumber, Default: "1", Min: 0, Max: 1<<31 - 1,
			Doc: "Tenant that this router belongs to."},
		{Name: "mapping_mode", Kind: KindChoice, Default: "ONE_TO_ONE_SWSIM", Choices: []string{"ONE_TO_ONE_SWSIM", "ONE_TO_ONE_VSIM", "KI_PROXY_SWSIM"},
			Doc: "Kind of card to ask for."},
		{Name: "mcc_mnc", Kind: KindPLMN,
			Doc: "Network whose card is wanted. Unset: the orchestrator chooses."},
		{Name: "api_key_file", Kind: KindCredential,
			Doc: "File that holds the API key, or the name of a stored one. The key itself never stands in this file, which everybody can read."},
		{Name: "heartbeat_interval", Kind: KindSeconds, Default: "300", Min: 10, Max: 3600,
			Doc:  "Time between beats. The orchestrator may ask for another.",
			Cost: "At the original's 60 s: 10 MB a month on one connection that stays, 42 with a new one per beat in clear text, 200 and more in TLS; docs/COST.md has the measured table."},
		{Name: "timeout", Kind: KindSeconds, Default: "10", Min: 1, Max: 60,
			Doc: "How long an answer of the orchestrator is waited for."},
	}, tlsOptions()...)...)
}

func failoverOptions() []Option {
	return in("failover",
		Option{Name: "control_path", Kind: KindName, List: true,
			Doc: "Modems and links that may carry control traffic, in order. Unset: modems with role iot, then the other modems, then the links, as they stand in the file."},
		Option{Name: "grace", Kind: KindSeconds, Default: "300", Min: 0, Max: 86400,
			Doc: "Time of `ride_through` (bank or every control path lost, card held) before the state is `degraded`. The card stays."},
		Option{Name: "failback", Kind: KindChoice, Default: "after", Choices: []string{"after", "immediate", "never"},
			Doc: "When a better link takes over again: after `hold` seconds, at once, or never."},
		Option{Name: "hold", Kind: KindSeconds, Default: "30", Min: 0, Max: 86400,
			Doc: "Time that a recovered link has to stay good."},
		Option{Name: "detect", Kind: KindChoice, Default: "normal", Choices: []string{"fast", "normal", "frugal"},
			Doc: "How eagerly silent links are probed; the table below has the numbers.", Cost: "Seconds against megabytes; see the table below."},
		Option{Name: "probe", Kind: KindHost, List: true, Expert: true,
			Doc: "Targets of probes besides the control hosts. Unset: the control hosts only, per address family; a link is usable if one family reaches them."},
	)
}

func budgetOptions() []Option {
	return in("budget",
		Option{Name: "link", Kind: KindName, Required: "always",
			Doc: "The modem or link that is counted."},
		Option{Name: "monthly_mb", Kind: KindNumber, Default: "10", Min: 1, Max: 10_000_000,
			Doc: "Decimal megabytes a month, both directions, at the IP layer. At 80 % of it there is a finding. A power cut forgets at most the last 70 minutes."},
		Option{Name: "reset_day", Kind: KindNumber, Default: "1", Min: 1, Max: 31,
			Doc: "Day on which the month starts, at midnight UTC; a shorter month starts anew on its last day."},
		Option{Name: "at_limit", Kind: KindChoice, Default: "essential", Choices: []string{"warn", "essential", "stop"},
			Doc: "At the limit, which the kernel keeps to the byte: a finding only; only what goes to bank and orchestrator passes, so beats, AUTHENTICATE and its answer, " +
				"while STATUS is answered here and no server is pinged, nothing probed and no user served; nothing passes."},
	)
}

func hookOptions() []Option {
	return later("no script is run", in("hook",
		Option{Name: "script", Kind: KindPath, Required: "always",
			Doc: "Program that is run with REMSIM_CAUSE and the other REMSIM_* variables in its environment."},
	))
}

func metricsOptions() []Option {
	return later("no metrics are served", in("metrics",
		Option{Name: "enabled", Kind: KindBool, Default: "0",
			Doc: "Serve metrics."},
		Option{Name: "listen", Kind: KindListen, Default: "127.0.0.1:9187", Expert: true,
			Doc: "Where. Off loopback everyone who reaches the address can read them.", Cost: "A scrape over a mobile link every 15 s is some 860 MB a month."},
	))
}

// in puts rows into a section type.
func in(section string, rows ...Option) []Option {
	for i := range rows {
		rows[i].Section = section
	}
	return rows
}

// later marks rows that nothing acts on yet.
func later(why string, rows []Option) []Option {
	for i := range rows {
		rows[i].Later = why
	}
	return rows
}

// maxID is the highest client, bank and slot number of RSPRO (ASN.1: INTEGER (0..1023)).
const maxID = 1023
