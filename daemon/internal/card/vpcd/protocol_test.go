package vpcd_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
)

// inReader is a fake pcscd with a card that is powered.
func inReader(t *testing.T) (*vpcdfake.Reader, *desk) {
	t.Helper()
	r, err := vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	front, err := vpcd.New(r.Addr())
	require.NoError(t, err)
	front.SetRemovalTime(50 * time.Millisecond)
	k := serve(t, front)
	powerOn(t, r)
	k.waitLines(t, card.Lines{Powered: true, Clock: true})
	return r, k
}

// An answer never outlives the reset of the card: what the reader gets next is what it
// asked for next.
func TestAnswerDoesNotSurviveAReset(t *testing.T) {
	for _, tt := range []struct {
		name    string
		control byte
		edge    card.Lines
	}{
		{"warm reset", 2, card.Lines{Powered: true, Clock: true, Reset: true}},
		{"power off", 0, card.Lines{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, k := inReader(t)
			k.Hold(true)
			require.NoError(t, r.Write(within(t), []byte{0, 7, 0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00}))
			h := k.nextHeld(t)
			require.NoError(t, r.Write(within(t), []byte{0, 1, tt.control}))
			k.waitLines(t, tt.edge)
			require.ErrorIs(t, k.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
			require.ErrorIs(t, k.front.Mute(h.ID), card.ErrStale)
			atr, err := r.ATR(within(t))
			require.NoError(t, err)
			require.Equal(t, []byte(cardfake.Default().ATR), atr)
		})
	}
}

func TestEveryEdgeIsReportedOnceAndInOrder(t *testing.T) {
	r, k := inReader(t)
	on := card.Lines{Powered: true, Clock: true}
	_, err := r.PowerOn(within(t)) // it is on already
	require.NoError(t, err)
	_, err = r.Reset(within(t))
	require.NoError(t, err)
	require.NoError(t, r.PowerOff(within(t)))
	require.NoError(t, r.PowerOff(within(t)))
	require.NoError(t, r.Write(within(t), []byte{0, 1, 3})) // no control byte that anybody knows
	_, err = r.Reset(within(t))                             // without power: it powers
	require.NoError(t, err)
	var got []card.Lines
	for len(got) < 4 {
		select {
		case l := <-k.Edges:
			got = append(got, l)
		case <-time.After(patience):
			require.Fail(t, "too few edges", "%+v", got)
		}
	}
	require.Equal(t, []card.Lines{{Powered: true, Clock: true, Reset: true}, on, {}, on}, got)
	require.Empty(t, k.Edges)
}

// What no pcscd sends costs the connection, and only that.
func TestBadPeerLosesTheCardForAMoment(t *testing.T) {
	for _, tt := range []struct {
		name string
		raw  []byte
		hold bool
	}{
		{"an empty message", []byte{0, 0}, false},
		{"an APDU before the answer to the one before", []byte{0, 4, 0, 0x44, 0, 0, 0, 4, 0, 0x44, 0, 0}, true},
		{"a question for the ATR before the answer", []byte{0, 4, 0, 0x44, 0, 0, 0, 1, 4}, true},
		{"a command without power", []byte{0, 1, 0, 0, 4, 0, 0x44, 0, 0}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, k := inReader(t)
			k.Hold(tt.hold)
			require.NoError(t, r.Write(within(t), tt.raw))
			k.waitLines(t, card.Lines{})
			require.NoError(t, r.WaitNoCard(within(t)))
			k.Hold(false)
			powerOn(t, r)
			require.Equal(t, "9000", send(t, r, selectUSIM))
		})
	}
}

func TestAnswerIsRefusedIfItIsNone(t *testing.T) {
	r, k := inReader(t)
	k.Hold(true)
	require.NoError(t, r.Write(within(t), []byte{0, 4, 0, 0x44, 0, 0}))
	h := k.nextHeld(t)
	for _, n := range []int{0, 1, card.MaxResponse + 1} {
		require.ErrorContains(t, k.front.Answer(h.ID, make([]byte, n)), "expected 2..258")
	}
	require.ErrorIs(t, k.front.Answer(0, []byte{0x90, 0x00}), card.ErrStale)
	require.NoError(t, k.front.Answer(h.ID, []byte{0x90, 0x00}), "it is still pending")
	require.ErrorIs(t, k.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale, "once")
}

func TestFrontWithoutPcscdWaitsForIt(t *testing.T) {
	r, err := vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	addr := r.Addr()
	require.NoError(t, r.Close())
	front, err := vpcd.New(addr)
	require.NoError(t, err)
	serve(t, front)
	require.Eventually(t, func() bool {
		return len(front.Info().Detail) > 12 && front.Info().Detail[:13] == "pcscd is away"
	}, patience, 10*time.Millisecond)
	r, err = vpcdfake.Listen(addr)
	require.NoError(t, err)
	defer r.Close()
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, selectUSIM))
	require.Equal(t, card.Info{Kind: "vpcd", Device: addr, Detail: "card in the reader"}, front.Info())
}

func TestFrontThatIsNotRunning(t *testing.T) {
	front, err := vpcd.New("")
	require.NoError(t, err)
	require.ErrorIs(t, front.Insert(cardfake.Default().ATR), card.ErrNotReady)
	require.ErrorIs(t, front.Insert(card.ATR{1}), card.ErrATR)
	require.NoError(t, front.Remove())
	require.ErrorIs(t, front.Answer(1, []byte{0x90, 0x00}), card.ErrStale)
	require.ErrorIs(t, front.Mute(1), card.ErrStale)
	require.Equal(t, card.Info{Kind: "vpcd", Device: vpcd.DefaultDevice, Detail: "stopped"}, front.Info())
	require.Equal(t, 33, front.Limits().MaxATR)
	require.True(t, front.Limits().Removes)
}

// The end of Run is the end of the card in the reader; a second Run starts empty.
func TestRunEndsAndStartsAgain(t *testing.T) {
	r, err := vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer r.Close()
	front, err := vpcd.New(r.Addr())
	require.NoError(t, err)
	front.SetRemovalTime(50 * time.Millisecond)
	t.Run("first", func(t *testing.T) {
		k := serve(t, front)
		require.ErrorContains(t, front.Run(context.Background(), k), "running already")
		powerOn(t, r)
	})
	require.NoError(t, r.WaitNoCard(within(t)))
	require.ErrorIs(t, front.Insert(cardfake.Default().ATR), card.ErrNotReady)
	t.Run("second", func(t *testing.T) {
		serve(t, front)
		powerOn(t, r)
		require.Equal(t, "9000", send(t, r, selectUSIM))
	})
}
