package netifd

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func table(t testing.TB, file string) []byte {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var v map[string]any
	require.NoError(t, json.Unmarshal(b, &v))
	raw, err := ubus.Marshal(v)
	require.NoError(t, err)
	return raw
}

// TestRealDump reads what openwrt/netifd e97e36f answered to
// `ubus call network.interface dump` (a dummy build, with a protocol handler like
// testdata/modemmanager.sh).
func TestRealDump(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	read := func(file string) map[string]model.Interface {
		tab, err := ubus.ParseTable(table(t, file))
		require.NoError(t, err)
		list, err := parseDump(tab, now)
		require.NoError(t, err)
		out := map[string]model.Interface{}
		for _, i := range list {
			out[i.Name] = i
		}
		require.Len(t, out, 3)
		return out
	}
	up := read("testdata/real-up.json")
	require.True(t, up["wwan0"].Up)
	require.Equal(t, "wwan0", up["wwan0"].L3Device)
	require.Equal(t, "10.64.0.2/30", up["wwan0"].Addresses[0].String())
	require.Equal(t, "10.64.0.1", up["wwan0"].Routes[0].Gateway.String())
	require.Equal(t, map[string]any{"bearer": "x"}, up["wwan0"].Data)
	require.Equal(t, "br-lan", up["lan"].Device)
	blocked := read("testdata/real-blocked.json")["wwan0"]
	require.True(t, blocked.Blocked())
	require.Equal(t, []model.InterfaceError{{Subsystem: "modemmanager", Code: "MM_FAILED_REASON_SIM_MISSING"}}, blocked.Errors)
}

// FuzzDump holds that nothing on the bus makes the parser panic, or gives
// addresses that are none.
func FuzzDump(f *testing.F) {
	f.Add(table(f, "testdata/real-up.json"))
	f.Add(table(f, "testdata/real-blocked.json"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		tab, err := ubus.ParseTable(b)
		if err != nil {
			return
		}
		list, err := parseDump(tab, time.Unix(1_700_000_000, 0))
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, i := range list {
			require.NotEmpty(t, i.Name)
			require.False(t, seen[i.Name], "twice")
			seen[i.Name] = true
			require.Equal(t, i.Up && !i.UpSince.IsZero(), !i.UpSince.IsZero())
			for _, a := range i.Addresses {
				require.True(t, a.IsValid())
			}
			for _, r := range i.Routes {
				require.True(t, r.Target.IsValid())
			}
		}
	})
}
