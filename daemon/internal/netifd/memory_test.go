package netifd_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// TestTakenDownOutlivesTheProcess: netifd leaves down what was taken down, so
// whoever starts anew has to know who did it.
func TestTakenDownOutlivesTheProcess(t *testing.T) {
	onEach(t, func(t *testing.T, r rig) {
		ctx := t.Context()
		memory := filepath.Join(t.TempDir(), "down.json")
		takenDown := func(i model.Interface) bool { return i.Idle() && i.TakenDown }
		byOther := func(i model.Interface) bool { return i.Idle() && !i.TakenDown }
		r.available(true)

		w, stop := startWith(t, r.socket, memory)
		w.iface("the modem's connection", "wwan0", isUp)
		require.ErrorIs(t, w.client.Down(ctx, "wwan7"), netifd.ErrNoInterface)
		require.NoError(t, w.client.Down(ctx, "wwan0"))
		w.iface("taken down", "wwan0", takenDown)
		stop()

		w, stop = startWith(t, r.socket, memory)
		w.iface("taken down by the run before", "wwan0", takenDown)
		require.NoError(t, w.client.Up(ctx, "wwan0"))
		w.iface("up", "wwan0", isUp)
		other(t, r.socket, "down")
		w.iface("taken down by a person", "wwan0", byOther)
		require.NoError(t, w.client.Up(ctx, "wwan0"))
		w.iface("up again", "wwan0", isUp)
		require.NoError(t, w.client.Down(ctx, "wwan0"))
		w.iface("taken down again", "wwan0", takenDown)
		stop()

		other(t, r.socket, "up")
		w, stop = startWith(t, r.socket, memory)
		w.iface("brought up by a person meanwhile", "wwan0", isUp)
		other(t, r.socket, "down")
		w.iface("and taken down again", "wwan0", byOther)
		stop()

		require.NoError(t, os.WriteFile(memory, []byte(`{"damaged`), 0o600))
		w, _ = startWith(t, r.socket, memory)
		w.iface("a damaged memory is an empty one", "wwan0", byOther)
	})
}

// other calls a verb of wwan0 past the client, as a person does.
func other(t *testing.T, socket, verb string) {
	t.Helper()
	conn, err := ubus.Dial(t.Context(), socket)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Call(t.Context(), "network.interface.wwan0", verb, nil)
	require.NoError(t, err)
}
