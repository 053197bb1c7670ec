package ubusfake_test

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// BenchmarkCallsOverBroker is one client that calls in a loop, over each
// broker. The answer is 6 KB, encoded once, as a status is. cpu-µs is what this
// process spends on a call: client, object and, for ubusfake, the broker.
func BenchmarkCallsOverBroker(b *testing.B) {
	raw, err := ubus.Marshal(map[string]any{"text": strings.Repeat("x", 6000)})
	require.NoError(b, err)
	for _, br := range brokers {
		b.Run(br.name, func(b *testing.B) {
			socket := socketPath(b)
			br.start(b, socket)
			publish(b, socket, &ubus.Object{Path: "demo", Methods: []ubus.Method{{
				Name: "status", Handler: func(_ context.Context, r *ubus.Request) { r.ReplyRaw(raw) },
			}}})
			c, ctx := dial(b, socket), bounded(b)
			var took []time.Duration
			before := cpuTime(b)
			for b.Loop() {
				began := time.Now()
				if _, err := c.Call(ctx, "demo", "status", nil); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			used := cpuTime(b) - before
			slices.Sort(took)
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(used.Microseconds())/float64(len(took)), "cpu-µs")
		})
	}
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
