package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// TestReloadRepeatsNoAction: whoever looks after a modem by new settings knows
// what was done by the old ones.
func TestReloadRepeatsNoAction(t *testing.T) {
	w := newModemWorld(t)
	text := strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1)
	w.startModems(text)
	w.until("modem seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	const resetCall = "org.freedesktop.ModemManager1.Modem.Reset"
	resets := func() (n int) {
		for _, c := range w.mm.Calls() {
			if c.Method == resetCall {
				n++
			}
		}
		return n
	}
	// With the call unanswered, the action is the newest when the settings change.
	w.mm.Hang(resetCall, true)
	require.NoError(t, w.call("reset", map[string]any{"method": "modemmanager"}, nil))
	w.until("reset under way", func(*model.Snapshot) bool { return resets() == 1 })
	w.write(strings.Replace(text, "sim_line 'sim-select'", "sim_line 'spare'", 1))
	require.NoError(t, w.call("reload", nil, nil))
	w.until("the reset was cut off", func(*model.Snapshot) bool { return strings.Contains(w.journal(), "no help from reset by ModemManager") })
	// The new settings are in use once their SIM line is held.
	w.until("line taken", func(*model.Snapshot) bool { return strings.Contains(w.gpio.String(), "remsim") })
	require.NoError(t, w.call("reset", map[string]any{"method": "gpio"}, nil))
	w.until("next action", func(*model.Snapshot) bool {
		return strings.Contains(strings.Join(w.gpio.History(w.chip, resetLine), " "), "low high")
	})
	require.Equal(t, 1, resets(), "done once")
}

// TestAResetDoesNotWaitForAMuteModem: a modem that hangs while it is switched on
// is the very one to be reset, before the step's deadline.
func TestAResetDoesNotWaitForAMuteModem(t *testing.T) {
	w := newModemWorld(t)
	w.mm.Hang("org.freedesktop.ModemManager1.Modem.Enable", true)
	text := strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1)
	w.startModems(strings.Replace(text, "	option network 'wwan0'\n", "", 1))
	w.until("being switched on", func(*model.Snapshot) bool { return w.mm.Hanging() == 1 })
	require.NoError(t, w.call("reset", map[string]any{"method": "gpio"}, nil))
	w.until("pulse", func(*model.Snapshot) bool {
		return strings.Contains(strings.Join(w.gpio.History(w.chip, resetLine), " "), "low high")
	})
	require.NotContains(t, w.journal(), "timeout")
}
