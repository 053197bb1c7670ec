package uimremote_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
)

var on = uimremotefake.Options{Offered: true}

const selectUSIM = "00A4040C07A0000000871002"

// behaviours hold through every proxy, ours and the real ones.
var behaviours = []struct {
	name string
	test func(t *testing.T, w *world, d *desk)
}{
	{"the modem uses the card: one edge for connect and power up", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.Equal(t, []string{"on"}, d.edges())
		require.Equal(t, "9000", w.send(t, "00A4000C022FE2"))
		require.Contains(t, d.front.Info().Detail, "the modem uses the card")
	}},
	{"ICCID and AUTHENTICATE are the card's", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, "00A4000C022FE2"))
		iccid, err := d.Card.Binary(0x2FE2)
		require.NoError(t, err)
		require.Equal(t, upper(iccid)+"9000", w.send(t, "00B000000A"))
		require.Equal(t, "9000", w.send(t, selectUSIM))
		rand := [16]byte{1, 2, 3}
		autn, res, ck, ik := d.Card.Milenage().Challenge(rand, d.Card.SQN()+32, [2]byte{0x80})
		require.Equal(t, "6135", w.send(t, "008800812210"+upper(rand[:])+"10"+upper(autn[:])))
		require.Regexp(t, "^DB08"+upper(res[:])+"10"+upper(ck[:])+"10"+upper(ik[:])+"08.{16}9000$", w.send(t, "00C0000035"))
	}},
	{"commands of every shape", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		for _, x := range []struct{ tpdu, want string }{
			{"80F2000C00", "9000"},         // case 1 with its P3
			{"80F2000C", "9000"},           // without
			{"00A4000C023F00", "9000"},     // case 3
			{"00A40004023F00", "6122"},     // case 4: GET RESPONSE is the modem's
			{"00A40004023F0000", "6122"},   // with Le
			{"00B0820000", "6C0A"},         // wrong Le: to be repeated by the modem
			{"00A4000C0000023F00", "6700"}, // extended
			{"00D6000005AABB", "6700"},     // contradictory
			{"00A400", "6700"},             // no header
			{"00D60000FF" + strings.Repeat("00", 255), "6981|6986|6982"}, // 260 bytes
			{"00D60000FF" + strings.Repeat("00", 256), "6981|6986|6982"}, // 261, with Le
		} {
			require.Regexp(t, "^("+x.want+")$", w.send(t, x.tpdu), x.tpdu)
		}
	}},
	{"a reset is warm, and voids what is pending", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, selectUSIM))
		d.Hold(true)
		first := w.begin(t, "00A4000C023F00")
		h := d.nextHeld(t)
		atr, err := w.modem.Reset(within(t))
		require.NoError(t, err)
		require.Equal(t, []byte(cardfake.Default().ATR), atr)
		require.Error(t, await(t, first).err)
		require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
		d.Hold(false)
		require.Equal(t, []string{"on", "reset", "on"}, d.edges())
		require.Equal(t, "6A82", w.send(t, "00A4000C026F07"), "the application is gone")
	}},
	{"power down and up is cold", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, selectUSIM))
		require.NoError(t, w.modem.PowerDown())
		d.waitLines(t, card.Lines{})
		_, err := w.modem.PowerUp(within(t))
		require.NoError(t, err)
		require.Equal(t, "6A82", w.send(t, "00A4000C026F07"))
		require.Equal(t, []string{"on"}, d.edges())
	}},
	{"power up of a card that was used is cold too", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, selectUSIM))
		_, err := w.modem.PowerUp(within(t))
		require.NoError(t, err)
		require.Equal(t, []string{"on", "off", "on"}, d.edges())
		require.Equal(t, "6A82", w.send(t, "00A4000C026F07"))
	}},
	{"another ATR is another card", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.NoError(t, d.front.Insert(cardfake.Default().ATR), "the same changes nothing")
		require.Equal(t, "9000", w.send(t, selectUSIM))
		other := card.ATR{0x3B, 0x02, 0x14, 0x50}
		require.NoError(t, d.front.Insert(other))
		require.NoError(t, w.modem.WaitEvent(within(t), "card inserted 3B021450"))
		require.Contains(t, strings.Join(w.modem.Events(), "|"), "card removed|card inserted 3B021450")
		atr, err := w.modem.PowerUp(within(t))
		require.NoError(t, err)
		require.Equal(t, []byte(other), atr)
		require.Equal(t, []string{"on", "off", "on"}, d.edges())
	}},
	{"removal gives the slot back, and the card comes again", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.NoError(t, d.front.Remove())
		require.NoError(t, d.front.Remove())
		require.NoError(t, w.modem.WaitLocal(within(t)))
		d.waitLines(t, card.Lines{})
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, selectUSIM))
	}},
	{"SelectRemote holds the slot while it is empty", func(t *testing.T, w *world, d *desk) {
		require.NoError(t, d.front.SelectRemote(true))
		require.NoError(t, w.modem.WaitOffered(within(t)))
		_, err := w.modem.Connect(within(t))
		require.ErrorIs(t, err, uimremotefake.ErrCardError, "no ATR is invented, and the modem need not wait for one")
		require.NoError(t, d.front.Insert(cardfake.Default().ATR))
		atr, err := w.modem.WaitCard(within(t))
		require.NoError(t, err)
		require.Equal(t, []byte(cardfake.Default().ATR), atr)
		require.Equal(t, "9000", w.send(t, selectUSIM), "with the ATR the modem may use it at once")
		require.NoError(t, d.front.Remove())
		require.NoError(t, w.modem.WaitNoCard(within(t)))
		require.NoError(t, d.front.SelectRemote(false))
		require.NoError(t, w.modem.WaitLocal(within(t)))
		require.NoError(t, d.front.Insert(cardfake.Default().ATR), "a card in a slot that is the modem's own shows nothing")
		require.NoError(t, d.front.SelectRemote(true))
		_, err = w.modem.Attach(within(t))
		require.NoError(t, err)
	}},
	{"a modem that lets go is asked again when a card comes", func(t *testing.T, w *world, d *desk) {
		require.NoError(t, d.front.SelectRemote(true))
		require.NoError(t, w.modem.WaitOffered(within(t)))
		_, err := w.modem.Connect(within(t))
		require.ErrorIs(t, err, uimremotefake.ErrCardError)
		require.NoError(t, w.modem.Disconnect())
		_, err = w.modem.Connect(within(t)) // the answer shows that DISCONNECT was seen
		require.ErrorIs(t, err, uimremotefake.ErrCardError)
		require.NoError(t, w.modem.Disconnect())
		before := len(w.modem.Events())
		require.NoError(t, d.front.Insert(cardfake.Default().ATR))
		require.Eventually(t, func() bool {
			got := strings.Join(w.modem.Events()[before:], "|")
			return strings.Contains(got, "connection available") || strings.Contains(got, "card inserted")
		}, patience, 5*time.Millisecond)
		_, err = w.modem.Attach(within(t))
		require.NoError(t, err)
		require.Equal(t, "9000", w.send(t, selectUSIM))
	}},
	{"a mute card is a failed command, and comes back", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		d.Hold(true)
		first := w.begin(t, "00A4000C023F00")
		h := d.nextHeld(t)
		require.ErrorIs(t, d.front.Mute(h.ID+1), card.ErrStale)
		require.NoError(t, d.front.Mute(h.ID))
		require.ErrorIs(t, await(t, first).err, uimremotefake.ErrFailed, "no status word is invented")
		require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
		require.NoError(t, w.modem.WaitEvent(within(t), "card error, cause 2"))
		d.Hold(false)
		atr, err := w.modem.WaitCard(within(t))
		require.NoError(t, err, "a modem that does nothing gets the card again")
		require.Equal(t, []byte(cardfake.Default().ATR), atr)
		require.Equal(t, "9000", w.send(t, selectUSIM))
	}},
	{"a modem that resets a mute card has its way", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		d.Hold(true)
		first := w.begin(t, "00A4000C023F00")
		require.NoError(t, d.front.Mute(d.nextHeld(t).ID))
		require.Error(t, await(t, first).err)
		require.NoError(t, w.modem.WaitEvent(within(t), "card error"))
		d.Hold(false)
		_, err := w.modem.Reset(within(t))
		require.NoError(t, err)
		require.Equal(t, "9000", w.send(t, selectUSIM))
	}},
	{"a modem that gives up on a command", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		d.Hold(true)
		w.begin(t, "00A4000C023F00")
		old := d.nextHeld(t)
		second := w.begin(t, "00A4000C022FE2")
		h := d.nextHeld(t)
		require.Greater(t, h.ID, old.ID)
		require.ErrorIs(t, d.front.Answer(old.ID, []byte{0x6F, 0x00}), card.ErrStale)
		require.NoError(t, d.front.Answer(h.ID, []byte{0x90, 0x00}))
		got := await(t, second)
		require.NoError(t, got.err)
		require.Equal(t, "9000", upper(got.answer))
	}},
	{"an answer in segments", func(t *testing.T, w *world, d *desk) {
		d.front.SetSegment(7)
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, "00A4000C022FE2"))
		iccid, err := d.Card.Binary(0x2FE2)
		require.NoError(t, err)
		require.Equal(t, upper(iccid)+"9000", w.send(t, "00B000000A"))
	}},
	{"slow acknowledgements hold nothing up", func(t *testing.T, w *world, d *desk) {
		w.modem.SlowAck(200 * time.Millisecond)
		defer w.modem.SlowAck(0)
		w.attach(t, d)
		require.Equal(t, "9000", w.send(t, selectUSIM))
	}},
	{"short TLVs and strangers' messages are skipped", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		for _, x := range []struct {
			id   uint16
			body []byte
		}{
			{0x22, nil},
			{0x22, []byte{1, 1, 0, 1}},
			{0x22, []byte{1, 4, 0, 1, 0, 0, 0, 2, 2, 0, 9, 9}},
			{0x22, []byte{1, 4, 0, 1, 0, 0, 0, 2, 4, 0, 9, 0, 0, 0, 3, 4, 0, 9, 0, 0xA4, 0}},
			{0x22, []byte{1, 4, 0, 1, 0, 0, 0, 2, 4, 0, 9, 0, 0, 0, 3, 200, 0, 1}}, // a TLV past the end
			{0x27, []byte{1, 2, 0, 1, 0}},
			{0x27, []byte{1, 4, 0, 2, 0, 0, 0}}, // another slot
			{0x99, []byte{1, 4, 0, 1, 0, 0, 0}}, // a message of the future
		} {
			require.NoError(t, w.modem.Indicate(x.id, x.body))
		}
		require.Equal(t, "9000", w.send(t, selectUSIM))
		require.Equal(t, []string{"on"}, d.edges())
	}},
	{"the end gives card, slot and client back", func(t *testing.T, w *world, d *desk) {
		w.attach(t, d)
		require.NoError(t, d.stop())
		require.ErrorIs(t, await(t, d.Down), context.Canceled)
		require.NoError(t, w.modem.WaitLocal(within(t)))
		require.Contains(t, strings.Join(w.modem.Events(), "|"), "card removed|connection unavailable|local again: the connection became unavailable|client")
		require.Zero(t, w.modem.Clients())
		require.Equal(t, []string{"on", "off"}, d.edges())
		require.ErrorIs(t, d.front.Insert(cardfake.Default().ATR), card.ErrNotReady)
		require.Zero(t, w.modem.Syncs, "ModemManager's clients are left alone")
	}},
}

// One table, every proxy that there is.
func TestFront(t *testing.T) {
	for _, kind := range []struct {
		name  string
		start func(t *testing.T, o uimremotefake.Options) *world
	}{
		{"fake qmi-proxy", fakeQMI},
		{"fake mbim-proxy", fakeMBIM},
		{"qmi-proxy", realQMI},
		{"mbim-proxy", realMBIM},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for _, b := range behaviours {
				t.Run(b.name, func(t *testing.T) {
					w := kind.start(t, on)
					b.test(t, w, w.serve(t))
				})
			}
		})
	}
}

func TestNothingLateReachesTheModem(t *testing.T) {
	w := fakeQMI(t, on)
	d := w.serve(t)
	w.attach(t, d)
	d.Hold(true)
	for range 20 {
		first := w.begin(t, "00A4000C023F00")
		h := d.nextHeld(t)
		_, err := w.modem.Reset(within(t))
		require.NoError(t, err)
		require.Error(t, await(t, first).err)
		require.ErrorIs(t, d.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
	}
	require.NoError(t, d.stop())
	require.Zero(t, w.modem.Late)
}

func TestNewRefuses(t *testing.T) {
	for _, device := range []string{"qmi:", "cdc-wdm0", "usb:2-1"} {
		_, err := uimremote.New(device, uimremote.Options{})
		require.ErrorContains(t, err, "expected qmi:/dev/NAME", device)
	}
	_, err := uimremote.New("qmi:/dev/cdc-wdm0", uimremote.Options{Slot: 4})
	require.ErrorContains(t, err, "slot 4 is not 1..3")
	require.Less(t, uimremote.RemovalTime(), uimremote.ATRLimit, "a change of cards ends before a modem gives up on the ATR")
	require.Greater(t, uimremote.SegmentSize, card.MaxResponse)
}

func TestASlotOfTheModem(t *testing.T) {
	for _, device := range []string{"qmi:/dev/cdc-wdm0:0", "qmi:/dev/cdc-wdm0:4", "qmi:/dev/cdc-wdm0:", "qmi:/dev/cdc-wdm0:b"} {
		_, err := uimremote.New(device, uimremote.Options{})
		require.ErrorContains(t, err, "is not 1..3", device)
	}
	w := fakeQMI(t, uimremotefake.Options{Offered: true, Slot: 2})
	w.device = "qmi:/dev/cdc-wdm0:2"
	d := w.serve(t)
	require.Equal(t, "qmi:/dev/cdc-wdm0:2", d.front.Info().Device)
	w.attach(t, d)
	require.Equal(t, "9000", w.send(t, selectUSIM))
}

func TestUSBPathOfAPort(t *testing.T) {
	root := t.TempDir()
	iface := filepath.Join(root, "devices", "usb2", "2-1", "2-1:1.4")
	require.NoError(t, os.MkdirAll(filepath.Join(iface, "wwan", "wwan0"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(iface, "..", "idVendor"), []byte("2c7c\n"), 0o644))
	for class, device := range map[string]string{"usbmisc/cdc-wdm0": iface, "wwan/wwan0qmi0": filepath.Join(iface, "wwan", "wwan0"), "wwan/wwan1mbim0": root} {
		dir := filepath.Join(root, "class", class)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.Symlink(device, filepath.Join(dir, "device")))
	}
	o := uimremote.Options{Sysfs: root}
	require.Equal(t, "2-1", o.USBPath("/dev/cdc-wdm0"))
	require.Equal(t, "2-1", o.USBPath("/dev/wwan0qmi0"))
	require.Empty(t, o.USBPath("/dev/wwan1mbim0"), "one on PCIe")
	require.Empty(t, o.USBPath("/dev/cdc-wdm9"))
}

func TestInsertRefuses(t *testing.T) {
	w := fakeQMI(t, on)
	front, err := uimremote.New(w.device, w.options)
	require.NoError(t, err)
	require.ErrorIs(t, front.Insert(cardfake.Default().ATR), card.ErrNotReady)
	require.ErrorIs(t, front.Insert(card.ATR{0x3B}), card.ErrATR)
	long := make(card.ATR, 33)
	copy(long, []byte{0x3B, 0xFF, 1, 2, 3, 0xF0, 1, 2, 3, 0xF1, 1, 2, 3, 0x70})
	for _, b := range long[1:32] {
		long[32] ^= b // TCK
	}
	require.NoError(t, card.CheckATR(long))
	require.ErrorContains(t, front.Insert(long), "the ATR has 33 bytes, UIM Remote takes 32")
	require.ErrorIs(t, front.Answer(1, []byte{0x90, 0x00}), card.ErrStale)
	require.Error(t, front.Answer(1, []byte{0x90}))
	require.Equal(t, card.Limits{Answer: 14 * time.Second, MaxATR: 32, Removes: true}, front.Limits())
	require.Equal(t, card.Info{Kind: "uim-remote", Device: "qmi:/dev/cdc-wdm0", Detail: "stopped"}, front.Info())
}
