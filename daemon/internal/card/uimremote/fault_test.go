package uimremote_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
)

// authenticate begins an AUTHENTICATE that is held back, and returns the right answer.
func authenticate(t *testing.T, w *world, d *desk) (<-chan transmitted, cardfake.Held, []byte) {
	t.Helper()
	require.Equal(t, "9000", w.send(t, selectUSIM))
	rand := [16]byte{1, 2, 3}
	autn, _, _, _ := d.Card.Milenage().Challenge(rand, d.Card.SQN()+32, [2]byte{0x80})
	d.Hold(true)
	got := w.begin(t, "008800812210"+upper(rand[:])+"10"+upper(autn[:]))
	h := d.nextHeld(t)
	return got, h, d.Card.Transmit(h.TPDU)
}

// faults end Run with an error that says what happened, void what is pending, and
// leave a front that runs again as before.
var faults = []struct {
	name string
	// break breaks the way to the modem; it is whole again when it returns.
	break_ func(t *testing.T, w *world)
	want   string
}{
	{"the proxy goes", func(t *testing.T, w *world) {
		require.NoError(t, w.proxy.Close())
		w.open(t)
	}, "the proxy closed the connection"},
	{"the port goes, and with it the proxy's clients", func(_ *testing.T, w *world) {
		w.modem.Restart()
		w.proxy.Cut()
	}, "restarted|closed"},
	{"the modem restarts behind an open port", func(_ *testing.T, w *world) { w.modem.Restart() }, "the modem has forgotten its clients"},
	{"garbage", func(_ *testing.T, w *world) {
		w.proxy.Garbage([]byte(strings.Repeat("\xFF\x00\x13garbage", 40)))
	}, "malformed"},
	{"the beginning of a frame, and then nothing", func(_ *testing.T, w *world) {
		w.proxy.Garbage([]byte{1})
		w.proxy.Cut()
	}, "the proxy closed the connection"},
}

func TestFaultsDuringAuthenticate(t *testing.T) {
	for _, kind := range []struct {
		name  string
		start func(t *testing.T, o uimremotefake.Options) *world
	}{{"qmi-proxy", fakeQMI}, {"mbim-proxy", fakeMBIM}} {
		for _, x := range faults {
			t.Run(kind.name+": "+x.name, func(t *testing.T) {
				w := kind.start(t, on)
				d := w.serve(t)
				w.attach(t, d)
				got, h, late := authenticate(t, w, d)
				x.break_(t, w)
				require.Regexp(t, x.want, d.ended(t).Error())
				require.Error(t, await(t, d.Down))
				require.ErrorIs(t, d.front.Answer(h.ID, late), card.ErrStale, "no answer outlives its link")
				require.Equal(t, []string{"on"}, d.edges(), "the modem took no power away")
				require.ErrorIs(t, d.front.Insert(cardfake.Default().ATR), card.ErrNotReady)

				// The supervisor runs it again: the modem gets one client, and the card anew.
				again := run(t, d.front)
				again.waitUp(t)
				require.Equal(t, 1, w.modem.Clients())
				w.attach(t, again)
				require.Equal(t, "9000", w.send(t, selectUSIM))
				require.Error(t, await(t, got).err, "the old command was never answered")
				require.NoError(t, again.stop())
				require.Zero(t, w.modem.Late)
				require.Zero(t, w.modem.Clients())
			})
		}
	}
}

func TestPowerCycleDuringAuthenticate(t *testing.T) {
	w := fakeQMI(t, on)
	d := w.serve(t)
	w.attach(t, d)
	got, h, late := authenticate(t, w, d)
	require.NoError(t, w.modem.PowerDown())
	require.Error(t, await(t, got).err)
	_, err := w.modem.PowerUp(within(t))
	require.NoError(t, err)
	require.ErrorIs(t, d.front.Answer(h.ID, late), card.ErrStale)
	d.Hold(false)
	require.Equal(t, "6A82", w.send(t, "00A4000C026F07"), "the next command gets its own answer")
	require.Zero(t, w.modem.Late)
}

func TestAModemThatHangs(t *testing.T) {
	w := fakeQMI(t, on)
	w.options = w.options.Quick(200 * time.Millisecond).ShortFarewell(100 * time.Millisecond)
	d := w.serve(t)
	w.modem.Hang(true)
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	require.ErrorContains(t, d.ended(t), `did not acknowledge "connection available"`)
	require.Equal(t, 1, w.modem.Clients(), "what could not be released")

	w.modem.Hang(false)
	again := run(t, d.front)
	again.waitUp(t)
	require.Equal(t, 1, w.modem.Clients(), "is released before the next is allocated")
	w.attach(t, again)
	require.Equal(t, "9000", w.send(t, selectUSIM))
}

func TestAModemThatAcknowledgesNothing(t *testing.T) {
	w := fakeQMI(t, on)
	w.options = w.options.Quick(200 * time.Millisecond).ShortFarewell(100 * time.Millisecond)
	d := w.serve(t)
	w.modem.Silence(true)
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	require.NoError(t, w.modem.WaitOffered(within(t)))
	require.ErrorContains(t, d.ended(t), `did not acknowledge "connection available"`)
	require.NoError(t, w.modem.WaitLocal(within(t)), "it did what it was asked all the same")
	require.Zero(t, w.modem.Clients())
}

func TestTheEndIsBounded(t *testing.T) {
	w := fakeQMI(t, on)
	w.options = w.options.ShortFarewell(100 * time.Millisecond)
	d := w.serve(t)
	w.attach(t, d)
	w.modem.Hang(true)
	require.NoError(t, d.stop())
}

func TestAModemThatHangsAtTheStart(t *testing.T) {
	w := fakeQMI(t, on)
	w.modem.Hang(true)
	front, err := uimremote.New(w.device, w.options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx, &desk{}) }()
	require.Eventually(t, func() bool { return strings.Contains(w.proxy.String(), "1 clients") }, patience, time.Millisecond)
	require.ErrorContains(t, front.Run(ctx, &desk{}), "it is running already")
	cancel()
	require.NoError(t, await(t, ended))
}

func TestRefusals(t *testing.T) {
	t.Run("the slot", func(t *testing.T) {
		w := fakeQMI(t, on)
		d := w.serve(t)
		w.modem.Refuse(1, 94)
		require.NoError(t, d.front.Insert(cardfake.Default().ATR))
		require.ErrorContains(t, d.ended(t), `the modem refused "connection available": QMI error 94 (not supported)`)
		require.Zero(t, w.modem.Clients())
	})
	t.Run("a card", func(t *testing.T) {
		w := fakeQMI(t, on)
		d := w.serve(t)
		w.attach(t, d)
		w.modem.Refuse(2, 3)
		require.NoError(t, d.front.Insert(card.ATR{0x3B, 0x02, 0x14, 0x50}))
		require.ErrorContains(t, d.ended(t), `the modem refused "card inserted": QMI error 3 (internal)`)
		require.NoError(t, w.modem.WaitLocal(within(t)))
	})
	t.Run("an ATR, which is the modem's to ask for again", func(t *testing.T) {
		w := fakeQMI(t, on)
		d := w.serve(t)
		w.modem.Refuse(5, 3)
		require.NoError(t, d.front.Insert(cardfake.Default().ATR))
		require.NoError(t, w.modem.WaitOffered(within(t)))
		ctx, cancel := context.WithCancel(within(t))
		asked := make(chan error, 1)
		go func() {
			_, err := w.modem.Connect(ctx)
			asked <- err
		}()
		require.NoError(t, w.modem.WaitEvent(within(t), "card reset refused"))
		require.Eventually(t, func() bool { return strings.Contains(d.front.Info().Detail, `refused "card reset"`) }, patience, time.Millisecond)
		w.modem.Refuse(5, 0)
		cancel()
		require.Error(t, await(t, asked))
		_, err := w.modem.PowerUp(within(t))
		require.NoError(t, err)
		require.Equal(t, "9000", w.send(t, selectUSIM))
	})
	t.Run("a second client", func(t *testing.T) {
		w := fakeQMI(t, on)
		w.attach(t, w.serve(t))
		second := w.serve(t)
		require.NoError(t, second.front.Insert(cardfake.Default().ATR))
		require.ErrorContains(t, second.ended(t), "device in use")
		require.Equal(t, "9000", w.send(t, selectUSIM), "the first has the slot")
	})
}

func TestCommandsWithoutPowerFail(t *testing.T) {
	w := fakeQMI(t, on)
	d := w.serve(t)
	w.attach(t, d)
	require.NoError(t, w.modem.PowerDown())
	d.waitLines(t, card.Lines{})
	_, err := w.modem.Transmit(within(t), []byte{0x00, 0xA4, 0x00, 0x0C, 0x00})
	require.ErrorIs(t, err, uimremotefake.ErrFailed)
	require.Empty(t, d.Held)
}
