package cardfake

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// selectUSIM activates the application.
const selectUSIM = "00A4040C07A0000000871002"

// step is a TPDU and what the card has to answer, a regular expression over upper-case
// hexadecimal digits.
type step struct{ send, want string }

// run sends the steps to c in order.
func run(t *testing.T, c *Card, steps ...step) {
	t.Helper()
	for i, s := range steps {
		got := transmit(t, c, s.send)
		require.Regexp(t, regexp.MustCompile("^(?:"+s.want+")$"), got, "step %d: %s", i, s.send)
	}
}

func transmit(t *testing.T, c *Card, send string) string {
	t.Helper()
	return strings.ToUpper(hex.EncodeToString(c.Transmit(unhex(t, send))))
}

// fetch sends a case 4 command and gets its response.
func fetch(t *testing.T, c *Card, send string) []byte {
	t.Helper()
	sw := transmit(t, c, send)
	require.Regexp(t, "^(61|9F)..$", sw, send)
	cla := "00"
	if strings.HasPrefix(send, "A0") {
		cla = "A0"
	}
	b := unhex(t, transmit(t, c, cla+"C00000"+sw[2:]))
	require.Equal(t, []byte{0x90, 0x00}, b[len(b)-2:], send)
	return b[:len(b)-2]
}

// powered is a card that has just been reset.
func powered(t *testing.T, profile Profile) *Card {
	t.Helper()
	c := New(profile)
	require.Equal(t, []byte(profile.ATR), c.Reset(true))
	return c
}

func TestDefaultProfileIsSound(t *testing.T) {
	p := Default()
	require.NoError(t, p.Check())
	require.NoError(t, card.CheckATR(p.ATR))
	require.Equal(t, byte('1'), checkDigit("898821100000000001"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "card …0011", fmt.Sprintf(verb, p), verb)
	}
}

func TestProfileCheckNamesTheField(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Profile)
		want   string
	}{
		{"bad ATR", func(p *Profile) { p.ATR = card.ATR{0x3B} }, "malformed ATR"},
		{"letters", func(p *Profile) { p.IMSI = "00101x" }, "IMSI: expected 6..15 digits"},
		{"check digit", func(p *Profile) { p.ICCID = "8988211000000000012" }, "check digit should be 1"},
		{"short PIN", func(p *Profile) { p.PIN1 = "123" }, "PIN1: expected 4..8"},
		{"MNC", func(p *Profile) { p.MNCLength = 4 }, "MNC length is 4"},
		{"AID", func(p *Profile) { p.AID = nil }, "AID has 0 bytes"},
		{"SPN", func(p *Profile) { p.SPN = strings.Repeat("x", 17) }, "16 letters"},
		{"SQN", func(p *Profile) { p.SQN = 1 << 48 }, "48 bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Default()
			tt.change(&p)
			require.ErrorContains(t, p.Check(), tt.want)
			require.Panics(t, func() { New(p) })
		})
	}
}

func TestPowerTakesEverythingVolatile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cycle func(c *Card)
	}{
		{"cold reset", func(c *Card) { c.Reset(true) }},
		{"warm reset", func(c *Card) { c.Reset(false) }},
		{"power off and on", func(c *Card) { c.PowerOff(); c.Reset(true) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Default()
			p.PINEnabled = true
			c := powered(t, p)
			run(t, c,
				step{selectUSIM, "9000"},
				step{"0020000108" + "31323334FFFFFFFF", "9000"},
				step{"0070000001", "019000"},
				step{"00A40004026F07", "61.."},
			)
			tt.cycle(c)
			run(t, c,
				step{"00C0000010", "6985"},     // the answer that waited
				step{"00B0000009", "6986"},     // the selected EF
				step{"01A4000C023F00", "6881"}, // the channel
				step{"00A40004026F07", "6A82"}, // the application
				step{selectUSIM, "9000"},       //
				step{"00A4000C026F07", "9000"}, //
				step{"00B0000009", "6982"},     // the verified PIN
				step{"0020000100", "63C3"},     // but not its tries
			)
		})
	}
}

func TestWithoutPowerTheCardIsMute(t *testing.T) {
	c := New(Default())
	require.Empty(t, c.Transmit([]byte{0, 0xA4, 0, 0x0C, 2, 0x3F, 0}))
	c.Reset(true)
	run(t, c, step{"00A4000C023F00", "9000"})
	c.PowerOff()
	c.PowerOff()
	require.Empty(t, c.Transmit([]byte{0, 0xA4, 0, 0x0C, 2, 0x3F, 0}))
	powered, cycle := c.Powered()
	require.False(t, powered)
	require.Equal(t, uint64(1), cycle)
	require.Equal(t, "card …0011, no power", c.String())
}

func TestLogTellsTheCardsLife(t *testing.T) {
	c := New(Default())
	c.Reset(true)
	run(t, c, step{"0020000108" + "39393939FFFFFFFF", "6984"})
	c.Reset(false)
	run(t, c, step{"00B0000000", "6986"})
	c.PowerOff()
	var lines []string
	for _, e := range c.Log() {
		lines = append(lines, e.String())
	}
	require.Equal(t, []string{
		"1 cycle 1 cold reset",
		"2 cycle 1 command 00 20 00 01 08 -> 0 bytes, 69 84",
		"3 cycle 2 warm reset",
		"4 cycle 2 command 00 B0 00 00 00 -> 0 bytes, 69 86",
		"5 cycle 2 power off",
	}, lines)
	require.Equal(t, unhex(t, "002000010839393939FFFFFFFF"), c.Log()[1].Command, "the log itself is whole")
}

func TestHookDelaysACommandAndLeavesTheCardUsable(t *testing.T) {
	c := powered(t, Default())
	entered, release := make(chan struct{}), make(chan struct{})
	c.SetHook(func([]byte) { close(entered); <-release })
	done := make(chan []byte)
	go func() { done <- c.Transmit([]byte{0, 0xA4, 0, 0x0C, 2, 0x3F, 0}) }()
	<-entered
	_, err := c.Binary(0x2FE2)
	require.NoError(t, err)
	close(release)
	require.Equal(t, []byte{0x90, 0x00}, <-done)
}

func TestClassAndLengthErrors(t *testing.T) {
	c := powered(t, Default())
	run(t, c,
		step{"00A4", "6700"},
		step{"00A40004033F00", "6700"},       // body is short
		step{"00B00000050011", "6700"},       // case 2 with a body
		step{"00FE000000", "6D00"},           // no such instruction
		step{"9010000000", "6E00"},           // no such class
		step{"04B0000000", "6882"},           // secure messaging
		step{"01B0000000", "6881"},           // channel is closed
		step{"41B0000000", "6881"},           // channel 5 does not exist
		step{"80FE000000", "6D00"},           //
		step{"80AA000005A903810100", "9000"}, // TERMINAL CAPABILITY
	)
}

func TestLogIsBounded(t *testing.T) {
	c := powered(t, Default())
	for range maxLog {
		c.Transmit([]byte{0, 0xB0, 0, 0, 0})
	}
	log := c.Log()
	require.Less(t, len(log), maxLog)
	require.Equal(t, uint64(maxLog+1), log[len(log)-1].Sequence)
}

// FuzzTransmit holds: whatever is sent, the card answers with 2 to 258 bytes and does
// not panic. The input is a list of TPDUs, each behind its length.
func FuzzTransmit(f *testing.F) {
	for _, s := range []string{
		selectUSIM, "00A40004023F00", "00C0000020", "00B0850000", "00B2010426", "00A2010401FF", "80F2000000", "0070000001",
		"A0A40000027F20", "A0C0000016", "A0F2000016", "8010000001FF", "8012000000", "00DC0004" + "05" + "0102030405", "0020000100",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte{byte(len(b))}, b...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := New(Default())
		c.Reset(true)
		_ = c.QueueProactive([]byte{0xD0, 0x00})
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			answer := c.Transmit(in[1 : 1+n])
			if len(answer) < 2 || len(answer) > card.MaxResponse {
				t.Fatalf("% X: answer of %d bytes", in[1:1+n], len(answer))
			}
			in = in[1+n:]
		}
	})
}
