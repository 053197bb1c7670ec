package cardem_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
)

// What a slot's contacts can be. RST is at L while there is no power.
var (
	off     = card.Lines{Reset: true}
	inReset = card.Lines{Powered: true, Clock: true, Reset: true}
	on      = card.Lines{Powered: true, Clock: true}
)

func dropsStale(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	d.waitLines(t, on)
	d.Hold(true)
	done := sendLater(t, r, "00B0820000")
	h := d.nextHeld(t)
	_, err := r.WarmReset(within(t))
	require.NoError(t, err)
	require.Error(t, <-done)
	d.waitLines(t, inReset)
	d.waitLines(t, on)
	require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x6C, 0x0A}), card.ErrStale)
	require.ErrorIs(t, d.front.Mute(h.ID), card.ErrStale)
	d.Hold(false)
	require.Equal(t, "9000", send(t, r, selectMF))
	require.EqualValues(t, 1, d.front.Stats().Stale)
}

func refusesUnfit(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	for _, x := range []struct {
		tpdu     string
		response []byte
	}{
		{"00B082000A", []byte{1, 2, 3, 0x90, 0x00}},      // the modem would take SW for data
		{"00B0820001", []byte{1, 2, 3, 0x90, 0x00}},      // and data for SW
		{selectMF, []byte{1, 0x90, 0x00}},                // case 3 has no data
		{status, []byte{0x90}},                           // half a status word
		{status, []byte{0x60, 0x00}},                     // a NULL
		{status, []byte{0xF2, 0x00}},                     // a procedure byte
		{"00B0820000", make([]byte, card.MaxResponse+1)}, // more than T=0 has
	} {
		d.Hold(true)
		done := sendLater(t, r, x.tpdu)
		h := d.nextHeld(t)
		require.ErrorIs(t, d.front.Answer(h.ID, x.response), cardem.ErrUnfit)
		require.ErrorIs(t, <-done, cardemfake.ErrMute)
		require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
		d.Hold(false)
		_, err := r.WarmReset(within(t))
		require.NoError(t, err)
		require.Equal(t, "9000", send(t, r, status))
	}
}

func removes(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	require.False(t, d.front.Limits().Removes, "this board has no presence pin")
	d.Hold(true)
	done := sendLater(t, r, selectMF)
	h := d.nextHeld(t)
	require.NoError(t, d.front.Remove())
	require.NoError(t, d.front.Remove())
	require.ErrorIs(t, <-done, cardemfake.ErrMute, "the command in hand ends in silence")
	require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return len(x.ATR()) == 0 }))
	_, err := r.WarmReset(within(t))
	require.ErrorIs(t, err, cardemfake.ErrNoATR)
	r.PowerOff()
	require.True(t, r.Remote(), "the slot does not fall back to the local card")
	d.Hold(false)
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, selectMF))
}

func movesPin(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	require.True(t, d.front.Limits().Removes)
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Present))
	require.NoError(t, d.front.Remove())
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return !x.Present() }))
	gone := time.Now()
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Present))
	require.GreaterOrEqual(t, time.Since(gone), 50*time.Millisecond, "a modem debounces the pin")

	require.NoError(t, d.front.Remove())
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	require.NoError(t, d.front.Remove(), "before the pin is back")
	require.NoError(t, d.front.ResetModem(time.Millisecond)) // the last message of all
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return len(x.Pulses()) == 1 }))
	require.False(t, r.Present())
}

func changesCard(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Present))
	other := card.ATR{0x3B, 0x02, 0x14, 0x50}
	require.NoError(t, d.front.Insert(other))
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return !x.Present() }))
	r.PowerOff() // what a modem does then
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Present))
	atr, err := r.PowerOn(within(t))
	require.NoError(t, err)
	require.Equal(t, []byte(other), atr)
}

// muteBeforeReset: the modem has a session with the card that was in its slot, and
// sees no difference when the slot is turned.
func muteBeforeReset(t *testing.T, r *rig) {
	_, err := r.PowerOn(within(t))
	require.ErrorIs(t, err, cardemfake.ErrNoATR)
	d := serve(t, r.front(t))
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Attached))
	// The firmware takes it for a power-up, and sends an ATR that nobody awaits.
	r.Swallow()
	_, err = r.TPDU(within(t), []byte{0x80, 0xF2, 0x00, 0x0C, 0x00})
	require.ErrorIs(t, err, cardemfake.ErrMute)
	require.Zero(t, d.front.Stats().Commands)
	_, err = r.WarmReset(within(t))
	require.NoError(t, err)
	d.waitLines(t, on)
	require.Equal(t, "9000", send(t, r, selectMF))
}

func reattaches(t *testing.T, r *rig) {
	first := serve(t, r.front(t))
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, selectMF))
	sent := len(toDevice(r, 0))
	first.stop(t)
	require.Len(t, toDevice(r, 0), sent, "closing says nothing")
	require.True(t, r.Present())

	// While nobody listens, the firmware keeps the last edges.
	for range 5 {
		_, err := r.WarmReset(within(t))
		require.NoError(t, err)
	}
	second := newDesk(r.front(t))
	second.run(t)
	defer second.stop(t)
	require.Equal(t, []card.Lines{on}, second.waitLines(t, on), "old edges are no edges")
	require.NoError(t, second.front.Insert(cardfake.Default().ATR))
	require.NoError(t, r.Wait(within(t), func(*cardemfake.Device) bool { return len(toDevice(r, sent)) >= 5 }))
	for _, m := range toDevice(r, sent) {
		require.NotEqual(t, "020200000000090001", m, "this board would power-cycle its modem")
	}
	require.Equal(t, "9000", send(t, r, selectMF))
}

func adopts(t *testing.T, r *rig) {
	first := serve(t, r.front(t))
	powerOn(t, r)
	first.stop(t)
	done := sendLater(t, r, selectMF)
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Waiting))
	second := newDesk(r.front(t))
	second.run(t)
	defer second.stop(t)
	require.NoError(t, <-done)
}

// findsLostEdges: while the host is busy the firmware has room for three edges, and
// the host's transfers for eight. A command that comes before what is left of them, and one
// that comes after, are answered by a card that was reset.
func findsLostEdges(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	d.waitLines(t, on)
	for _, waits := range []bool{false, true} {
		require.Equal(t, "9000", send(t, r, selectUSIM))
		dropped, lost := r.Dropped(cardem.PipeIRQ), d.front.Stats().LostEdges
		d.Busy(func() {
			for range 6 {
				_, err := r.WarmReset(within(t))
				require.NoError(t, err)
			}
			r.PowerOff()
			_, err := r.PowerOn(within(t))
			require.NoError(t, err)
			require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return x.Dropped(cardem.PipeIRQ) > dropped }))
		})
		if waits {
			require.Eventually(t, func() bool { return d.front.Stats().LostEdges > lost }, patience, pollTime)
			require.Contains(t, d.waitLines(t, off), off, "the power was away")
		}
		require.Equal(t, "6A82", send(t, r, "00A4000C026F07"), "the application is gone")
	}
}

func steersModem(t *testing.T, r *rig) {
	front := r.front(t)
	require.ErrorIs(t, front.ResetModem(time.Second), card.ErrNotReady)
	require.ErrorIs(t, front.SelectRemote(true), card.ErrNotReady)
	require.ErrorIs(t, front.Insert(cardfake.Default().ATR), card.ErrNotReady)
	d := serve(t, front)
	powerOn(t, r)
	d.waitLines(t, on)
	require.NoError(t, front.ResetModem(2*time.Second))
	require.Error(t, front.ResetModem(11*time.Second))
	require.NoError(t, front.SelectRemote(false))
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return !x.Remote() }))
	d.waitLines(t, card.Lines{})
	require.Equal(t, []time.Duration{2 * time.Second}, r.Pulses())
	require.NoError(t, front.SelectRemote(true))
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Remote))
	r.Swallow()
	_, err := r.WarmReset(within(t))
	require.NoError(t, err)
	require.Equal(t, "9000", send(t, r, selectMF))
}
