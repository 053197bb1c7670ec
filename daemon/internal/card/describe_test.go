package card_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

func tpduOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// inUSIM is a channel in the USIM with this file selected.
func inUSIM(ef uint16) card.Place { return card.Place{App: card.USIM, DF: 0x7FFF, EF: ef} }

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		tpdu string
		at   card.Place
		want string
	}{
		{"00A40004023F00", card.Place{}, "SELECT MF"},
		{"00A4000400", card.Place{}, "SELECT MF"},
		{"00A40004022FE2", card.Place{}, "SELECT EF.ICCID"},
		{"00A40004022F00", inUSIM(0), "SELECT EF.DIR"},
		{"00A4040C10A0000000871002FFFFFFFF8907090000", card.Place{}, "SELECT ADF USIM"},
		{"00A4040C07A0000000871004", card.Place{}, "SELECT ADF ISIM"},
		{"00A4040C05A000000151", card.Place{}, "SELECT AID A000000151"},
		{"00A40004026F07", inUSIM(0), "SELECT EF.IMSI"},
		{"00A40004026F07", card.Place{App: card.ISIM, DF: 0x7FFF}, "SELECT EF.IST"},
		{"00A40004026F07", card.Place{}, "SELECT EF 6F07"},
		{"00A40004027FFF", inUSIM(0), "SELECT ADF USIM"},
		{"00A40804047FFF6F38", inUSIM(0), "SELECT EF.UST"},
		{"00A40804067FFF5FC04F03", inUSIM(0), "SELECT EF.5GS3GPPNSC"},
		{"00A40304", inUSIM(0), "4 bytes, no command"},
		{"00A4030400", inUSIM(0), "SELECT parent directory"},
		{"A0A40000027F20", card.Place{}, "SELECT DF GSM"},
		{"A0A40000026F07", card.Place{DF: 0x7F20}, "SELECT EF.IMSI"},
		{"00B0000009", inUSIM(0x6F07), "READ BINARY EF.IMSI"},
		{"00B0870009", inUSIM(0), "READ BINARY EF.IMSI"},
		{"00B0920009", card.Place{}, "READ BINARY SFI 12"},
		{"00B2030420", inUSIM(0x6F3C), "READ RECORD EF.SMS record 3"},
		{"00B2000220", inUSIM(0x6F3C), "READ RECORD EF.SMS next record"},
		{"00DC000320", inUSIM(0x6F3C), "UPDATE RECORD EF.SMS previous record"},
		{"00B2000420", inUSIM(0x6F3C), "READ RECORD EF.SMS current record"},
		{"00D6000002AABB", inUSIM(0x6F7E), "UPDATE BINARY EF.LOCI"},
		{"002000010831323334FFFFFFFF", card.Place{}, "VERIFY PIN 1"},
		{"0020008100", card.Place{}, "VERIFY local PIN 1"},
		{"0020000A00", card.Place{}, "VERIFY ADM 1"},
		{"002C001100", card.Place{}, "UNBLOCK universal PIN"},
		{"0070000001", card.Place{}, "MANAGE CHANNEL open"},
		{"0070800200", card.Place{}, "MANAGE CHANNEL close 2"},
		{"01F2000C00", card.Place{}, "STATUS channel 1"},
		{"C3F2010C00", card.Place{}, "STATUS application ready channel 7"},
		{"80F2020C00", card.Place{}, "STATUS application ends"},
		{"00C0000020", card.Place{Fetches: 0x88}, "GET RESPONSE of AUTHENTICATE"},
		{"00C0000020", card.Place{}, "GET RESPONSE"},
		{"A088000010", card.Place{}, "RUN GSM ALGORITHM"},
		{"80C2000000", card.Place{}, "ENVELOPE"},
		{"8099000000", card.Place{}, "INS 99"},
		{"", card.Place{}, "0 bytes, no command"},
	} {
		require.Equal(t, c.want, card.Describe(tpduOf(t, c.tpdu), c.at), c.tpdu)
	}
}

func TestPlaceFollowsSelections(t *testing.T) {
	var p card.Place
	p.Select(0x00, []byte{0x3F, 0x00})
	require.Equal(t, card.Place{DF: 0x3F00}, p)
	p.Select(0x04, tpduOf(t, "A0000000871002"))
	require.Equal(t, inUSIM(0), p)
	p.SelectShort(0xB0, 0x87, 0)
	require.Equal(t, card.Place{App: card.USIM, DF: 0x7FFF, EF: 0x6F07, Short: 0x07}, p)
	p.Select(0x00, []byte{0x5F, 0xC0})
	p.SelectShort(0xB2, 1, 0x03<<3|4)
	require.Equal(t, uint16(0x4F03), p.EF)
	p.Select(0x08, []byte{0x7F, 0xFF, 0x6F, 0x38})
	require.Equal(t, inUSIM(0x6F38), p)
	p.Select(0x09, []byte{0x5F, 0x3B, 0x4F, 0x20})
	require.Equal(t, card.Place{App: card.USIM, DF: 0x5F3B, EF: 0x4F20}, p)
	p.Select(0x03, nil)
	require.Equal(t, card.Place{App: card.USIM}, p, "which directory that is, is not known")
}

func TestStatusText(t *testing.T) {
	for sw, want := range map[uint16]string{
		0x9000: "9000 ok",
		0x6119: "6119 ok, 25 bytes to fetch",
		0x6100: "6100 ok, 256 bytes to fetch",
		0x9F16: "9F16 ok, 22 bytes to fetch",
		0x6C0A: "6C0A wrong length, 10 bytes are there",
		0x910B: "910B ok, proactive command of 11 bytes pending",
		0x63C2: "63C2 refused, 2 tries left",
		0x9203: "9203 ok after 3 internal tries",
		0x9862: "9862 authentication error, incorrect MAC",
		0x6A82: "6A82 file not found",
		0x6A99: "6A99 refused",
		0x6299: "6299 warning",
		0x6499: "6499 execution error",
		0x9E10: "9E10 download error, 16 bytes to fetch",
		0x1234: "1234 unknown status word",
	} {
		require.Equal(t, want, card.StatusText(sw))
	}
}

func TestRedactShowsWhatIsHarmless(t *testing.T) {
	for _, c := range []struct {
		name, tpdu, answer string
		at                 card.Place
		cmd, data          string
	}{
		{"selection", "00A40004026F07", "62039000", inUSIM(0), "00A40004026F07", "6203"},
		{"service table", "00B0000004", "01020304 9000", inUSIM(0x6F38), "00B0000004", "01020304"},
		{"administrative data by its short identifier", "00B0830004", "00000002 9000", inUSIM(0x6F07), "00B0830004", "00000002"},
		{"file control parameters", "00C0000002", "6200 9000", card.Place{Fetches: 0xA4}, "00C0000002", "6200"},
		{"terminal profile", "8010000002FFEE", "9110", card.Place{}, "8010000002FFEE", ""},
		{"IMSI", "00B0000009", "080910101032547698 9000", inUSIM(0x6F07), "00B0000009", "{9 bytes hidden}"},
		{"IMSI by its short identifier, from a harmless file", "00B0870009", "080910101032547698 9000", inUSIM(0x6F38), "00B0870009", "{9 bytes hidden}"},
		{"ICCID from anywhere", "00B000000A", "98880102030405060708 9000", inUSIM(0x2FE2), "00B000000A", "{10 bytes hidden}"},
		{"keys written", "00D6000002AABB", "9000", inUSIM(0x6F08), "00D6000002{2 bytes hidden}", ""},
		{"a file of the same number elsewhere", "00B0000001", "AA9000", card.Place{App: card.USIM, DF: 0x5F3A, EF: 0x6F38}, "00B0000001", "{1 bytes hidden}"},
		{"a file in an unknown place", "00B0000001", "AA9000", card.Place{EF: 0x6F38}, "00B0000001", "{1 bytes hidden}"},
		{"location", "00B0000001", "AA9000", inUSIM(0x6F7E), "00B0000001", "{1 bytes hidden}"},
		{"PIN", "002000010831323334FFFFFFFF", "9000", card.Place{}, "0020000108{8 bytes hidden}", ""},
		{"challenge", "0088008102AABB", "6135", inUSIM(0), "0088008102{2 bytes hidden}", ""},
		{"answer to the challenge", "00C0000003", "DB01FF 9000", card.Place{Fetches: 0x88}, "00C0000003", "{3 bytes hidden}"},
		{"fetched by nobody knows what", "00C0000003", "DB01FF 9000", card.Place{}, "00C0000003", "{3 bytes hidden}"},
		{"envelope", "80C2000002AABB", "9000", card.Place{}, "80C2000002{2 bytes hidden}", ""},
		{"profile download", "80E2910002AABB", "6105", card.Place{}, "80E2910002{2 bytes hidden}", ""},
		{"never heard of", "8099000002AABB", "CC9000", card.Place{}, "8099000002{2 bytes hidden}", "{1 bytes hidden}"},
		{"no command", "0020", "", card.Place{}, "{2 bytes hidden}", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, data := card.Redact(tpduOf(t, c.tpdu), tpduOf(t, c.answer), c.at)
			require.Equal(t, c.cmd, cmd)
			require.Equal(t, c.data, data)
		})
	}
}

// FuzzRedact: no input makes it panic, and a PIN, a challenge or a written key never
// shows, wherever the channel stands.
func FuzzRedact(f *testing.F) {
	f.Add([]byte{0x00, 0x20, 0x00, 0x01, 0x08}, []byte("31415926"), []byte{0x90, 0x00}, uint16(0x7FFF), uint16(0x6F07))
	f.Add([]byte{0x00, 0x88, 0x00, 0x81, 0x22}, []byte("canary of RAND.."), []byte{0x61, 0x35}, uint16(0x3F00), uint16(0))
	f.Add([]byte{0x00, 0xD6, 0x88, 0x00, 0x04}, []byte{1, 2, 3, 4}, []byte{0x90, 0x00}, uint16(0x7FFF), uint16(0x6F38))
	f.Add([]byte{}, []byte{}, []byte{}, uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, head, body, response []byte, df, ef uint16) {
		tpdu := append(bytes.Clone(head), body...)
		for _, app := range []card.App{"", card.USIM, card.ISIM} {
			at := card.Place{App: app, DF: df, EF: ef}
			_ = card.Describe(tpdu, at)
			cmd, data := card.Redact(tpdu, response, at)
			if len(head) != 5 || len(body) < 4 {
				continue
			}
			switch head[1] {
			case 0x20, 0x24, 0x26, 0x28, 0x2C, 0x88, 0x89, 0xC2, 0xE2, 0x14:
				require.Equal(t, fmt.Sprintf("%X{%d bytes hidden}", head, len(body)), cmd)
				if len(response) > 2 {
					require.Equal(t, fmt.Sprintf("{%d bytes hidden}", len(response)-2), data)
				}
			}
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add(byte(0), []byte{0x3F, 0x00}, byte(0xB0), byte(0x87), byte(0))
	f.Add(byte(8), []byte{0x7F, 0xFF, 0x6F}, byte(0xB2), byte(1), byte(0xF4))
	f.Fuzz(func(t *testing.T, p1 byte, body []byte, ins, a, b byte) {
		var p card.Place
		p.Select(p1, body)
		p.SelectShort(ins, a, b)
		_ = card.Describe([]byte{0, ins, a, b, 0}, p)
	})
}

func BenchmarkTrace(b *testing.B) {
	tpdu, response := tpduOf(b, "00B0830004"), tpduOf(b, "000000029000")
	at := inUSIM(0x6F07)
	for b.Loop() {
		_ = card.Describe(tpdu, at)
		_, _ = card.Redact(tpdu, response, at)
		_ = card.StatusText(0x9000)
	}
}
