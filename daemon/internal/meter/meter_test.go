package meter_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter/meterfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func planCell(links []model.MeterLink) *cell.Cell[model.MeterPlan] {
	return cell.New(model.MeterPlan{Links: links}, func(a, b model.MeterPlan) bool { return reflect.DeepEqual(a, b) })
}

// bench runs the driver on the fake, in a bubble of time.
type bench struct {
	f      *meterfake.Fake
	plan   *cell.Cell[model.MeterPlan]
	events []model.Metered
}

func withMeter(t *testing.T, links []model.MeterLink, act func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{f: meterfake.New(), plan: planCell(links)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = meter.New(meter.Options{Kernel: b.f, Plan: b.plan, Events: func(ev model.Event) { b.events = append(b.events, ev.(model.Metered)) }}).Run(ctx)
		}()
		synctest.Wait()
		act(b)
		cancel()
		<-done
	})
}

// pass sends our bytes over the link.
func (b *bench) pass(n int64) {
	b.f.Pass(meterfake.Packet{Device: "wwan1", Way: meterfake.Out, Mark: mark(model.PurposeBank), Flow: "bank", Bytes: n})
}

func wait(d time.Duration) {
	time.Sleep(d) // in a bubble
	synctest.Wait()
}

func TestReadingsAreRareAndLazy(t *testing.T) {
	withMeter(t, link(nil), func(b *bench) {
		_, reads := b.f.Work()
		require.Equal(t, 1, reads)
		wait(24 * time.Hour)
		_, reads = b.f.Work()
		require.Less(t, reads, 24*8+5, "an idle link is looked at once in eight minutes")
		require.Len(t, b.events, 1, "and nothing is told")
		b.pass(100)
		wait(8 * time.Minute)
		require.Len(t, b.events, 2)
		for range 60 {
			b.pass(100)
			wait(time.Minute)
		}
		_, busy := b.f.Work()
		require.InDelta(t, 60, busy-reads, 10, "a busy one once a minute")
		require.Equal(t, int64(6100), b.events[len(b.events)-1].Counts[0].Tx)
	})
}

func TestReadsOnDemandAndWritesOnChangeOnly(t *testing.T) {
	withMeter(t, link(nil), func(b *bench) {
		b.pass(7)
		b.plan.Set(model.MeterPlan{Links: link(nil), Generation: 1})
		synctest.Wait()
		require.Equal(t, int64(7), b.events[1].Counts[0].Tx)
		applied, _ := b.f.Work()
		require.Equal(t, 1, applied)
		b.plan.Set(model.MeterPlan{Links: link(func(l *model.MeterLink) { l.Fence = false }), Generation: 1})
		synctest.Wait()
		applied, _ = b.f.Work()
		require.Equal(t, 2, applied)
	})
}

func TestATableThatIsGoneIsMadeAgain(t *testing.T) {
	withMeter(t, link(nil), func(b *bench) {
		b.pass(100)
		b.f.Flush()
		wait(time.Second)
		require.NotEqual(t, b.events[0].Epoch, b.events[1].Epoch)
		require.Zero(t, b.events[1].Counts[0].Tx)
		require.False(t, fakeWorld{b.f}.out("ntp", 0))
	})
}

func TestTroubleIsToldOnceAndOvercome(t *testing.T) {
	withMeter(t, link(nil), func(b *bench) {
		b.pass(100)
		b.f.Break(errors.New("/usr/sbin/nft is not installed"))
		wait(time.Hour)
		require.Equal(t, "/usr/sbin/nft is not installed", b.events[1].Reason)
		require.Len(t, b.events, 2)
		b.f.Break(nil)
		wait(10 * time.Minute)
		require.Len(t, b.events, 3)
		require.Empty(t, b.events[2].Reason)
		require.Equal(t, int64(100), b.events[2].Counts[0].Tx)
	})
}

func TestNothingSaidChangesNothingAndNothingCountedRemoves(t *testing.T) {
	withMeter(t, nil, func(b *bench) {
		wait(time.Hour)
		applied, reads := b.f.Work()
		require.Zero(t, applied+reads)
		b.plan.Set(model.MeterPlan{Links: link(nil)})
		synctest.Wait()
		require.False(t, fakeWorld{b.f}.out("ntp", 0))
		b.plan.Set(model.MeterPlan{Links: []model.MeterLink{}})
		synctest.Wait()
		require.True(t, fakeWorld{b.f}.out("ntp", 0))
		_, reads = b.f.Work()
		wait(time.Hour)
		_, later := b.f.Work()
		require.Equal(t, reads, later, "nobody is woken for nothing")
	})
}
