package app_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
)

// untilNoFinding waits until a finding is gone.
func (w *world) untilNoFinding(code string) {
	w.Helper()
	w.until("no finding "+code, func(s *model.Snapshot) bool {
		for _, f := range s.Health.Findings {
			if f.Code == code {
				return false
			}
		}
		return true
	})
}

func (w *modemWorld) startLocal() {
	w.Helper()
	w.startModems(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
	w.until("modem seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
}

// What watchcat may do to a modem is said, with the section that does it, as soon
// as its file changes; and nothing is said of what does not touch the modem.
func TestWatchcatIsNamed(t *testing.T) {
	t.Parallel()
	section := func(name string, options ...string) netifdfake.Section {
		s := netifdfake.Section{Type: "watchcat", Name: name, Options: map[string]string{}}
		for i := 0; i < len(options); i += 2 {
			s.Options[options[i]] = options[i+1]
		}
		return s
	}
	harmless := section("other", "mode", "restart_iface", "interface", "eth7", "mmifacename", "null")
	w := newModemWorld(t)
	w.netifd.SetFile("watchcat", section("nightly", "mode", "periodic_reboot", "period", "24h"))
	w.startLocal()
	f := w.untilFinding("watchcat")
	require.Equal(t, model.Warning, f.Severity)
	require.Equal(t, "primary", f.Subject)
	require.Contains(t, f.Text, "section nightly restarts the router every 24h")
	require.Contains(t, f.Fix, "Remove the watchcat section")

	for _, tt := range []struct {
		name    string
		section netifdfake.Section
		says    string
	}{
		{"by its default mode", section(""), "section @watchcat[1] restarts the router when its hosts do not answer for 120"},
		{"by the old name", section("a", "mode", "ping", "period", "6h"), "section a restarts the router when its hosts do not answer for 6h"},
		{"our network device", section("a", "mode", "restart_iface", "interface", "wwan0"), "section a restarts wwan0"},
		{"ModemManager", section("a", "mode", "restart_iface", "interface", "eth7", "mmifacename", "wwan9"), "section a restarts ModemManager and interface wwan9"},
		{"everything", section("a", "mode", "restart_iface"), "section a restarts the whole network"},
	} {
		w.netifd.SetFile("watchcat", harmless)
		w.untilNoFinding("watchcat")
		w.netifd.SetFile("watchcat", harmless, tt.section)
		f := w.untilFinding("watchcat")
		require.Contains(t, f.Text, tt.says, tt.name)
		require.NotContains(t, f.Text, "section other", tt.name)
	}
	w.netifd.SetFile("watchcat", harmless, section("s", "mode", "run_script"))
	w.untilNoFinding("watchcat")
	w.netifd.SetFile("watchcat", section("a", "mode", "ping_reboot"))
	w.untilFinding("watchcat")
	w.netifd.SetFile("watchcat") // removed with the package
	w.untilNoFinding("watchcat")
}

// A reload looks again, in case procd's word was missed.
func TestReloadLooksForWatchcatAgain(t *testing.T) {
	t.Parallel()
	w := newModemWorld(t)
	w.startLocal()
	w.netifd.ChangeFileQuietly("watchcat", netifdfake.Section{Type: "watchcat"})
	require.NoError(t, w.call("reload", nil, nil))
	w.untilFinding("watchcat")
}

// A program that opened the modem's AT port before ModemManager shows the modem
// is named; ModemManager itself is none of them.
func TestAnotherUserOfTheATPortIsNamed(t *testing.T) {
	t.Parallel()
	w := newModemWorld(t)
	port, err := atfake.New(t.TempDir(), "quectel-lte")
	require.NoError(t, err)
	t.Cleanup(port.Close)
	node, err := os.Readlink(port.Path())
	require.NoError(t, err)
	f, err := os.Open(node)
	require.NoError(t, err)
	defer f.Close()
	other := exec.Command("sleep", "600")
	other.Stdin = f
	require.NoError(t, other.Start())
	t.Cleanup(func() { _ = other.Process.Kill(); _, _ = other.Process.Wait() })

	w.modem.Unplug()
	s := spec
	s.Ports = []model.Port{{Name: "cdc-wdm0", Kind: model.PortQMI}, {Name: strings.TrimPrefix(node, "/dev/"), Kind: model.PortAT}, {Name: "wwan0", Kind: model.PortNet}}
	w.mm.Plug(s)
	w.startLocal()
	found := w.untilFinding("at-port-busy")
	require.Contains(t, found.Text, node+" is open in sleep (process ")
	require.Contains(t, found.Text, "besides ModemManager")

	require.NoError(t, other.Process.Kill())
	_, _ = other.Process.Wait()
	require.NoError(t, w.call("reload", nil, nil))
	w.untilNoFinding("at-port-busy")
}
