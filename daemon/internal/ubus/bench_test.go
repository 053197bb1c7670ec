package ubus_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

type benchSignal struct {
	RSSI *float64 `json:"rssi_dbm,omitempty"`
	RSRP *float64 `json:"rsrp_dbm,omitempty"`
	Bars *int     `json:"quality,omitempty"`
}

type benchModem struct {
	Name         string      `json:"name"`
	Role         string      `json:"role"`
	Present      bool        `json:"present"`
	State        string      `json:"state"`
	Model        string      `json:"model"`
	Manufacturer string      `json:"manufacturer"`
	Revision     string      `json:"revision"`
	Operator     string      `json:"operator"`
	Signal       benchSignal `json:"signal"`
	ICCID        shown       `json:"iccid"`
	Since        int64       `json:"since"`
	RxBytes      int64       `json:"rx_bytes"`
	Detail       string      `json:"detail,omitempty"`
}

type shown string

func (s shown) MarshalText() ([]byte, error) { return []byte("…" + string(s[len(s)-4:])), nil }

type benchStatus struct {
	Version  string            `json:"version"`
	Sequence int64             `json:"sequence"`
	State    string            `json:"state"`
	Reason   string            `json:"reason"`
	Modems   []benchModem      `json:"modems"`
	Purposes map[string]int64  `json:"purposes"`
	Findings []map[string]any  `json:"findings"`
	Extra    map[string]string `json:"extra"`
}

// status6K is about as large as a status with many modems.
func status6K() benchStatus {
	rssi, bars := -67.5, 80
	s := benchStatus{Version: "1.0.0", Sequence: 1 << 40, State: "operational", Reason: "every remote card is at work",
		Purposes: map[string]int64{"beat": 1000, "tpdu": 2000}, Extra: map[string]string{"k": "v"}}
	for i := range 17 {
		s.Modems = append(s.Modems, benchModem{
			Name: fmt.Sprint("modem", i), Role: "primary", Present: true, State: "connected", Model: "EM7565", Manufacturer: "Sierra Wireless",
			Revision: "SWI9X50C_01.14.02.00", Operator: "Operator", Signal: benchSignal{RSSI: &rssi, Bars: &bars},
			ICCID: "8949000000000000001", Since: 1700000000, RxBytes: 1 << 33,
		})
	}
	return s
}

func BenchmarkMarshalStatus(b *testing.B) {
	s := status6K()
	out, err := ubus.Marshal(&s)
	require.NoError(b, err)
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ubus.Marshal(&s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseStatus(b *testing.B) {
	s := status6K()
	out, err := ubus.Marshal(&s)
	require.NoError(b, err)
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ubus.ParseTable(out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCall is one client that calls in a loop: client, ubusfake, object
// and back, all in this process.
func BenchmarkCall(b *testing.B) {
	s := status6K()
	raw, err := ubus.Marshal(&s)
	require.NoError(b, err)
	for _, bb := range []struct {
		name    string
		handler func(context.Context, *ubus.Request)
	}{
		{"empty", func(_ context.Context, r *ubus.Request) { r.Done() }},
		{"status encoded once", func(_ context.Context, r *ubus.Request) { r.ReplyRaw(raw) }},
		{"status encoded each time", func(_ context.Context, r *ubus.Request) { r.Reply(&s) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			broker := startBroker(b)
			serve(b, broker, ubus.Options{}, bb.handler)
			c := connect(b, broker, ubus.Options{})
			ctx := bounded(b)
			took := make([]time.Duration, 0, 1<<16)
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				if _, err := c.Call(ctx, "demo", "do", nil); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
