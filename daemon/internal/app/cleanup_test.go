package app_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter/meterfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/daemon/internal/route/routefake"
)

const cleanupConfig = `
config remsim 'main'
	option enabled '1'
config modem 'primary'
	option role 'primary'
	option client_id '1'
	option sim_line 'primary-sim'
	option sim_remote_level 'high'
config modem 'second'
	option role 'primary'
	option client_id '2'
	option sim_line 'second-sim'
	option sim_remote_level 'low'
config server
	option host '127.0.0.1'
	option tls '0'
`

// TestCleanup: without a daemon and without its state, twice.
func TestCleanup(t *testing.T) {
	o := app.Options{ConfigDir: t.TempDir(), StateDir: t.TempDir(), RunDir: filepath.Join(t.TempDir(), "never-made")}
	require.NoError(t, os.WriteFile(filepath.Join(o.ConfigDir, "remsim"), []byte(cleanupConfig), 0o600))
	lines, kernel := gpiofake.New(), routefake.New()
	lines.AddChip("board", false,
		gpiofake.Line{Name: "primary-sim", Output: true, High: true}, // remote
		gpiofake.Line{Name: "second-sim", Output: true, High: true})  // local already
	foreign := route.Rule{Family: route.IPv4, Pref: 2001, Mark: 0x100, Mask: 0x3f00, Table: 1}
	require.NoError(t, kernel.Foreign(foreign))
	before := kernel.String()
	require.NoError(t, kernel.AddRule(route.Rule{Family: route.IPv6, Pref: 400, Protocol: route.Protocol, Mark: 1 << 28, Mask: 15 << 28, Table: 17201}))
	filter := meterfake.New()
	require.NoError(t, filter.Apply(t.Context(), []model.MeterLink{{Name: "iot", Number: 1, Device: "wwan1", Fence: true}}))
	d := app.Drivers{GPIO: lines, Routes: func() (route.Kernel, error) { return kernel, nil }, Meter: filter}

	done, err := app.Cleanup(t.Context(), o, d)
	require.NoError(t, err)
	require.Equal(t, []app.Cleaned{
		{What: "modem primary: local card by line primary-sim"},
		{What: "IPv6 rule 400: from all fwmark 0x10000000/0xf0000000 lookup 17201"},
		{What: "counters and fences of the links"},
	}, done)
	require.Equal(t, "no table\n", filter.String())
	require.Equal(t, before, kernel.String())
	require.Regexp(t, `primary-sim +output low`, lines.String())
	require.Regexp(t, `second-sim +output high`, lines.String())

	done, err = app.Cleanup(t.Context(), o, d)
	require.NoError(t, err)
	require.Empty(t, done)
}

// TestCleanupTellsWhatFailed: one thing that cannot be handed back does not stop the
// others.
func TestCleanupTellsWhatFailed(t *testing.T) {
	o := app.Options{ConfigDir: t.TempDir(), StateDir: t.TempDir(), RunDir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(o.ConfigDir, "remsim"), []byte(cleanupConfig), 0o600))
	kernel := routefake.New()
	require.NoError(t, kernel.AddRule(route.Rule{Family: route.IPv4, Pref: 400, Protocol: route.Protocol, Table: 17201}))
	done, err := app.Cleanup(t.Context(), o, app.Drivers{GPIO: gpiofake.New(), Routes: func() (route.Kernel, error) { return kernel, nil }})
	require.NoError(t, err)
	require.Len(t, done, 3)
	require.ErrorContains(t, done[0].Err, "primary-sim")
	require.ErrorContains(t, done[1].Err, "second-sim")
	require.NoError(t, done[2].Err)
}

// TestCleanupLeavesARunningDaemonAlone: it would put everything back at once.
func TestCleanupLeavesARunningDaemonAlone(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	w.until("on the bus", func(s *model.Snapshot) bool { return s.Sequence > 0 })
	_, err := app.Cleanup(t.Context(), w.options(), app.Drivers{})
	require.ErrorContains(t, err, "stop it first")
}
