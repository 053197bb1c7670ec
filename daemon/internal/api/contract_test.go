package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// contracts is where the replies lie that the LuCI app's tests read.
const contracts = "../../../tests/contract/"

// golden holds v, as JSON, against a file of tests/contract, or writes it there.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "\t")
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(contracts+name, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(contracts + name)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "tests/contract/%s: run go test ./daemon/internal/api -run Contract -update and look at the difference", name)
}

// noon is when all of this is said to have happened.
var noon = time.Unix(1_800_000_000, 0)

func f64(v float64) *float64 { return &v }

// working is a router with two modems, a wired link and an orchestrator, on which
// everything works.
func working() *model.Snapshot {
	quality := 74
	since := noon.Unix() - 3600
	return &model.Snapshot{
		Version: "1.2.3", Sequence: 1 << 33, Time: noon, Started: noon.Add(-2 * time.Hour), DeviceID: "router-17",
		State: model.StateOperational, Reason: "primary uses the card in bank 1 slot 2",
		Modems: []model.Modem{
			{Name: "primary", Role: model.RolePrimary, Present: true, State: "connected", Model: "Mobile-5G", Manufacturer: "Acme", Revision: "1.0",
				Operator: "Test PLMN 1-1", AccessTechnology: "lte", Registration: "home", Network: "wwan0", Device: "/sys/devices/platform/xhci/usb2/2-1",
				Signal: model.Signal{RSSI: f64(-61), RSRP: f64(-92), RSRQ: f64(-10.5), SINR: f64(12), Quality: &quality},
				Card:   model.Card{Source: model.SourceRemote, Front: "cardem", State: model.CardReady, ICCID: "8988211000000000011", ATR: "3B9F96801FC78031A073BE211372656D73696D0001B3"}},
			{Name: "iot", Role: model.RoleIoT, Present: true, State: "registered", Model: "Meter-LTE", Manufacturer: "Acme", Revision: "2.1",
				Operator: "Test PLMN 1-1", AccessTechnology: "lte", Registration: "roaming", Network: "wwan1", Device: "/sys/devices/platform/xhci/usb2/2-2",
				Signal: model.Signal{RSSI: f64(-88)}, Card: model.Card{Source: model.SourceLocal, State: model.CardNone, ICCID: "8988211000000000045"}},
		},
		Links: []model.Link{
			{Name: "wan", Device: "eth0", Role: "none", Reason: "it is down", Since: since},
			{Name: "primary", Modem: "primary", Device: "wwan0", Up: true, Usable: true, Role: "data", Reason: "it is the first that is usable", Since: since, Loss: f64(0), RTT: f64(38.5), RxBytes: 81_000_000, TxBytes: 4_000_000},
			{Name: "iot", Modem: "iot", Device: "wwan1", Up: true, Usable: true, Role: "control", Reason: "it is the first of control_path", Since: since, Loss: f64(0.02), RTT: f64(120), RxBytes: 310_000, TxBytes: 290_000},
		},
		Failover: model.Failover{Data: "primary", Control: "iot", State: "normal", Reason: "wan is down, primary is the next usable link", Since: since, Switches: 3,
			Candidates: []model.Candidate{{Link: "wan", Role: "data", Reason: "it is down"}, {Link: "primary", Role: "data", Usable: true, Reason: "it is in use"}, {Link: "iot", Role: "control", Usable: true, Reason: "it is in use"}}},
		Sessions: []model.Session{{Modem: "primary", State: model.ConnConnected, Client: &model.ClientSlot{ID: 7, Slot: 1}, Bank: &model.BankSlot{ID: 1, Slot: 2},
			Server: model.Peer{State: model.ConnConnected, Address: "server.example.com:9998", TLS: true, Since: since},
			Bankd:  model.Peer{State: model.ConnConnected, Address: "[2001:db8::17]:9999", TLS: true, Since: since},
			TPDU:   model.TPDU{Sent: 412, Received: 412, Cached: 96, Auth: 5, RTTp50: 41.5, RTTp99: 180}}},
		IonMesh: model.IonMesh{State: "registered", URL: "https://ionmesh.example.com:5000", LastBeat: noon.Unix() - 40, NextBeat: 260, Lease: &model.Lease{ID: "l-17", Until: noon.Unix() + 7200, Epoch: 9}},
		Budget: []model.Budget{{Link: "iot", Month: 6_200_000, Limit: 10_000_000, Forecast: 11_300_000, State: "ok",
			Purposes: map[string]int64{"server": 3_900_000, "bank": 1_100_000, "orchestrator": 900_000, "probe": 300_000, "other": 0}}},
		Health: model.Health{Score: 100, Findings: []model.Finding{}},
	}
}

// hostile is text as an operator, a device or a bank may send it.
const hostile = `<img src=x onerror="window.hacked=1">`

// troubled is the same router with its bank away and markup in every text that
// comes from outside.
func troubled() *model.Snapshot {
	s := working()
	s.State, s.Reason = model.StateDegraded, "primary: bank 1 slot 2 is away for longer than the grace time"
	m := &s.Modems[0]
	m.Operator, m.Model, m.Manufacturer, m.Card.State, m.Card.Detail = hostile, hostile, "مودم طويل الاسم جدا", model.CardLost, "the bank said: "+hostile
	s.Modems[1].Present, s.Modems[1].State, s.Modems[1].Signal = false, "absent", model.Signal{}
	s.Sessions[0].State = model.ConnBackoff
	s.Sessions[0].Bankd = model.Peer{State: model.ConnBackoff, Address: "[2001:db8::17]:9999", Reason: hostile, Since: noon.Unix() - 400}
	s.Links[1].Usable, s.Links[1].Role, s.Links[1].Loss, s.Links[1].Reason = false, "none", f64(1), hostile
	s.Links[2].Role = "both"
	s.Failover.Data, s.Failover.Reason, s.Failover.Candidates[0].Reason = "iot", hostile, hostile
	s.IonMesh = model.IonMesh{State: "silent", URL: "https://ionmesh.example.com:5000"}
	held := health.Lookup(health.CardHeldLong)
	s.Health = model.Health{Score: 40, Findings: []model.Finding{
		{Code: "bank-peer-closed", Severity: model.Warning, Subject: "primary", Text: "bank: " + hostile, Since: noon.Unix() - 400, Fix: "Look at the peer's log if this lasts; remsim reconnects by itself."},
		{Code: held.Code, Severity: held.Severity, Subject: "primary", Text: held.Text, Since: noon.Unix() - 100, Fix: held.Fix},
	}}
	s.Budget[0].Month, s.Budget[0].State = 10_400_000, "essential"
	return s
}

// The shapes of replies are a contract with scripts and with the LuCI app, whose
// own tests read these files.
func TestContractStatus(t *testing.T) {
	golden(t, "status.json", reply(working(), noon))
	golden(t, "status-troubled.json", reply(troubled(), noon))
	golden(t, "status-unchanged.json", unchanged{Sequence: 1 << 33, Unchanged: true})
	off := &model.Snapshot{Version: "1.2.3", Sequence: 1 << 33, Time: noon, Started: noon, DeviceID: "router-17", State: model.StateStopped, Reason: "remsim is switched off",
		Modems: []model.Modem{}, Links: []model.Link{}, Sessions: []model.Session{}, IonMesh: model.IonMesh{State: "off"}, Budget: []model.Budget{},
		Failover: model.Failover{Candidates: []model.Candidate{}}, Health: model.Health{Score: 0, Findings: []model.Finding{}}}
	golden(t, "status-stopped.json", reply(off, noon))
}

func TestContractDiagnose(t *testing.T) {
	for name, s := range map[string]*model.Snapshot{"diagnose.json": working(), "diagnose-troubled.json": troubled()} {
		checks, verdict := health.Diagnose(s, "")
		golden(t, name, map[string]any{"checks": checks, "verdict": verdict})
	}
}

func TestContractEvents(t *testing.T) {
	at := noon.Unix()
	golden(t, "events.json", map[string]any{"events": []journal.Entry{
		{ID: 1, Time: at - 7200, Kind: model.KindState, Subject: "remsim", Text: "operational: primary uses the card in bank 1 slot 2", Count: 1},
		{ID: 2, Time: at - 3600, Kind: model.KindState, Subject: "remsim", Text: "ride_through: the bank is away", Count: 1},
		{ID: 3, Time: at - 3590, Kind: "failover", Subject: "iot", Text: "control traffic, primary to iot, primary is not usable: detect +0 ms, decide +12 ms, route +40 ms, control_up +1900 ms", Count: 1,
			Data: map[string]string{"role": "control", "from": "primary", "to": "iot", "reason": "primary is not usable", "detect_ms": "0", "decide_ms": "12", "route_ms": "40", "control_up_ms": "1900"}},
		{ID: 4, Time: at - 3500, Kind: model.KindState, Subject: "remsim", Text: "operational: primary uses the card in bank 1 slot 2", Count: 1},
		{ID: 5, Time: at - 60, Kind: model.KindBank, Subject: "primary", Text: hostile, Count: 4},
	}})
}

func TestContractOfSmallReplies(t *testing.T) {
	golden(t, "test.json", map[string]any{"ok": false, "steps": []model.Step{{Name: "connect", OK: true, MS: 3.5, Text: "connected to bank.example.com:9999"}, {Name: "card", MS: 1200, Text: "the bank has no card in slot 2"}}})
	golden(t, "trace.json", map[string]any{"apdus": []model.APDU{{ID: 9, Time: noon.Unix(), Modem: "primary", MS: 41.2, Command: "0088008122{34 bytes hidden}", Name: "AUTHENTICATE, USIM", Response: "{52 bytes hidden}", Status: "9000 ok"}}})
	golden(t, "gpio.json", model.LinePlan{Line: "sim-select", Chip: "gpiochip0", Offset: 20, Direction: "output", Plan: []string{"Drive sim-select high."}, Conflicts: []string{}})
	golden(t, "config.json", model.ConfigReport{OK: false, Path: "/etc/config/remsim", Warnings: []model.Problem{},
		Errors: []model.Problem{{Section: "primary", Option: "client_id", Value: "2000", Message: "2000 is not accepted: a whole number, 0 to 1023"}},
		Costs:  []model.Cost{{Setting: "failover.detect=normal on iot, idle (metered)", Seconds: 315, MBMonth: 1.59}, {Setting: "primary.status_interval=600, card_cache=safe", Seconds: 600, MBMonth: 1.29}}})
	golden(t, "discover.json", model.Found{
		Modems: []model.FoundModem{
			{Match: "usb:2-1", Configured: "primary", Network: "wwan0", Device: "/sys/devices/platform/xhci/usb2/2-1", USBPath: "2-1", IMEI: "015550000000002", Maker: "Acme", Model: "Mobile-5G", Revision: "1.0", State: "connected", Netdev: "wwan0", Ports: []model.Port{{Name: "wwan0", Kind: model.PortNet}}},
			{Device: "/sys/devices/virtual/modem", Maker: hostile, Model: "X", State: "failed", Ports: []model.Port{}}},
		Fronts:   []model.FrontSeen{{Kind: "cardem", Device: "usb:1-1:0", Serial: "17", Model: "SIMtrace2", FreeFor: []string{"primary"}, Reason: "no other modem uses it"}},
		Lines:    []model.Line{{Name: "sim-select", Chip: "gpiochip0", Offset: 20, Direction: "output", Role: "sim-select"}, {Chip: "gpiochip0", Offset: 4, Consumer: "led", Direction: "output"}},
		Networks: []model.FoundNetwork{{Name: "wwan0", Proto: "modemmanager", Device: "wwan0", Up: true, Modem: "usb:2-1"}, {Name: "wan", Proto: "dhcp", Device: "eth0"}},
		Notes:    []string{},
	})
	golden(t, "credential.json", map[string]any{"credentials": []model.Credential{{Kind: "ca", Name: "office", Expires: noon.Unix()}, {Kind: "api_key", Name: "mesh"}}})
	golden(t, "identities.json", map[string]any{"modems": []model.Identity{{Name: "primary"}}})
}

func TestContractMethods(t *testing.T) {
	methods := map[string][]string{}
	for _, m := range New(slog.New(slog.DiscardHandler)).Methods() {
		methods[m.Name] = []string{}
		for _, a := range m.Args {
			methods[m.Name] = append(methods[m.Name], a.Name)
		}
	}
	golden(t, "methods.json", methods)
}
