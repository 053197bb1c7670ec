package netifdfake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys lists the names of an object, in order.
func keys(t *testing.T, raw []byte) []string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, err := dec.Token() // {
	require.NoError(t, err)
	var out []string
	for dec.More() {
		k, err := dec.Token()
		require.NoError(t, err)
		out = append(out, k.(string))
		var skip json.RawMessage
		require.NoError(t, dec.Decode(&skip))
	}
	return out
}

// byName splits a dump into its interfaces.
func byName(t *testing.T, dump []byte) map[string]json.RawMessage {
	var d struct {
		Interface []json.RawMessage `json:"interface"`
	}
	require.NoError(t, json.Unmarshal(dump, &d))
	out := map[string]json.RawMessage{}
	for _, raw := range d.Interface {
		var n struct {
			Interface string `json:"interface"`
		}
		require.NoError(t, json.Unmarshal(raw, &n))
		out[n.Interface] = raw
	}
	return out
}

// TestAnswersAreShapedAsNetifds compares the fake's answers with those of the
// real netifd, name by name and in order.
func TestAnswersAreShapedAsNetifds(t *testing.T) {
	dir, err := os.MkdirTemp("", "netifd")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	b, err := ubusfake.Start(filepath.Join(dir, "sock"))
	require.NoError(t, err)
	defer b.Close()
	f, err := netifdfake.Start(b.Path())
	require.NoError(t, err)
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	select {
	case <-f.Ready():
	case <-ctx.Done():
		require.Fail(t, "not on the bus")
	}
	require.NoError(t, f.Add(netifdfake.Config{Name: "wan", Device: "eth1", L3: "eth1", Addresses: []string{"203.0.113.5/24"}, Gateway: "203.0.113.1"}))
	require.NoError(t, f.Add(netifdfake.Config{Name: "wwan0", Proto: "modemmanager", L3: "wwan0", Options: map[string]string{"device": "/sys/x"}}))
	conn, err := ubus.Dial(ctx, b.Path())
	require.NoError(t, err)
	defer conn.Close()

	for _, state := range []string{"up", "blocked"} {
		real, err := os.ReadFile("../testdata/real-" + state + ".json")
		require.NoError(t, err)
		if state == "blocked" {
			f.Fail("wwan0", "MM_FAILED_REASON_SIM_MISSING", true)
			_, err := conn.Call(ctx, "network.interface.wwan0", "down", nil)
			require.NoError(t, err)
			_, err = conn.Call(ctx, "network.interface.wwan0", "up", nil)
			require.NoError(t, err)
		} else {
			f.SetAvailable("wwan0", true)
		}
		got, err := conn.Call(ctx, "network.interface", "dump", nil)
		require.NoError(t, err)
		want, have := byName(t, real), byName(t, got.JSON())
		for _, name := range []string{"wan", "wwan0"} {
			require.Equal(t, keys(t, want[name]), keys(t, have[name]), "%s, %s", name, state)
		}
		var w, h map[string]any
		require.NoError(t, json.Unmarshal(want["wan"], &w))
		require.NoError(t, json.Unmarshal(have["wan"], &h))
		for _, k := range []string{"ipv4-address", "route", "inactive", "up", "pending", "available", "autostart", "device", "l3_device"} {
			require.Equal(t, w[k], h[k], k)
		}
	}

	f.SetStats("wwan0", 5_000_000_000, 7)
	dev, err := conn.Call(ctx, "network.device", "status", map[string]any{"name": "wwan0"})
	require.NoError(t, err)
	stats, err := dev.Table("statistics")
	require.NoError(t, err)
	rx, err := stats.Int("rx_bytes", 0)
	require.NoError(t, err)
	require.Equal(t, int64(5_000_000_000), rx)
	_, err = conn.Call(ctx, "uci", "get", map[string]any{"config": "wireless"})
	require.ErrorIs(t, err, &ubus.StatusError{Status: ubus.StatusNotFound})
	v, err := conn.Call(ctx, "uci", "get", map[string]any{"config": "network", "section": "wwan0", "option": "device"})
	require.NoError(t, err)
	require.Equal(t, `{"value":"/sys/x"}`, v.String())
}
