package api

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

// busyEngine publishes the state of a router with four modems.
func busyEngine(b *testing.B) *engine.Engine {
	e := engine.New(engine.Options{Version: "bench", First: 1 << 32})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	s := engine.Settings{Valid: true, Enabled: true, DeviceID: "bench"}
	for _, name := range []string{"primary", "second", "third", "iot"} {
		s.Modems = append(s.Modems, engine.Modem{Name: name, Role: model.RolePrimary, Source: model.SourceRemote, Front: "vpcd"})
	}
	require.NoError(b, e.Apply(ctx, s))
	require.Eventually(b, func() bool { return len(e.Snapshot().Modems) == 4 }, time.Minute, time.Millisecond, "published")
	return e
}

// BenchmarkStatusOwnWork is what one status call costs the object: building the
// reply and encoding it, without the cache that serves calls of one second.
func BenchmarkStatusOwnWork(b *testing.B) {
	s := busyEngine(b).Snapshot()
	b.ReportAllocs()
	for b.Loop() {
		raw, err := ubus.Marshal(reply(s, time.Now()))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(raw)))
	}
}

// BenchmarkStatusCall is one client that calls status in a loop over the fake
// broker.
func BenchmarkStatusCall(b *testing.B) {
	broker, err := ubusfake.Start(filepath.Join(b.TempDir(), "ubus.sock"))
	require.NoError(b, err)
	defer broker.Close()
	a := New(slog.New(slog.DiscardHandler))
	a.Bind(busyEngine(b), nil)
	ctx, cancel := context.WithCancel(context.Background())
	c := ubus.NewClient(broker.Path(), ubus.Options{})
	require.NoError(b, c.AddObject(a.Object()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-c.Ready()
	conn, err := ubus.Dial(ctx, broker.Path())
	require.NoError(b, err)
	defer conn.Close()
	times := make([]time.Duration, 0, 1<<18)
	b.ResetTimer()
	for range b.N {
		start := time.Now()
		if _, err := conn.Call(ctx, Path, "status", nil); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-us")
}
