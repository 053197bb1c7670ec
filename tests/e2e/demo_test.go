package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// demo starts remsim-demo, where `make demo` does.
func demo(t *testing.T, args ...string) *rig.Process {
	t.Helper()
	return rig.Start(t, rig.Options{}, filepath.Join(rig.Programs(t, rig.Checked), "remsim-demo"), args...)
}

func TestDemoOnce(t *testing.T) {
	t.Parallel()
	for world, want := range map[string][]string{ // the story of each issue, line by line
		"tour.txt": {
			"connected to server ", "assigned to client 7 slot 1 (by server)", "connected to bank ", "power on, ATR 3B9F96801FC7", "ICCID " + iccid,
			"AUTHENTICATE: the card's RES is what the home network expects", "the bank is lost, the card is held", "the bank is back with the same card",
		},
		"two-modems.txt": {
			"primary: SIM line: ok in ", "primary: modem with the card: ok in ", "primary: the modem uses the remote card after ", "iot: the modem sees no card",
			"the card was unlocked with the PIN of interface wwan1", "ModemManager is not running", "iot: the modem is there: Meter-LTE",
			"soft reset: the modem is back after ", "reset by ModemManager: the modem is back after ", "reset line: the modem is back after ", "the modem uses the local card after ",
		},
	} {
		t.Run(world, func(t *testing.T) {
			t.Parallel()
			toldOnce(t, filepath.Join(rig.Root(), "tests", "worlds", world), want)
		})
	}
}

// toldOnce plays a world to its end, which tells everything that the world says and
// what is wanted besides.
func toldOnce(t *testing.T, file string, want []string) {
	p := demo(t, "--once", "--world", file)
	require.Zero(t, p.Wait(), "%s%s", p.Stdout, p.Stderr)
	require.Empty(t, p.Stderr.String())
	told := p.Stdout.String()
	world, err := os.ReadFile(file)
	require.NoError(t, err)
	said := 0
	for line := range strings.Lines(string(world)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "say "); ok {
			require.Contains(t, told, "* "+text)
			said++
		}
	}
	require.NotZero(t, said)
	for _, words := range append(want, "steps, all as they should be.") {
		require.Contains(t, told, words)
	}
}

// head is a world as far as `play`.
const head = "server\nbank 1 slots 2\ncard bank 1 slot 1 iccid 8988211000000000011 imsi 001010123456789\nmodem primary client 7 slot 1\nplay\n"

func TestDemoThatGoesWrongNamesTheLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, world, want string }{
		{"never reached", head + "see state waiting\nsee state operational\n", "line 7: see state operational: not so within 20s; the state is waiting: "},
		{"modem without a card", head + "modem read-iccid 8988211000000000011\n", "line 6: modem read-iccid 8988211000000000011: "},
		{"wrong card", head + "do assign client 7 slot 1 bank 1 slot 1\nmodem power-on\nmodem read-iccid 123\n", "line 8: modem read-iccid 123: the card is 8988211000000000011, expected 123"},
		{"no such bank", head + "do bank stop 9\n", "line 6: do bank stop 9: there is no bank 9"},
		{"no such verb", head + "dance\n", `line 6: "dance" is not one of say, do, see, modem, run`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "world.txt")
			require.NoError(t, os.WriteFile(file, []byte(tt.world), 0o644))
			p := demo(t, "--once", "--world", file)
			require.Equal(t, 1, p.Wait(), p.Stdout)
			require.Contains(t, p.Stderr.String(), tt.want)
			require.NotContains(t, p.Stdout.String(), "all as they should be")
		})
	}
}

// Without --once everything keeps running, and what it says to ask works.
func TestDemoKeepsRunning(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "world.txt")
	require.NoError(t, os.WriteFile(file, []byte(head+"see state waiting\n"), 0o644))
	p := demo(t, "--world", file, "--app", filepath.Join(rig.Root(), "luci-app-remsim"))
	p.Stdout.Contains(t, "Ctrl-C ends it.")
	address := regexp.MustCompile(`^Open (http://127\.0\.0\.1:\d+/) in a browser`).FindStringSubmatch(p.Stdout.String())
	require.NotNil(t, address, "the first line: %s", p.Stdout)
	res, err := http.Get(address[1])
	require.NoError(t, err)
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(page), "luci_password")
	asks := regexp.MustCompile(`(?m)^ +build/remsim (status|doctor) (--ubus .*)$`).FindAllStringSubmatch(p.Stdout.String(), -1)
	require.Len(t, asks, 2, p.Stdout)
	status := rig.Remsim(t, append([]string{"status"}, strings.Fields(asks[0][2])...)...)
	require.Zero(t, status.Code, status.Stderr)
	require.Contains(t, status.Stdout, "waiting")
	p.Signal(os.Interrupt)
	require.Zero(t, p.Wait(), p.Stderr)
	socket := strings.Fields(asks[0][2])[1]
	_, err = os.Stat(filepath.Dir(socket))
	require.ErrorIs(t, err, os.ErrNotExist, "its temporary folder is gone")
}
