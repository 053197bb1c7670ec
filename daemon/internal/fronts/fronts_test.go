package fronts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/fronts"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var t0 = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func emulator(path string) model.FrontSeen {
	return model.FrontSeen{Kind: "cardem", Device: "usb:" + path + ":0", Model: "SIMtrace2", Serial: "S" + path, USBPath: path, State: model.FrontOffered}
}

func port(name, path string, state model.FrontState, words string) model.FrontSeen {
	return model.FrontSeen{Kind: "uim-remote", Device: "qmi:/dev/" + name, USBPath: path, Port: name, State: state, Words: words}
}

func auto(name, path string) fronts.Modem {
	return fronts.Modem{Name: name, Auto: true, Wants: true, USBPath: path}
}

const notOffered = "the modem does not offer QMI UIM Remote (service 0x32)"

func TestChoice(t *testing.T) {
	offered := port("cdc-wdm0", "2-1", model.FrontOffered, "")
	refused := port("cdc-wdm0", "2-1", model.FrontRefused, notOffered)
	fixed := func(name, kind, device string) fronts.Modem {
		return fronts.Modem{Name: name, Kind: kind, Device: device, Wants: true}
	}
	with := func(m fronts.Modem, device string) fronts.Modem { m.Device = device; return m }
	local := func(m fronts.Modem) fronts.Modem { m.Wants = false; return m }
	type modems = []fronts.Modem
	type seen = []model.FrontSeen
	for _, tt := range []struct {
		name   string
		seen   seen
		modems modems
		want   map[string]fronts.Choice
		probe  []string
	}{
		{"nothing at all", nil, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and no card emulator is plugged in"}}, nil},
		{"the modem's own service", seen{offered}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Kind: "uim-remote", Device: "qmi:/dev/cdc-wdm0", Why: "the modem offers UIM Remote at qmi:/dev/cdc-wdm0"}}, nil},
		{"the service goes before an emulator, which may be another's", seen{emulator("1-1"), offered}, modems{auto("a", "2-1"), auto("b", "2-2")}, map[string]fronts.Choice{
			"a": {Kind: "uim-remote", Device: "qmi:/dev/cdc-wdm0", Why: "the modem offers UIM Remote at qmi:/dev/cdc-wdm0"},
			"b": {Kind: "cardem", Device: "usb:1-1:0", Why: "SIMtrace2 at usb:1-1:0 is the only card emulator that is free"}}, nil},
		{"a modem without the service gets the only emulator", seen{emulator("1-1"), refused}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Kind: "cardem", Device: "usb:1-1:0", Why: "SIMtrace2 at usb:1-1:0 is the only card emulator that is free"}}, nil},
		{"neither", seen{refused}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Why: "qmi:/dev/cdc-wdm0: " + notOffered + ", and no card emulator is plugged in"}}, nil},
		{"a port that was not asked is asked, and waited for", seen{emulator("1-1"), port("cdc-wdm0", "2-1", model.FrontUnasked, "")}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Pending: true, Why: "the modem is being asked at qmi:/dev/cdc-wdm0 whether it offers UIM Remote"}}, []string{"qmi:/dev/cdc-wdm0"}},
		{"the emulators wait for another modem's answer", seen{emulator("1-1"), port("cdc-wdm0", "2-1", model.FrontUnasked, "")}, modems{auto("a", "2-1"), auto("b", "2-2")}, map[string]fronts.Choice{
			"a": {Pending: true, Why: "the modem is being asked at qmi:/dev/cdc-wdm0 whether it offers UIM Remote"},
			"b": {Pending: true, Why: "the card emulators wait for modem a: the modem is being asked at qmi:/dev/cdc-wdm0 whether it offers UIM Remote"}}, []string{"qmi:/dev/cdc-wdm0"}},
		{"a port that could not be asked holds up nothing, and is asked again", seen{emulator("1-1"), port("cdc-wdm0", "2-1", model.FrontFailed, "qmi-proxy does not run")}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Kind: "cardem", Device: "usb:1-1:0", Why: "SIMtrace2 at usb:1-1:0 is the only card emulator that is free"}}, []string{"qmi:/dev/cdc-wdm0"}},
		{"another modem's port", seen{port("cdc-wdm0", "3-1", model.FrontOffered, "")}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and no card emulator is plugged in"}}, nil},
		{"a port known by ModemManager's name for it", seen{port("cdc-wdm0", "", model.FrontOffered, "")}, modems{{Name: "a", Auto: true, Wants: true, Ports: []string{"ttyUSB2", "cdc-wdm0"}}}, map[string]fronts.Choice{
			"a": {Kind: "uim-remote", Device: "qmi:/dev/cdc-wdm0", Why: "the modem offers UIM Remote at qmi:/dev/cdc-wdm0"}}, nil},
		{"a modem that was not seen yet", seen{emulator("1-1"), port("cdc-wdm0", "2-1", model.FrontUnasked, "")}, modems{{Name: "a", Auto: true, Wants: true, Coming: true}}, map[string]fronts.Choice{
			"a": {Pending: true, Why: "the modem was not seen yet"}}, nil},
		{"several emulators and nothing to tell them apart", seen{emulator("1-1"), emulator("1-2")}, modems{auto("a", "2-1")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and nothing tells which of the free card emulators is in its slot: usb:1-1:0 (SIMtrace2), usb:1-2:0 (SIMtrace2)"}}, nil},
		{"several emulators, one on the modem's hub", seen{emulator("1-1.3"), emulator("1-2")}, modems{auto("a", "1-1.2")}, map[string]fronts.Choice{
			"a": {Kind: "cardem", Device: "usb:1-1.3:0", Why: "SIMtrace2 at usb:1-1.3:0 is the only free card emulator on the modem's own hub"}}, nil},
		{"the router's own sockets are no hub", seen{emulator("1-1"), emulator("1-2")}, modems{auto("a", "1-3")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and nothing tells which of the free card emulators is in its slot: usb:1-1:0 (SIMtrace2), usb:1-2:0 (SIMtrace2)"}}, nil},
		{"two modems on one hub", seen{emulator("1-1.3")}, modems{auto("a", "1-1.1"), auto("b", "1-1.2")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and nothing tells in whose slot the only free card emulator is, usb:1-1.3:0 (SIMtrace2): modems a, b could have it"},
			"b": {Why: "the modem shows no QMI or MBIM port that fits, and nothing tells in whose slot the only free card emulator is, usb:1-1.3:0 (SIMtrace2): modems a, b could have it"}}, nil},
		{"an emulator of another modem, by its path", seen{emulator("1-1")}, modems{auto("a", "2-1"), fixed("b", "cardem", "usb:1-1")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and every card emulator is taken: usb:1-1:0 (modem b)"},
			"b": {Kind: "cardem", Device: "usb:1-1", Why: "by option front"}}, nil},
		{"of another modem, by its serial number", seen{emulator("1-1"), emulator("1-2")}, modems{auto("a", "2-1"), fixed("b", "cardem", "serial:S1-1:0")}, map[string]fronts.Choice{
			"a": {Kind: "cardem", Device: "usb:1-2:0", Why: "SIMtrace2 at usb:1-2:0 is the only card emulator that is free"},
			"b": {Kind: "cardem", Device: "serial:S1-1:0", Why: "by option front"}}, nil},
		{"front_device narrows the choice", seen{emulator("1-1"), emulator("1-2"), offered}, modems{with(auto("a", "2-1"), "serial:S1-2")}, map[string]fronts.Choice{
			"a": {Kind: "cardem", Device: "serial:S1-2", Why: "SIMtrace2 is what option front_device names"}}, nil},
		{"front_device that nothing fits", seen{emulator("1-1")}, modems{with(auto("a", "2-1"), "usb:1-4")}, map[string]fronts.Choice{
			"a": {Why: "the modem shows no QMI or MBIM port that fits, and no card emulator fits option front_device usb:1-4"}}, nil},
		{"front_device with a slot of the modem", seen{port("cdc-wdm0", "", model.FrontOffered, "")}, modems{with(auto("a", "2-1"), "qmi:/dev/cdc-wdm0:2")}, map[string]fronts.Choice{
			"a": {Kind: "uim-remote", Device: "qmi:/dev/cdc-wdm0:2", Why: "the modem offers UIM Remote at qmi:/dev/cdc-wdm0"}}, nil},
		{"front_device of a vpcd", nil, modems{with(auto("a", "2-1"), "127.0.0.1:35963")}, map[string]fronts.Choice{
			"a": {Kind: "vpcd", Device: "127.0.0.1:35963", Why: "option front_device is the address of a vpcd"}}, nil},
		{"a modem with its local card takes nothing", seen{emulator("1-1")}, modems{local(auto("a", "2-1")), auto("b", "2-2")}, map[string]fronts.Choice{
			"a": {Why: "its source is local"},
			"b": {Kind: "cardem", Device: "usb:1-1:0", Why: "SIMtrace2 at usb:1-1:0 is the only card emulator that is free"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := fronts.Decide(t0, fronts.Input{Told: true, Seen: tt.seen, Modems: tt.modems}, fronts.Memory{})
			require.Equal(t, tt.want, d.Choices)
			require.Equal(t, tt.probe, d.Probe)
			for i, j := 0, len(tt.seen)-1; i < j; i, j = i+1, j-1 {
				tt.seen[i], tt.seen[j] = tt.seen[j], tt.seen[i]
			}
			require.Equal(t, tt.want, fronts.Decide(t0, fronts.Input{Told: true, Seen: tt.seen, Modems: tt.modems}, fronts.Memory{}).Choices, "whatever the order")
		})
	}
}

// story plays one decision after the other.
type story struct {
	*testing.T
	memory fronts.Memory
	wake   time.Time
	probe  []string
}

func (s *story) at(seconds int, m fronts.Modem, seen ...model.FrontSeen) fronts.Choice {
	s.Helper()
	d := fronts.Decide(t0.Add(time.Duration(seconds)*time.Second), fronts.Input{Told: true, Seen: seen, Modems: []fronts.Modem{m}}, s.memory)
	s.memory, s.wake, s.probe = d.Memory, d.WakeAt, d.Probe
	return d.Choices[m.Name]
}

func TestWhatWorksStays(t *testing.T) {
	s, a := &story{T: t}, auto("a", "2-1")
	require.Equal(t, "usb:1-1:0", s.at(0, a, emulator("1-1")).Device)
	a.Working = true
	require.Equal(t, "usb:1-1:0", s.at(1, a, emulator("1-1"), emulator("1-2"), port("cdc-wdm0", "2-1", model.FrontOffered, "")).Device, "a better one changes nothing")
	require.Equal(t, "usb:1-1:0", s.at(1000, a, emulator("1-2")).Device, "it works, so it is there")
	a.Working = false
	require.Equal(t, "usb:1-1:0", s.at(1001, a, emulator("1-2")).Device, "it may be restarting")
	require.Equal(t, t0.Add(1031*time.Second), s.wake)
	require.Equal(t, "usb:1-1:0", s.at(1030, a, emulator("1-1"), emulator("1-2")).Device, "it was")
	require.Zero(t, s.wake)
	s.at(1040, a, emulator("1-2"))
	require.Equal(t, "usb:1-2:0", s.at(1070, a, emulator("1-2")).Device, "it is gone for good")
	s.at(1080, a)
	require.Equal(t, "usb:1-2:0", s.at(2000, a).Device, "with nothing else, it is what is waited for")
	a.Wants = false
	require.Equal(t, "usb:1-2:0", s.at(2001, a, emulator("1-2")).Device, "the way back to the local card needs it")
	a.Device = "usb:1-3"
	require.Empty(t, s.at(2002, a, emulator("1-2")).Device, "the configuration names another")
}

func TestAPortThatIsAskedInVain(t *testing.T) {
	s, a := &story{T: t}, auto("a", "2-1")
	silent := port("cdc-wdm0", "2-1", model.FrontUnasked, "")
	require.True(t, s.at(0, a, emulator("1-1"), silent).Pending)
	require.Equal(t, t0.Add(25*time.Second), s.wake)
	require.True(t, s.at(24, a, emulator("1-1"), silent).Pending)
	require.Equal(t, "usb:1-1:0", s.at(25, a, emulator("1-1"), silent).Device)
	s.at(26, a, emulator("1-1"), silent)
	require.Empty(t, s.probe, "who has a front needs no other")

	s = &story{T: t}
	s.at(0, a, silent)
	c := s.at(25, a, silent)
	require.False(t, c.Pending)
	require.Equal(t, "qmi:/dev/cdc-wdm0 gave no answer, and no card emulator is plugged in", c.Why)
	require.NotEmpty(t, s.probe, "it is asked on")
	require.Equal(t, "qmi:/dev/cdc-wdm0", s.at(100, a, port("cdc-wdm0", "2-1", model.FrontOffered, "")).Device)
}

func TestBeforeAnythingWasLookedAt(t *testing.T) {
	d := fronts.Decide(t0, fronts.Input{Modems: []fronts.Modem{auto("a", "2-1")}}, fronts.Memory{})
	require.Equal(t, fronts.Choice{Pending: true, Why: "what is plugged in was not looked at yet"}, d.Choices["a"])
}

func TestOffers(t *testing.T) {
	in := fronts.Input{Told: true,
		Seen: []model.FrontSeen{emulator("1-1"), emulator("1-2"), port("cdc-wdm0", "2-1", model.FrontRefused, notOffered), port("cdc-wdm1", "2-2", model.FrontOffered, ""),
			port("cdc-wdm2", "2-3", model.FrontOffered, ""), port("cdc-wdm3", "", model.FrontUnasked, "")},
		Modems: []fronts.Modem{{Name: "a", Kind: "cardem", Device: "usb:1-1", USBPath: "2-1"}, {Name: "b", USBPath: "2-2"}}}
	var got [][]string
	var why []string
	for _, f := range fronts.Offers(in, fronts.Decide(t0, in, fronts.Memory{}).Choices) {
		got, why = append(got, f.FreeFor), append(why, f.Reason)
	}
	require.Equal(t, [][]string{{}, {"a", "b"}, {}, {"b"}, {}, {}}, got)
	require.Equal(t, []string{"it is modem a's: by option front", "nobody uses it", notOffered, "the modem offers UIM Remote", "it belongs to no configured modem", "it was not asked yet"}, why)
}
