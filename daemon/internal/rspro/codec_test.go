package rspro_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

type vector struct {
	Name      string
	PDU       object `json:"pdu"`
	BER       string `json:"ber_hex"`
	Frame     string `json:"ipa_hex"`
	Canonical string `json:"canonical_hex"`
	Result    string `json:"result"`
	Consumed  int    `json:"consumed"`
	Reencoded string `json:"reencoded_hex"`
}

func vectors(t testing.TB, file string) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	var v []vector
	require.NoError(t, json.Unmarshal(b, &v))
	require.NotEmpty(t, v)
	return v
}

func TestEveryVectorOfTheCLibraryBothWays(t *testing.T) {
	kinds := map[string]bool{}
	for _, v := range vectors(t, "vectors.json") {
		t.Run(v.Name, func(t *testing.T) {
			ber := unhex(t, v.BER)
			var p rspro.PDU
			n, err := p.Decode(ber)
			require.NoError(t, err)
			require.Equal(t, len(ber), n)
			require.Equal(t, v.PDU, pduMap(t, &p))

			again, err := rspro.AppendPDU([]byte("before"), &p)
			require.NoError(t, err)
			require.Equal(t, "before"+string(ber), string(again))

			frame, err := rspro.AppendFrameTagged(nil, &p)
			if len(v.Frame)/2-rspro.HeaderLen > rspro.MaxSend { // the library writes it, no program could
				require.ErrorIs(t, err, rspro.ErrTooLong)
			} else {
				require.NoError(t, err)
				require.Equal(t, v.Frame, hex.EncodeToString(frame))
			}
			kinds[p.Msg.Name()] = true
		})
	}
	require.Len(t, kinds, 21, "every message of the protocol has a vector")
}

func TestMalformedInputIsJudgedAsTheRealDecoderJudgesIt(t *testing.T) {
	for _, v := range vectors(t, "malformed.json") {
		t.Run(v.Name, func(t *testing.T) {
			ber := unhex(t, v.BER)
			var p rspro.PDU
			n, err := p.Decode(ber)
			switch v.Result {
			case "accept":
				require.NoError(t, err)
				require.Equal(t, v.Consumed, n)
				again, err := rspro.AppendPDU(nil, &p)
				if v.Reencoded == "none" {
					require.ErrorIs(t, err, rspro.ErrUnknown)
					require.IsType(t, &rspro.Unknown{}, p.Msg)
				} else {
					require.NoError(t, err)
					require.Equal(t, v.Reencoded, hex.EncodeToString(again))
				}
			case "reject_FAIL":
				require.ErrorIs(t, err, rspro.ErrMalformed)
				require.NotErrorIs(t, err, rspro.ErrTruncated, "%v", err)
			case "reject_WMORE":
				require.ErrorIs(t, err, rspro.ErrTruncated)
				require.ErrorIs(t, err, rspro.ErrMalformed)
			default:
				require.Fail(t, "unknown result", v.Result)
			}
			if err != nil {
				var where *rspro.DecodeError
				require.True(t, errors.As(err, &where))
				require.NotEmpty(t, where.What)
				require.LessOrEqual(t, where.Offset, len(ber))
			}
		})
	}
}

func TestNonCanonicalInputMeansTheSame(t *testing.T) {
	for _, v := range vectors(t, "noncanonical.json") {
		t.Run(v.Name, func(t *testing.T) {
			var p rspro.PDU
			n, err := p.Decode(unhex(t, v.BER))
			require.NoError(t, err)
			require.Equal(t, v.Consumed, n)
			require.Equal(t, v.PDU, pduMap(t, &p))
			again, err := rspro.AppendPDU(nil, &p)
			require.NoError(t, err)
			require.Equal(t, v.Canonical, hex.EncodeToString(again))
		})
	}
}

func TestRefusalsNameFieldAndByte(t *testing.T) {
	for name, c := range map[string]struct{ ber, want string }{
		"missing data": {
			"3028800102810100a220ac1e30060201010201003006020101020100300c010100010100010100010100",
			"RSPRO msg.tpduModemToCard.data at byte 42: OCTET STRING (04) is missing"},
		"wrong type": {
			"300d800102810100a205ab03020100",
			"RSPRO msg.setAtrRes.result at byte 12: expected ENUMERATED (0a), found INTEGER (02)"},
		"too wide": {
			"3039800102810100a231ac2f300e02090080000000000000000201003006020101020100300c010100010100010100010100040700a40004023f00",
			"RSPRO msg.tpduModemToCard.fromClientSlot.clientId at byte 14: number of 9 bytes does not fit in 64 bits"},
		"cut": {
			"3031800102810100a229ac273006020101020100300602",
			"RSPRO msg.tpduModemToCard.toBankSlot.bankId at byte 23: length runs past the end of the input (23 bytes)"},
		"no wrapper": {
			"302f800102810100ac2730060201010201003006020101020100300c010100010100010100010100040700a40004023f00",
			"RSPRO msg at byte 8: expected [2], found [12]"},
		"extension where none may be": {
			"300d800102810100a205b303800101",
			"RSPRO msg.resetStateReq at byte 12: unexpected [0] in a type without extensions"},
		"text": {
			"474554202f20485454502f312e310d0a",
			"RSPRO PDU at byte 0: expected SEQUENCE (30), found [APPLICATION 7]"},
	} {
		t.Run(name, func(t *testing.T) {
			var p rspro.PDU
			_, err := p.Decode(unhex(t, c.ber))
			require.EqualError(t, err, c.want)
		})
	}
}

func TestEnumerationsAreNamed(t *testing.T) {
	require.Equal(t, "cardNotPresent", rspro.ResultCardNotPresent.String())
	require.Equal(t, "result 7", rspro.ResultCode(7).String())
	require.Equal(t, "component type 9", rspro.ComponentType(9).String())
	require.Equal(t, "C1:2", rspro.ClientSlot{ClientID: 1, SlotNr: 2}.String())
	require.Equal(t, "B1:2", rspro.BankSlot{BankID: 1, SlotNr: 2}.String())
}

func TestFramesThatPeersCannotTakeAreNotWritten(t *testing.T) {
	for _, m := range []rspro.Message{
		&rspro.TpduModemToCard{Data: make([]byte, 1000)},
		&rspro.SetATRReq{ATR: make([]byte, 70000)},
	} {
		out, err := rspro.AppendFrame([]byte("kept"), m)
		require.ErrorIs(t, err, rspro.ErrTooLong)
		require.Equal(t, "kept", string(out))
	}
	_, err := rspro.AppendFrame(nil, &rspro.Unknown{Number: 30})
	require.ErrorIs(t, err, rspro.ErrUnknown)
	_, err = rspro.AppendPDU(nil, &rspro.PDU{})
	require.ErrorIs(t, err, rspro.ErrUnknown)
}

// The TPDU functions write what the general ones write.
func TestTPDUFramesAreTheSameByEitherWay(t *testing.T) {
	for _, size := range []int{0, 1, 5, 64, 84, 85, 100, 128, 260, 900} {
		tpdu := bytes.Repeat([]byte{0xa5}, size)
		client, bank := rspro.ClientSlot{ClientID: 7, SlotNr: 1023}, rspro.BankSlot{BankID: 300, SlotNr: 128}
		want, err := rspro.AppendFrame(nil, &rspro.TpduModemToCard{FromClientSlot: client, ToBankSlot: bank, Data: tpdu})
		require.NoError(t, err)
		got, err := rspro.AppendTpduModemToCard([]byte("x"), client, bank, tpdu)
		require.NoError(t, err)
		require.Equal(t, want, got[1:])

		want, err = rspro.AppendFrame(nil, &rspro.TpduCardToModem{FromBankSlot: bank, ToClientSlot: client, Data: tpdu})
		require.NoError(t, err)
		got, err = rspro.AppendTpduCardToModem(nil, bank, client, tpdu)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestDecodingUsesTheSameMessageAgain(t *testing.T) {
	var p rspro.PDU
	first, err := rspro.AppendPDU(nil, &rspro.PDU{Version: 2, Msg: &rspro.TpduCardToModem{Data: []byte{0x90, 0}, Flags: rspro.Flags{FinalPart: true}}})
	require.NoError(t, err)
	second, err := rspro.AppendPDU(nil, &rspro.PDU{Version: 2, Msg: &rspro.TpduCardToModem{Data: []byte{0x61, 1}}})
	require.NoError(t, err)

	_, err = p.Decode(first)
	require.NoError(t, err)
	before := p.Msg
	_, err = p.Decode(second)
	require.NoError(t, err)
	require.Same(t, before, p.Msg)
	require.Equal(t, &rspro.TpduCardToModem{Data: []byte{0x61, 1}}, p.Msg, "nothing of the first is left")

	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Decode(second) }))
	buf := make([]byte, 0, 512)
	tpdu := make([]byte, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = rspro.AppendTpduModemToCard(buf, rspro.ClientSlot{ClientID: 1}, rspro.BankSlot{BankID: 1}, tpdu)
	}))
}

func BenchmarkEncodeTpdu64(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 512)
	tpdu := make([]byte, 64)
	for b.Loop() {
		if _, err := rspro.AppendTpduModemToCard(buf, rspro.ClientSlot{ClientID: 1}, rspro.BankSlot{BankID: 1, SlotNr: 2}, tpdu); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeTpdu64(b *testing.B) {
	b.ReportAllocs()
	frame, err := rspro.AppendTpduModemToCard(nil, rspro.ClientSlot{ClientID: 1}, rspro.BankSlot{BankID: 1, SlotNr: 2}, make([]byte, 64))
	require.NoError(b, err)
	var p rspro.PDU
	for b.Loop() {
		if _, err := p.Decode(frame[4:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeTpdu64WithoutReuse(b *testing.B) {
	b.ReportAllocs()
	frame, err := rspro.AppendTpduModemToCard(nil, rspro.ClientSlot{ClientID: 1}, rspro.BankSlot{BankID: 1, SlotNr: 2}, make([]byte, 64))
	require.NoError(b, err)
	for b.Loop() {
		var p rspro.PDU
		if _, err := p.Decode(frame[4:]); err != nil {
			b.Fatal(err)
		}
	}
}
