package mm_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// BenchmarkModem measures what watching costs: heap per modem, and time and
// allocations from a property's change to its event.
func BenchmarkModem(b *testing.B) {
	const modems = 50
	f := mmfake.New(mmfake.Options{})
	dir := b.TempDir()
	if err := f.Listen(dir + "/bus"); err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var all []*mmfake.Modem
	for i := range modems {
		spec := fakeSpec
		spec.Device = fmt.Sprintf("/sys/devices/usb2/2-%d", i)
		spec.Card = &mmfake.Card{ICCID: iccid1, IMSI: imsi2}
		m := f.Plug(spec)
		if err := m.Connect(); err != nil {
			b.Fatal(err)
		}
		all = append(all, m)
	}
	seen := make(chan struct{}, 2*modems)
	c := mm.New(mm.Options{Address: f.Address(), Events: func(ev model.Event) {
		if _, ok := ev.(model.ModemSeen); ok {
			seen <- struct{}{}
		}
	}})
	before := heap()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for range modems {
		<-seen
	}
	perModem := float64(heap()-before) / modems
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		all[i%modems].SetRSRP(float64(-110 + 5*(i/modems%10)))
		<-seen
	}
	b.StopTimer()
	b.ReportMetric(perModem, "B/modem")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
