package vpcd_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/tests/pcscrig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader is what a PC/SC program can do; vpcdfake.Reader and, on the real pcscd,
// pcscrig.Client do it.
type reader interface {
	WaitCard(ctx context.Context) ([]byte, error)
	WaitNoCard(ctx context.Context) error
	PowerOn(ctx context.Context) ([]byte, error)
	Reset(ctx context.Context) ([]byte, error)
	PowerOff(ctx context.Context) error
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// desktop is a pcscd, real or not, with one reader.
type desktop struct {
	device  string
	removal time.Duration
	reader  reader
	restart func(t *testing.T) // sets reader anew
}

func fakeDesktop(t *testing.T) *desktop {
	r, err := vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	d := &desktop{device: r.Addr(), removal: 50 * time.Millisecond, reader: r}
	d.restart = func(t *testing.T) {
		require.NoError(t, r.Close())
		r, err = vpcdfake.Listen(d.device)
		require.NoError(t, err)
		d.reader = r
	}
	t.Cleanup(func() { _ = r.Close() })
	return d
}

func realDesktop(t *testing.T) *desktop {
	rig := pcscrig.Start(t, 1)
	d := &desktop{device: rig.Device(0), removal: time.Second, reader: rig.Client(0)}
	d.restart = func(t *testing.T) {
		rig.Stop()
		rig.Run()
		d.reader = rig.Client(0)
	}
	return d
}

// send transmits an APDU and returns the answer in upper-case hexadecimal digits.
func send(t *testing.T, r reader, apdu string) string {
	t.Helper()
	b, err := hex.DecodeString(apdu)
	require.NoError(t, err)
	answer, err := r.Transmit(within(t), b)
	require.NoError(t, err, apdu)
	return strings.ToUpper(hex.EncodeToString(answer))
}

// powerOn waits for the card and powers it.
func powerOn(t *testing.T, r reader) {
	t.Helper()
	_, err := r.WaitCard(within(t))
	require.NoError(t, err)
	atr, err := r.PowerOn(within(t))
	require.NoError(t, err)
	require.Equal(t, []byte(cardfake.Default().ATR), atr)
}

const selectUSIM = "00A4040C07A0000000871002"

// behaviours hold for a PC/SC program whether its pcscd is ours or Debian's.
var behaviours = []struct {
	name string
	test func(t *testing.T, d *desktop, k *desk)
}{
	{"ICCID and AUTHENTICATE are the card's", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		require.Equal(t, "9000", send(t, d.reader, "00A4000C022FE2"))
		iccid, err := k.Card.Binary(0x2FE2)
		require.NoError(t, err)
		require.Equal(t, upper(iccid)+"9000", send(t, d.reader, "00B000000A"))

		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
		rand := [16]byte{1, 2, 3}
		autn, res, ck, ik := k.Card.Milenage().Challenge(rand, k.Card.SQN()+32, [2]byte{0x80})
		require.Equal(t, "6135", send(t, d.reader, "008800812210"+upper(rand[:])+"10"+upper(autn[:])+"00"))
		require.Regexp(t, "^DB08"+upper(res[:])+"10"+upper(ck[:])+"10"+upper(ik[:])+"08.{16}9000$", send(t, d.reader, "00C0000035"))
	}},
	{"APDUs of every shape", func(t *testing.T, d *desktop, _ *desk) {
		powerOn(t, d.reader)
		for _, x := range []struct{ apdu, want string }{
			{"80F2000C", "9000"},                       // case 1
			{"80F2000C00", "9000"},                     // with P3
			{"00A4000C023F00", "9000"},                 // case 3
			{"00A40004023F00", "6122"},                 // case 4 without Le: GET RESPONSE is the program's
			{"00A40004023F0000", "6122"},               // and with
			{"00B0820000", "6C0A"},                     // wrong Le: to be repeated by the program
			{"00B082000A", "988812010000000010F19000"}, //
			{"00A4000C0000023F00", "6700"},             // extended
			{"00B0820000000A", "6700"},                 //
			{"00D6000005AABB", "6700"},                 // contradictory
			{"0020000100", "6984"},                     // an empty VERIFY
			{"0020000108" + strings.Repeat("FF", 250), "6700"},
			{"00D60000FF" + strings.Repeat("00", 255), "6981|6986|6982"},
			{"00D60000000100" + strings.Repeat("00", 256), "6700"},
		} {
			require.Regexp(t, "^("+x.want+")$", send(t, d.reader, x.apdu), x.apdu)
		}
	}},
	{"a reset is warm", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
		_, before := k.Card.Powered()
		atr, err := d.reader.Reset(within(t))
		require.NoError(t, err)
		require.Equal(t, []byte(cardfake.Default().ATR), atr)
		require.Equal(t, "6A82", send(t, d.reader, "00A4000C026F07"), "the application is gone")
		_, after := k.Card.Powered()
		require.Equal(t, before+1, after)
		require.Contains(t, kinds(k.Card), cardfake.WarmReset)
	}},
	{"power off and on is cold", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
		require.NoError(t, d.reader.PowerOff(within(t)))
		k.waitLines(t, card.Lines{})
		powerOn(t, d.reader)
		require.Equal(t, "6A82", send(t, d.reader, "00A4000C026F07"), "the application is gone")
		require.NotContains(t, kinds(k.Card), cardfake.WarmReset)
	}},
	{"another ATR is another card", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		require.NoError(t, k.front.Insert(cardfake.Default().ATR), "the same changes nothing")
		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
		other := card.ATR{0x3B, 0x02, 0x14, 0x50}
		require.NoError(t, k.front.Insert(other))
		require.NoError(t, d.reader.WaitNoCard(within(t)))
		k.waitLines(t, card.Lines{})
		got, err := d.reader.WaitCard(within(t))
		require.NoError(t, err)
		require.Equal(t, []byte(other), got)
	}},
	{"removal, and the card comes back", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		require.NoError(t, k.front.Remove())
		require.NoError(t, k.front.Remove())
		require.NoError(t, d.reader.WaitNoCard(within(t)))
		k.waitLines(t, card.Lines{})
		require.NoError(t, k.front.Insert(cardfake.Default().ATR))
		powerOn(t, d.reader)
		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
	}},
	{"a mute card is a removed card, and comes back", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		k.Hold(true)
		answer := make(chan error, 1)
		go func() {
			_, err := d.reader.Transmit(within(t), []byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00})
			answer <- err
		}()
		h := k.nextHeld(t)
		require.Equal(t, []byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00}, h.TPDU)
		require.ErrorIs(t, k.front.Mute(h.ID+1), card.ErrStale)
		require.NoError(t, k.front.Mute(h.ID))
		require.Error(t, <-answer, "no status word is invented")
		require.ErrorIs(t, k.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
		k.waitLines(t, card.Lines{})
		require.NoError(t, d.reader.WaitNoCard(within(t)))
		k.Hold(false)
		powerOn(t, d.reader)
		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
	}},
	{"pcscd is restarted under a command", func(t *testing.T, d *desktop, k *desk) {
		powerOn(t, d.reader)
		k.Hold(true)
		answer := make(chan error, 1)
		old := d.reader
		go func() {
			_, err := old.Transmit(within(t), []byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00})
			answer <- err
		}()
		h := k.nextHeld(t)
		d.restart(t)
		require.Error(t, <-answer)
		k.waitLines(t, card.Lines{})
		require.ErrorIs(t, k.front.Answer(h.ID, []byte{0x90, 0x00}), card.ErrStale)
		k.Hold(false)
		powerOn(t, d.reader)
		require.Equal(t, "9000", send(t, d.reader, selectUSIM))
	}},
}

// One table, two worlds.
func TestFront(t *testing.T) {
	for _, world := range []struct {
		name  string
		start func(t *testing.T) *desktop
	}{
		{"vpcdfake", fakeDesktop},
		{"pcscd", realDesktop},
	} {
		t.Run(world.name, func(t *testing.T) {
			d := world.start(t)
			for _, b := range behaviours {
				t.Run(b.name, func(t *testing.T) {
					require.NoError(t, d.reader.WaitNoCard(within(t)))
					front, err := vpcd.New(d.device)
					require.NoError(t, err)
					front.SetRemovalTime(d.removal)
					b.test(t, d, serve(t, front))
				})
			}
		})
	}
}

func upper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func kinds(c *cardfake.Card) (out []cardfake.Kind) {
	for _, e := range c.Log() {
		out = append(out, e.Kind)
	}
	return out
}
