package inventory_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/inventory"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// modem builds an observation; "" for what it does not tell.
func modem(number int, usb, imei string, ttys ...string) model.ObservedModem {
	m := model.ObservedModem{
		Path: fmt.Sprintf("/org/freedesktop/ModemManager1/Modem/%d", number), Device: "/sys/devices/usb/" + usb, USBPath: usb, IMEI: model.IMEI(imei), Model: "EC25",
	}
	for _, tty := range ttys {
		m.Ports = append(m.Ports, model.Port{Name: tty, Kind: model.PortAT})
	}
	return m
}

const (
	imeiA = "490154203237518"
	imeiB = "356938035643809"
)

// step is one state of the world and what must come of it: entry -> USB path,
// and the findings as "code subject".
type step struct {
	seen     []model.ObservedModem
	want     map[string]string
	findings []string
}

func TestModemsKeepTheirNames(t *testing.T) {
	type seen = []model.ObservedModem
	serial := func(m model.ObservedModem, s string) model.ObservedModem { m.Serial = s; return m }
	entry := func(name, match string) inventory.Entry {
		by, value, _ := strings.Cut(match, ":")
		return inventory.Entry{Name: name, By: by, Value: value}
	}
	for name, c := range map[string]struct {
		entries []inventory.Entry
		steps   []step
	}{
		"reprobe under a new number": {
			[]inventory.Entry{entry("a", "usb:2-1")},
			[]step{
				{seen{modem(0, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
				{nil, map[string]string{}, []string{"modem-not-found a"}},
				{seen{modem(1, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
			},
		},
		"the newer of two observations of a device": {
			[]inventory.Entry{entry("a", "usb:2-1")},
			[]step{{seen{modem(10, "2-1", imeiA), modem(9, "2-1", "")}, map[string]string{"a": "2-1"}, nil}},
		},
		"imei while a failing modem does not tell it": {
			[]inventory.Entry{entry("a", "imei:"+imeiA)},
			[]step{
				{seen{modem(0, "2-1", "")}, map[string]string{}, []string{"modem-unclaimed /sys/devices/usb/2-1", "modem-not-found a"}},
				{seen{modem(1, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(2, "2-1", "")}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(3, "2-1", imeiB)}, map[string]string{}, []string{"modem-unclaimed /sys/devices/usb/2-1", "modem-not-found a"}},
			},
		},
		"imei plugged into another port": {
			[]inventory.Entry{entry("a", "imei:"+imeiA)},
			[]step{
				{seen{modem(0, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(1, "1-1.4", imeiA)}, map[string]string{"a": "1-1.4"}, nil},
			},
		},
		"usb that comes back on the other bus": {
			[]inventory.Entry{entry("a", "usb:2-1")},
			[]step{
				{seen{modem(0, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(1, "1-1", imeiA)}, map[string]string{"a": "1-1"}, []string{"modem-moved a"}},
				{seen{modem(2, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
			},
		},
		"usb port with another modem in it is that modem": {
			[]inventory.Entry{entry("a", "usb:2-1")},
			[]step{
				{seen{modem(0, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(1, "2-1", imeiB)}, map[string]string{"a": "2-1"}, nil},
			},
		},
		"a tty that moves": {
			[]inventory.Entry{entry("a", "dev:/dev/ttyUSB2"), entry("b", "dev:/dev/ttyUSB6")},
			[]step{
				{seen{modem(0, "2-1", imeiA, "ttyUSB2"), modem(1, "2-2", imeiB, "ttyUSB6")}, map[string]string{"a": "2-1", "b": "2-2"}, nil},
				{seen{modem(2, "2-1", imeiA, "ttyUSB6"), modem(3, "2-2", imeiB, "ttyUSB2")}, map[string]string{"a": "2-1", "b": "2-2"}, []string{"modem-moved a", "modem-moved b"}},
				{seen{modem(3, "2-2", imeiB, "ttyUSB2")}, map[string]string{"b": "2-2"}, []string{"modem-other-device a", "modem-moved b"}},
			},
		},
		"a modem exchanged in its place keeps the tty's entry": {
			[]inventory.Entry{entry("a", "dev:/dev/ttyUSB2")},
			[]step{
				{seen{modem(0, "2-1", imeiA, "ttyUSB2")}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(1, "2-1", imeiB, "ttyUSB2")}, map[string]string{"a": "2-1"}, nil},
			},
		},
		"a stranger with the tty's name is refused": {
			[]inventory.Entry{entry("a", "dev:/dev/ttyUSB2")},
			[]step{
				{seen{modem(0, "2-1", imeiA, "ttyUSB2")}, map[string]string{"a": "2-1"}, nil},
				{seen{modem(1, "2-2", imeiB, "ttyUSB2")}, map[string]string{}, []string{"modem-other-device a"}},
				{seen{modem(1, "2-2", imeiB, "ttyUSB2"), modem(2, "2-1", imeiA, "ttyUSB9")}, map[string]string{"a": "2-1"}, []string{"modem-unclaimed /sys/devices/usb/2-2", "modem-moved a"}},
			},
		},
		"serial": {
			[]inventory.Entry{entry("a", "serial:X1")},
			[]step{
				{seen{serial(modem(0, "2-1", imeiA), "X1"), serial(modem(1, "2-2", imeiB), "X2")}, map[string]string{"a": "2-1"}, []string{"modem-unclaimed /sys/devices/usb/2-2"}},
				{seen{serial(modem(2, "2-3", imeiA), "X1")}, map[string]string{"a": "2-3"}, nil},
			},
		},
		"serial that is the IMEI": {
			[]inventory.Entry{entry("a", "serial:"+imeiA)},
			[]step{{seen{modem(0, "2-1", imeiA)}, map[string]string{"a": "2-1"}, nil}},
		},
		"two modems with one serial number": {
			[]inventory.Entry{entry("a", "serial:0123456789ABCDEF")},
			[]step{
				{seen{serial(modem(0, "2-1", imeiA), "0123456789ABCDEF")}, map[string]string{"a": "2-1"}, nil},
				{seen{serial(modem(0, "2-1", imeiA), "0123456789ABCDEF"), serial(modem(1, "2-2", imeiB), "0123456789ABCDEF")}, map[string]string{"a": "2-1"}, []string{"modem-unclaimed /sys/devices/usb/2-2"}},
			},
		},
		"two modems with one serial number from the start": {
			[]inventory.Entry{entry("a", "serial:0")},
			[]step{{seen{serial(modem(0, "2-1", imeiA), "0"), serial(modem(1, "2-2", imeiB), "0")}, map[string]string{}, []string{"modem-ambiguous a"}}},
		},
		"two entries that are one device": {
			[]inventory.Entry{entry("a", "dev:/dev/ttyUSB2"), entry("b", "usb:2-1"), entry("c", "imei:"+imeiA)},
			[]step{{seen{modem(0, "2-1", imeiA, "ttyUSB2")}, map[string]string{"b": "2-1"}, []string{"modem-claimed-twice a", "modem-claimed-twice c"}}},
		},
		"a device that nobody names": {
			[]inventory.Entry{entry("a", "usb:2-1"), {Name: "vpcd"}},
			[]step{{seen{modem(0, "2-1", imeiA), modem(1, "2-2", imeiB)}, map[string]string{"a": "2-1"}, []string{"modem-unclaimed /sys/devices/usb/2-2"}}},
		},
		"what was moved does not take a device that is named": {
			[]inventory.Entry{entry("a", "usb:2-1"), entry("b", "usb:2-2")},
			[]step{
				{seen{modem(0, "2-1", imeiA)}, map[string]string{"a": "2-1"}, []string{"modem-not-found b"}},
				{seen{modem(1, "2-2", imeiA)}, map[string]string{"b": "2-2"}, []string{"modem-claimed-twice a"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var memory inventory.Memory
			for i, s := range c.steps {
				r := inventory.Match(c.entries, s.seen, memory)
				require.Equal(t, s.want, places(r), "step %d", i)
				require.Equal(t, s.findings, codes(r), "step %d", i)
				memory = r.Memory
			}
		})
	}
}

func places(r inventory.Result) map[string]string {
	got := map[string]string{}
	for name, m := range r.Assigned {
		got[name] = m.USBPath
	}
	return got
}

func codes(r inventory.Result) (got []string) {
	for _, f := range r.Findings {
		got = append(got, f.Code+" "+f.Subject)
	}
	return got
}

func TestAChangedMatchForgets(t *testing.T) {
	seen := []model.ObservedModem{modem(0, "2-1", imeiA, "ttyUSB2"), modem(1, "2-2", imeiB, "ttyUSB3")}
	r := inventory.Match([]inventory.Entry{{"a", inventory.ByDev, "/dev/ttyUSB2"}}, seen, nil)
	require.Equal(t, "2-1", r.Assigned["a"].USBPath)
	r = inventory.Match([]inventory.Entry{{"a", inventory.ByDev, "/dev/ttyUSB3"}}, seen, r.Memory)
	require.Equal(t, "2-2", r.Assigned["a"].USBPath)
	r = inventory.Match(nil, seen, r.Memory)
	require.Empty(t, r.Memory, "sections that are gone are forgotten")
}

func TestFindingsSayWhatAndWhatToDo(t *testing.T) {
	seen := []model.ObservedModem{modem(0, "2-1", imeiA)}
	r := inventory.Match([]inventory.Entry{{"a", inventory.ByIMEI, imeiB}}, seen, nil)
	require.Len(t, r.Findings, 2)
	for _, f := range r.Findings {
		require.NotEmpty(t, f.Text)
		require.True(t, strings.HasSuffix(f.Fix, "."), f.Fix)
		require.NotContains(t, f.Text+f.Fix, imeiA)
		require.NotContains(t, f.Text+f.Fix, imeiB)
	}
	seenCodes := map[string]bool{}
	for _, f := range inventory.Codes() {
		require.False(t, seenCodes[f.Code])
		seenCodes[f.Code] = true
	}
}

// TestProperties holds what must be true of every world: no device has two
// names, the order of observations is nothing, a second look changes nothing,
// and a modem named by its IMEI is never another.
func TestProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	imeis := []string{imeiA, imeiB, "", "351756051523999"}
	entries := []inventory.Entry{
		{"imei", inventory.ByIMEI, imeiA}, {"usb", inventory.ByUSB, "2-2"}, {"dev", inventory.ByDev, "/dev/ttyUSB1"}, {"serial", inventory.BySerial, "S1"},
	}
	for run := range 300 {
		var memory inventory.Memory
		for range 8 {
			var seen []model.ObservedModem
			for i := range rng.IntN(4) {
				m := modem(rng.IntN(9), fmt.Sprintf("2-%d", i+1), imeis[rng.IntN(len(imeis))], fmt.Sprintf("ttyUSB%d", (i+rng.IntN(2))%3))
				m.Serial = fmt.Sprintf("S%d", rng.IntN(3))
				seen = append(seen, m)
			}
			r := inventory.Match(entries, seen, memory)
			devices := map[string]string{}
			for name, m := range r.Assigned {
				require.Empty(t, devices[m.Device], "run %d: %s is %s as well", run, m.Device, name)
				devices[m.Device] = name
			}
			if m, ok := r.Assigned["imei"]; ok && m.IMEI != "" {
				require.Equal(t, model.IMEI(imeiA), m.IMEI)
			}
			for _, e := range entries {
				_, assigned := r.Assigned[e.Name]
				said := slices.ContainsFunc(r.Findings, func(f model.Finding) bool { return f.Subject == e.Name })
				require.True(t, assigned || said, "run %d: nothing is said about %s", run, e.Name)
			}
			rng.Shuffle(len(seen), func(i, j int) { seen[i], seen[j] = seen[j], seen[i] })
			require.Equal(t, places(r), places(inventory.Match(entries, seen, memory)), "run %d: order", run)
			require.Equal(t, places(r), places(inventory.Match(entries, seen, r.Memory)), "run %d: a second look at %+v\nmemory before %+v\nafter %+v", run, seen, memory, r.Memory)
			memory = r.Memory
		}
	}
}
