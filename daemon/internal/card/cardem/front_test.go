package cardem_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a card emulator on a bus: the fake's own, or the kernel's USB.
type rig struct {
	*cardemfake.Device
	bus    cardem.Bus
	device string
	plug   func() // after Unplug
}

// front makes a front for the rig's device that does not wait as long as a modem needs.
func (r *rig) front(t testing.TB) *cardem.Front {
	t.Helper()
	f, err := cardem.NewOn(r.bus, r.device)
	require.NoError(t, err)
	f.Hurry(100*time.Millisecond, 20*time.Millisecond, 300*time.Millisecond)
	return f
}

// behaviours hold whether the device is behind the fake's link or behind usbfs.
var behaviours = []struct {
	name  string
	board string // "": SIMtrace2
	test  func(t *testing.T, r *rig)
}{
	{"opening asks and changes nothing", "", opensQuietly},
	{"insertion sets the ATR first", "ngff-cardem", insertsInOrder},
	{"ICCID and AUTHENTICATE are the card's", "", authenticates},
	{"commands of every case", "", everyCase},
	{"a body in parts is one body", "", bodyInParts},
	{"a PTS loses no command", "", selectsParameters},
	{"a reset is warm, power off and on is cold", "", resets},
	{"a long wait is the firmware's, with NULLs", "", waitsLong},
	{"a mute card is silent until it is reset", "", mutes},
	{"an answer never outlives a reset", "", dropsStale},
	{"an answer that T=0 cannot carry is not given", "", refusesUnfit},
	{"a removed card answers no reset, and comes back", "", removes},
	{"removal and insertion move the presence pin", "ngff-cardem", movesPin},
	{"another ATR is another card", "OWHW", changesCard},
	{"a modem that was there before has to reset first", "", muteBeforeReset},
	{"a new front finds a running modem and disturbs nothing", "ngff-cardem", reattaches},
	{"a command from before the front is handed over", "", adopts},
	{"edges that were dropped are found out", "", findsLostEdges},
	{"the slot and the modem's reset line", "sysmoQMOD", steersModem},
	{"a body that is lost ends in silence", "", losesBody},
	{"a stalled endpoint is cleared and loses nothing", "", clearsStalls},
	{"an endpoint that stalls for ever is given up", "", givesUpStalls},
	{"unplugged in mid-command, and plugged in again", "", unplugs},
	{"the firmware restarts in mid-command", "", restarts},
}

func runTable(t *testing.T, make func(t *testing.T, name string) *rig) {
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) { b.test(t, make(t, b.board)) })
	}
}

func TestFrontOnFake(t *testing.T) { runTable(t, fakeRig) }

func fakeRig(_ *testing.T, name string) *rig {
	d := cardemfake.New(cardemfake.Config{Board: name, Path: "2-1", Serial: "ABC"})
	return &rig{Device: d, bus: cardemfake.Bus{d}, device: "usb:2-1:0", plug: d.Plug}
}

// pollTime is how often a test looks where nothing tells it.
const pollTime = 5 * time.Millisecond

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// powerOn powers the card and expects the default card's ATR.
func powerOn(t testing.TB, r *rig) {
	t.Helper()
	require.NoError(t, r.Wait(within(t), (*cardemfake.Device).Attached))
	require.NoError(t, r.Wait(within(t), func(d *cardemfake.Device) bool {
		return string(d.ATR()) == string(cardfake.Default().ATR)
	}))
	atr, err := r.PowerOn(within(t))
	require.NoError(t, err)
	require.Equal(t, []byte(cardfake.Default().ATR), atr)
}

// send has the modem send a TPDU and returns the answer in hexadecimal digits.
func send(t testing.TB, r *rig, tpdu string) string {
	t.Helper()
	b, err := hex.DecodeString(tpdu)
	require.NoError(t, err)
	answer, err := r.TPDU(within(t), b)
	require.NoError(t, err, tpdu)
	return upper(answer)
}

// sendLater does it in the background.
func sendLater(t *testing.T, r *rig, tpdu string) <-chan error {
	b, err := hex.DecodeString(tpdu)
	require.NoError(t, err)
	done := make(chan error, 1)
	ctx := within(t)
	go func() {
		_, err := r.TPDU(ctx, b)
		done <- err
	}()
	return done
}

func upper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// toDevice is what the host has sent, from message n on.
func toDevice(r *rig, n int) (out []string) {
	for _, line := range r.Log() {
		if b, ok := strings.CutPrefix(line, "host->dev "); ok {
			out = append(out, b)
		}
	}
	return out[n:]
}

const (
	selectMF   = "00A4000C023F00"
	selectUSIM = "00A4040C07A0000000871002"
	status     = "80F2000C00"
)

func opensQuietly(t *testing.T, r *rig) {
	d := newDesk(r.front(t))
	d.run(t)
	defer d.stop(t)
	require.Equal(t, []string{"0108000000000800", "0104000000000800"}, toDevice(r, 0))
	require.Equal(t, "cardem", d.front.Info().Kind)
	require.Equal(t, r.device, d.front.Info().Device)
	require.Equal(t, "SIMtrace2", d.front.Info().Detail)
	require.Equal(t, 33, d.front.Limits().MaxATR)
}

func insertsInOrder(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	require.NoError(t, d.front.Insert(cardfake.Default().ATR), "the same changes nothing")
	require.NoError(t, d.front.ResetModem(300*time.Millisecond))
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return len(x.Pulses()) == 1 }))
	atr := []byte(cardfake.Default().ATR)
	require.Equal(t, []string{
		hex.EncodeToString(cardem.AppendSetATR(nil, atr)),
		"0108000000000e00010000000000", // edges are to be told
		"020200000000090001",           // remote
		"0104000000000800",
		"010500000000090001",     // inserted
		"0201000000000b00022c01", // reset
	}, toDevice(r, 2))
	require.True(t, r.Present())
	require.Equal(t, []time.Duration{300 * time.Millisecond}, r.Pulses())
}

func authenticates(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, "00A4000C022FE2"))
	iccid, err := d.Card.Binary(0x2FE2)
	require.NoError(t, err)
	require.Equal(t, upper(iccid)+"9000", send(t, r, "00B000000A"))
	require.Equal(t, "9000", send(t, r, selectUSIM))
	rand := [16]byte{1, 2, 3}
	autn, res, ck, ik := d.Card.Milenage().Challenge(rand, d.Card.SQN()+32, [2]byte{0x80})
	require.Equal(t, "6135", send(t, r, "008800812210"+upper(rand[:])+"10"+upper(autn[:])))
	require.Regexp(t, "^DB08"+upper(res[:])+"10"+upper(ck[:])+"10"+upper(ik[:])+"08.{16}9000$", send(t, r, "00C0000035"))
}

func everyCase(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	for _, x := range []struct{ tpdu, want string }{
		{status, "9000"},           // case 2 without data
		{selectMF, "9000"},         // case 3
		{"00A40004023F00", "6122"}, // case 4
		{"00B0820000", "6C0A"},     // case 2, wrong Le
		{"00B082000A", "988812010000000010F19000"},
		{"0020000100", "6984"}, // case 3 without a body
		{"0020000108" + strings.Repeat("FF", 8), "6984|6983|6982|63C."},
		{"00D60000FF" + strings.Repeat("00", 255), "6981|6986|6982"}, // the longest
		{"0144000000", "6E00|6881|6D00|6A82|9000|6986|6985"},         // case 1
		{"9010000002", "6E00"}, // in no table: no body is asked for
	} {
		require.Regexp(t, "^("+x.want+")$", send(t, r, x.tpdu), x.tpdu)
	}
	// 256 data bytes, the longest answer, which cardfake has no file for.
	d.Hold(true)
	answer := make(chan []byte, 1)
	ctx := within(t)
	go func() {
		b, _ := r.TPDU(ctx, []byte{0, 0xB0, 0, 0, 0})
		answer <- b
	}()
	long := append(make([]byte, 256), 0x91, 0x0F)
	require.NoError(t, d.front.Answer(d.nextHeld(t).ID, long))
	require.Equal(t, long, <-answer)
}

func bodyInParts(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	r.SetChunk(100)
	d.Hold(true)
	tpdu := "00D60000FF" + strings.Repeat("5A", 255)
	done := sendLater(t, r, tpdu)
	h := d.nextHeld(t)
	require.Equal(t, tpdu, upper(h.TPDU))
	require.NoError(t, d.front.Answer(h.ID, []byte{0x90, 0x00}))
	require.NoError(t, <-done)
	acks := 0
	for _, m := range toDevice(r, 0) {
		if m == "0101000000000f00080000000100d6" {
			acks++
		}
	}
	require.Equal(t, 1, acks, "one procedure byte for one body")
}

func selectsParameters(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	require.NoError(t, r.PTS(within(t), 0xFF, 0x10, 0x96, 0x79))
	require.Equal(t, "9000", send(t, r, selectMF))
	st := d.front.Stats()
	require.EqualValues(t, 1, st.Selections)
	require.Equal(t, []byte{0xFF, 0x10, 0x96, 0x79}, st.PTS.Resp[:st.PTS.Len])
}

func resets(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, selectUSIM))
	atr, err := r.WarmReset(within(t))
	require.NoError(t, err)
	require.Equal(t, []byte(cardfake.Default().ATR), atr)
	require.Equal(t, "6A82", send(t, r, "00A4000C026F07"), "the application is gone")
	require.Contains(t, kinds(d.Card), cardfake.WarmReset)

	require.Equal(t, "9000", send(t, r, selectUSIM))
	r.PowerOff()
	d.waitLines(t, off)
	warm := len(kinds(d.Card))
	powerOn(t, r)
	require.Equal(t, "6A82", send(t, r, "00A4000C026F07"), "the application is gone")
	require.Contains(t, kinds(d.Card)[warm:], cardfake.ColdReset)
}

func kinds(c *cardfake.Card) (out []cardfake.Kind) {
	for _, e := range c.Log() {
		out = append(out, e.Kind)
	}
	return out
}

func waitsLong(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	d.Hold(true)
	done := sendLater(t, r, selectMF)
	h := d.nextHeld(t)
	before := len(toDevice(r, 0))
	require.NoError(t, r.Wait(within(t), func(x *cardemfake.Device) bool { return x.Nulls() >= 2 }))
	require.Len(t, toDevice(r, 0), before, "nothing of ours meanwhile")
	require.NoError(t, d.front.Answer(h.ID, []byte{0x90, 0x00}))
	require.NoError(t, <-done)
}

func mutes(t *testing.T, r *rig) {
	d := serve(t, r.front(t))
	powerOn(t, r)
	for _, tpdu := range []string{status, selectMF} { // before a procedure byte, and after a body
		d.Hold(true)
		done := sendLater(t, r, tpdu)
		h := d.nextHeld(t)
		require.Error(t, d.front.Mute(h.ID+1))
		require.NoError(t, d.front.Mute(h.ID))
		require.ErrorIs(t, <-done, cardemfake.ErrMute, "no status word is invented")
		require.Error(t, d.front.Answer(h.ID, []byte{0x90, 0x00}))
		d.Hold(false)
		_, err := r.WarmReset(within(t))
		require.NoError(t, err)
		require.Equal(t, "9000", send(t, r, selectMF))
	}
}
