package mm_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
)

// TestMmcliTakesTheFakeForModemManager has ModemManager's own client, on its
// own D-Bus library, talk to the fake and its bus.
func TestMmcliTakesTheFakeForModemManager(t *testing.T) {
	mmcli, err := exec.LookPath("mmcli")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs the Debian package modemmanager: ", err)
		}
		t.Skip("needs the Debian package modemmanager: ", err)
	}
	f := newFake(t, "1.20.4")
	spec := fakeSpec
	spec.Card = &mmfake.Card{ICCID: iccid1, IMSI: imsi2, PIN: "1234"}
	f.Plug(spec)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"-L"}, "L850-GL"},
		{[]string{"-m", "0"}, "locked"},
		{[]string{"-i", "0", "--pin=1234"}, "successfully sent PIN"},
		{[]string{"-m", "0", "-e"}, "successfully enabled"},
		{[]string{"-m", "0"}, "registered"},
		{[]string{"-m", "0", "--signal-setup=5"}, "Successfully setup"},
		{[]string{"-m", "0", "--signal-get"}, "-80.00 dBm"},
		{[]string{"-i", "0"}, iccid1},
		{[]string{"-m", "0", "-r"}, "successfully"},
		{[]string{"-L"}, "Modem/1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		cmd := exec.CommandContext(ctx, mmcli, step.args...)
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+f.Address())
		out, err := cmd.CombinedOutput()
		cancel()
		require.NoError(t, err, "%v: %s", step.args, out)
		require.Contains(t, string(out), step.want, step.args)
		require.NotContains(t, string(out), "CRITICAL", step.args)
	}
}

// TestProbeTime: a reprobe takes its time, and a fake that is closed meanwhile
// ends at once.
func TestProbeTime(t *testing.T) {
	f := mmfake.New(mmfake.Options{Probe: time.Hour})
	require.NoError(t, f.Listen(shortDir(t)+"/bus"))
	m := f.Plug(fakeSpec)
	require.NotEmpty(t, m.Path())
	m.InsertSIM(mmfake.Card{ICCID: iccid1, IMSI: imsi2})
	require.Empty(t, m.Path())
	f.Close()

	f = mmfake.New(mmfake.Options{Probe: time.Millisecond})
	require.NoError(t, f.Listen(shortDir(t)+"/bus"))
	t.Cleanup(f.Close)
	m = f.Plug(fakeSpec)
	m.InsertSIM(mmfake.Card{ICCID: iccid1, IMSI: imsi2})
	require.Eventually(t, func() bool { return m.Path() != "" }, bound, time.Millisecond)
}
