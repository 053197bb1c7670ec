package cardem_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
)

func losesBody(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	done := sendLater(t, r, selectMF)
	require.NoError(t, <-done)
	r.LoseBody()
	done = sendLater(t, r, selectMF)
	require.ErrorIs(t, <-done, cardemfake.ErrMute)
	require.EqualValues(t, 1, d.front.Stats().Muted)
	_, err := r.WarmReset(within(t))
	require.NoError(t, err)
	require.Equal(t, "9000", send(t, r, selectMF))
}

func clearsStalls(t *testing.T, r *rig) {
	serve(t, r.front(t))
	powerOn(t, r)
	for _, e := range []cardemfake.Endpoint{cardemfake.In, cardemfake.IRQ, cardemfake.Out} {
		for times := 1; times <= 3; times++ {
			r.Stall(e, times)
			require.Equal(t, "9000", send(t, r, selectMF))
			require.Equal(t, "988812010000000010F19000", send(t, r, "00B082000A"))
			_, err := r.WarmReset(within(t))
			require.NoError(t, err)
		}
	}
}

func givesUpStalls(t *testing.T, r *rig) {
	for _, e := range []cardemfake.Endpoint{cardemfake.In, cardemfake.Out} {
		d := newDesk(r.front(t))
		d.run(t)
		require.NoError(t, d.front.Insert(cardfake.Default().ATR))
		powerOn(t, r)
		r.Stall(e, 1000)
		done := sendLater(t, r, selectMF) // makes the endpoint busy
		err := d.end(t)
		require.ErrorContains(t, err, "stalls again and again")
		require.Equal(t, err, <-d.Down)
		d.cancel()
		r.Unplug() // a bus-powered device forgets its troubles
		require.ErrorIs(t, <-done, cardemfake.ErrMute)
		r.PowerOff()
		r.plug()
	}
}

// lose runs a front until its device goes in mid-command, and checks that everything
// ends.
func lose(t *testing.T, r *rig, fault func()) *desk {
	t.Helper()
	d := newDesk(r.front(t))
	d.run(t)
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	powerOn(t, r)
	d.Hold(true)
	done := sendLater(t, r, selectMF)
	h := d.nextHeld(t)
	fault()
	require.ErrorIs(t, <-done, cardemfake.ErrMute)
	require.Error(t, d.end(t))
	require.Error(t, <-d.Down)
	require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
	require.ErrorIs(t, d.front.Mute(h.ID), card.ErrStale)
	require.NoError(t, d.front.Remove())
	require.ErrorIs(t, d.front.Insert(cardfake.Default().ATR), card.ErrNotReady)
	d.cancel()
	d.Hold(false)
	return d
}

// again runs the front anew, as supervise does.
func again(t *testing.T, r *rig, d *desk) {
	t.Helper()
	d.run(t)
	defer d.stop(t)
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, selectMF))
}

func unplugs(t *testing.T, r *rig) {
	d := lose(t, r, r.Unplug)
	require.Eventually(t, func() bool { return len(r.bus.Discover()) == 0 }, patience, pollTime)
	err := d.front.Run(within(t), d)
	require.ErrorContains(t, err, "no card emulator is plugged in")
	r.PowerOff()
	r.plug()
	again(t, r, d)
}

func restarts(t *testing.T, r *rig) {
	d := lose(t, r, func() {
		r.Unplug()
		r.plug()
	})
	r.PowerOff()
	again(t, r, d)
}

// unplugOften shows that nothing is left of a device that went away, in any state.
func unplugOften(t *testing.T, r *rig, times int) {
	none := goleak.IgnoreCurrent()
	for i := range times {
		d := newDesk(r.front(t))
		d.run(t)
		if i%3 > 0 {
			require.NoError(t, d.front.Insert(cardfake.Default().ATR))
			powerOn(t, r)
		}
		if i%3 > 1 {
			require.Equal(t, "9000", send(t, r, status))
		}
		r.Unplug()
		if err := d.end(t); !errors.Is(err, cardem.ErrGone) {
			require.Error(t, err) // the kernel may say "protocol error" first
		}
		<-d.Down
		d.cancel()
		r.PowerOff()
		r.plug()
	}
	goleak.VerifyNone(t, none, goleak.IgnoreAnyFunction("github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake.(*Attachment).serve"))
}

func TestUnplugOftenOnFake(t *testing.T) { unplugOften(t, fakeRig(t, ""), 100) }
