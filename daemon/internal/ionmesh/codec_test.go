package ionmesh_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]model.MeshAddress{
		"http://192.0.2.1:9999":     {Host: "192.0.2.1", Port: 9999},
		"http://bank.example.com/":  {Host: "bank.example.com", Port: 4711},
		"bank.example.com:1":        {Host: "bank.example.com", Port: 1},
		"tls://[2001:db8::1]:10000": {Host: "2001:db8::1", Port: 10000, TLS: true},
		"https://bank":              {Host: "bank", Port: 4711, TLS: true},
		"2001:db8::1":               {Host: "2001:db8::1", Port: 4711},
		"tcp://bank:2":              {Host: "bank", Port: 2},
	} {
		got, err := ionmesh.ParseEndpoint(text, 4711)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "http://", "ftp://h:1", "h:0", "h:65536", "h:x", "a b", "http://h/path", "h\n", "http://u:p@h:1", strings.Repeat("h", 300)} {
		_, err := ionmesh.ParseEndpoint(text, 4711)
		require.ErrorIs(t, err, ionmesh.ErrMalformed, text)
	}
}

func TestAnswerOfTheOriginalProject(t *testing.T) {
	a, err := ionmesh.DecodeRegistered([]byte(`{"status":"success","bank_id":0,"slot_id":0,"iccid":"8988211000000000011","imsi":"001010123456789",
		"bankd_endpoint":"http://192.0.2.7:9999","mapping_mode":"ONE_TO_ONE_SWSIM","profile_id":7,"heartbeat_interval":60,"ki_proxy_enabled":false,"note":null}`))
	require.NoError(t, err)
	require.Equal(t, &model.MeshCard{Bankd: model.MeshAddress{Host: "192.0.2.7", Port: 9999}}, a.Card)
	require.Equal(t, time.Minute, a.Interval)
	require.False(t, a.HasLength)
}

func TestAnswerWithEveryAddition(t *testing.T) {
	a, err := ionmesh.DecodeRegistered([]byte(`{"status":"success","bank_id":1,"slot_id":2,"bankd_endpoint":"h","rspro_client_id":3,"rspro_client_slot":4,
		"server_endpoint":"tls://s","lease_id":"L","lease_seconds":59.9,"lease_until":1772366400.5,"server_time":1772366340,"epoch":9,"next_heartbeat_interval":10,
		"commands":[{"id":"c","command":"collect","later":1}],"later":{}}`))
	require.NoError(t, err)
	require.Equal(t, &model.ClientSlot{ID: 3, Slot: 4}, a.Card.Client)
	require.Equal(t, &model.MeshAddress{Host: "s", Port: 9998, TLS: true}, a.Card.Server)
	require.Equal(t, 59*time.Second, a.Length, "a lease is rounded down")
	require.EqualValues(t, 9, a.Epoch)
	require.EqualValues(t, 1772366340, a.ServerTime.Unix())
	require.Equal(t, "collect", a.Orders[0].Name)
}

func TestWrongTypesAreNamed(t *testing.T) {
	for body, name := range map[string]string{
		`{"bank_id":"1"}`:                                      "bank_id",
		`{"bank_id":1.5,"slot_id":1}`:                          "bank_id",
		`{"bank_id":1,"slot_id":-1}`:                           "slot_id",
		`{"epoch":1e99}`:                                       "epoch",
		`{"lease_seconds":"60"}`:                               "lease_seconds",
		`{"lease_seconds":-1}`:                                 "lease_seconds",
		`{"server_time":"2026-03-01T12:00:00Z"}`:               "server_time",
		`{"server_time":1e300}`:                                "server_time",
		`{"commands":{}}`:                                      "commands",
		`{"bank_id":1,"slot_id":1,"bankd_endpoint":"ftp://h"}`: "bankd_endpoint",
		`{"bank_id":1,"slot_id":1,"bankd_endpoint":"h","server_endpoint":"h:99999"}`: "server_endpoint",
		`{"status":7}`: "status",
	} {
		_, err := ionmesh.DecodeRegistered([]byte(body))
		require.ErrorIs(t, err, ionmesh.ErrMalformed, body)
		require.Contains(t, err.Error(), name, body)
	}
}

func TestLeanFrames(t *testing.T) {
	up := ionmesh.LeanUp{Member: 1, Status: 2, Sequence: 0x0304, Epoch: 300, RSSI: -71, RSRP: -110, Sent: 5, Received: 4, Errors: 1}
	require.Equal(t, "0101"+"02"+"0304"+"47"+"6e"+"ac02"+"05"+"04"+"01", hex.EncodeToString(up.Append(nil)))
	most := ionmesh.LeanUp{Epoch: 1 << 53, Sent: 1<<32 - 1, Received: 1<<32 - 1, Errors: 1<<32 - 1, RSSI: -300}
	require.LessOrEqual(t, len(most.Append(nil)), ionmesh.LeanUpMax)
	metrics := ionmesh.LeanMetrics{Member: 1, Delta: ionmesh.Stats{Uptime: -1, DataRx: 300}}
	require.Equal(t, "0201"+"11"+"01"+"d804", hex.EncodeToString(metrics.Append(nil)))
	big := int64(-1 << 63)
	full := ionmesh.LeanMetrics{Delta: ionmesh.Stats{Uptime: big, Sent: big, Received: big, Errors: big, DataRx: big, DataTx: big}}
	require.LessOrEqual(t, len(full.Append(nil)), ionmesh.LeanMetricsMax)

	for lease, want := range map[time.Duration]time.Duration{
		0: 0, 90 * time.Second: 90 * time.Second, 90*time.Second + 999*time.Millisecond: 90 * time.Second, 9 * time.Hour: 9 * time.Hour,
		10*time.Hour + 59*time.Second: 10 * time.Hour, 365 * 24 * time.Hour: 0x7ffe * time.Minute, -time.Hour: 0,
	} {
		d, err := ionmesh.DecodeLeanDown(ionmesh.LeanDown{HasLease: true, Lease: lease}.Append(nil))
		require.NoError(t, err)
		require.True(t, d.HasLease)
		require.Equal(t, want, d.Lease, "%v: it is never told longer than it is", lease)
	}
	down := ionmesh.LeanDown{Member: 1, Sequence: 7, Interval: 300 * time.Second}
	require.Equal(t, "8101"+"0007"+"012c"+"ffff", hex.EncodeToString(down.Append(nil)))
}

// malformed fails unless the error is the one of every decoder here.
func malformed(t *testing.T, err error) bool {
	if err != nil && !errors.Is(err, ionmesh.ErrMalformed) {
		t.Fatalf("error is not ErrMalformed: %v", err)
	}
	return err != nil
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"status":"success","bank_id":1,"slot_id":2,"bankd_endpoint":"http://192.0.2.7:9999","lease_seconds":60,"epoch":3,"commands":[{"id":"c","command":"move","args":{"bank_id":1}}]}`))
	f.Add([]byte(`{"status":"error","message":"no"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ionmesh.DecodeBeat(b); err == nil {
			require.False(t, a.Length < 0 || a.Interval < 0 || a.Epoch < 0)
			require.Nil(t, a.Card)
		}
		a, err := ionmesh.DecodeRegistered(b)
		if err != nil {
			return
		}
		require.NotNil(t, a.Card)
		require.True(t, a.Card.Bank.ID <= 1023 && a.Card.Bank.Slot <= 1023)
		require.True(t, a.Card.Server != nil || a.Card.Bankd.Host != "" && a.Card.Bankd.Port != 0)
	})
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"id":"c","command":"reset","args":{"method":"gpio"},"expires":1772366400}`))
	f.Add([]byte(`{"id":"c","command":"move","args":{"bank_id":1,"slot_id":2,"bankd_endpoint":"h"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ionmesh.DecodeOrder(b)
		if !malformed(t, err) {
			require.True(t, o.ID != "" && len(o.ID) <= 64)
			require.True(t, o.Bad != "" || o.Name != "move" || o.Move.Card != nil)
		}
	})
}

func FuzzDiscover(f *testing.F) {
	f.Add([]byte(`{"service":"ionmesh","version":"1","capabilities":["lease"],"server_time":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ionmesh.DecodeDiscovered(b)
		if !malformed(t, err) {
			require.LessOrEqual(t, len([]rune(d.Service)), 61)
		}
	})
}

func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"http://192.0.2.1:9999", "tls://[2001:db8::1]:1", "bank", "::", "h:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ionmesh.ParseEndpoint(s, 9999)
		if !malformed(t, err) {
			require.True(t, a.Host != "" && a.Port != 0 && !strings.ContainsAny(a.Host, " /\n@[]"))
		}
	})
}

func FuzzLean(f *testing.F) {
	f.Add(ionmesh.LeanUp{Member: 1, Status: 2, Sequence: 3, Epoch: 300, RSSI: -71, Sent: 5}.Append(nil))
	f.Add(ionmesh.LeanMetrics{Delta: ionmesh.Stats{Uptime: 1, DataRx: -5}}.Append(nil))
	f.Add(ionmesh.LeanDown{HasLease: true, Lease: time.Hour, Interval: time.Minute}.Append(nil))
	f.Add([]byte(`{"client_id":"router","command":{"id":"c","command":"collect"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := ionmesh.DecodeLeanUp(b); !malformed(t, err) {
			require.True(t, bytes.Equal(b, u.Append(nil)), "% x", b)
		}
		if m, err := ionmesh.DecodeLeanMetrics(b); !malformed(t, err) {
			require.True(t, bytes.Equal(b, m.Append(nil)), "% x", b)
		}
		if d, err := ionmesh.DecodeLeanDown(b); !malformed(t, err) {
			again, err := ionmesh.DecodeLeanDown(d.Append(nil))
			require.NoError(t, err)
			require.Equal(t, d, again)
		}
		_, err := ionmesh.DecodeLeanText(b)
		malformed(t, err)
	})
}

func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"leases":{"primary":{"client":"u router","card":{"bank":{"id":1,"slot":2},"bankd":{"host":"h","port":9999,"tls":false}},"epoch":3,"leased":true,"end_ns":5,"until":"2026-03-01T12:00:00Z"}},"orders":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ionmesh.DecodeKept(b)
		if malformed(t, err) {
			return
		}
		require.NotNil(t, k.Leases)
		out, err := json.Marshal(k)
		if err == nil { // a year beyond 9999 can be read, and not be written
			_, err = ionmesh.DecodeKept(out)
			require.NoError(t, err)
		}
	})
}
