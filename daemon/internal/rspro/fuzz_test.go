package rspro_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// FuzzBER holds the promises of the PDU decoder: no input makes it panic, a
// refusal is a *DecodeError that points into the input, and whatever it accepts
// has a canonical form that decodes equal.
func FuzzBER(f *testing.F) {
	for _, file := range []string{"vectors.json", "malformed.json", "noncanonical.json"} {
		for _, v := range vectors(f, file) {
			if b := unhex(f, v.BER); len(b) < 512 {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p rspro.PDU
		n, err := p.Decode(b)
		if err != nil {
			var where *rspro.DecodeError
			require.True(t, errors.As(err, &where), "%v", err)
			require.True(t, where.Offset >= 0 && where.Offset <= len(b), "%v", err)
			return
		}
		require.True(t, n > 0 && n <= len(b))
		canonical, err := rspro.AppendPDU(nil, &p)
		if errors.Is(err, rspro.ErrUnknown) {
			return
		}
		require.NoError(t, err)
		var again rspro.PDU
		m, err := again.Decode(canonical)
		require.NoError(t, err, "% x became % x", b, canonical)
		require.Equal(t, len(canonical), m)
		requireSame(t, &p, &again)
		twice, err := rspro.AppendPDU(nil, &again)
		require.NoError(t, err)
		require.Equal(t, canonical, twice)
		requireSameTree(t, canonical)
	})
}

// requireSame compares PDUs by meaning: an empty octet string is one whether it
// is nil or not.
func requireSame(t *testing.T, a, b *rspro.PDU) {
	t.Helper()
	require.Equal(t, pduMap(t, a), pduMap(t, b))
}

// requireSameTree lets go-asn1-ber, which knows nothing of RSPRO, read what we
// wrote and write it again.
func requireSameTree(t *testing.T, canonical []byte) {
	t.Helper()
	tree, err := ber.DecodePacketErr(canonical)
	if err != nil && strings.Contains(err.Error(), "IA5String") {
		return // it checks the characters; the protocol's own decoder does not
	}
	require.NoError(t, err, "% x", canonical)
	require.Equal(t, canonical, tree.Bytes())
}

// FuzzAgainstGoAsn1Ber builds TPDUs with go-asn1-ber and reads them with ours.
func FuzzAgainstGoAsn1Ber(f *testing.F) {
	f.Add(int64(1), int64(0), int64(1), int64(1023), uint8(0), []byte{0, 0xa4, 4, 0, 2, 0x3f, 0})
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), int64(-129), int64(32768), uint8(15), bytes.Repeat([]byte{7}, 300))
	f.Fuzz(func(t *testing.T, client, cslot, bank, bslot int64, bits uint8, data []byte) {
		integer := func(class ber.Class, tag ber.Tag, v int64) *ber.Packet {
			return ber.NewInteger(class, ber.TypePrimitive, tag, v, "")
		}
		pair := func(a, b int64) *ber.Packet {
			s := ber.NewSequence("")
			s.AppendChild(integer(ber.ClassUniversal, ber.TagInteger, a))
			s.AppendChild(integer(ber.ClassUniversal, ber.TagInteger, b))
			return s
		}
		fl := ber.NewSequence("")
		for i := range 4 {
			v := ber.Encode(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, nil, "")
			v.Data.WriteByte(-(bits >> i & 1)) // NewBoolean would write TRUE as 01, which is not DER
			fl.AppendChild(v)
		}
		body := ber.Encode(ber.ClassContext, ber.TypeConstructed, 12, nil, "")
		body.AppendChild(pair(client, cslot))
		body.AppendChild(pair(bank, bslot))
		body.AppendChild(fl)
		body.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(data), ""))
		msg := ber.Encode(ber.ClassContext, ber.TypeConstructed, 2, nil, "")
		msg.AppendChild(body)
		pdu := ber.NewSequence("")
		pdu.AppendChild(integer(ber.ClassContext, 0, 2))
		pdu.AppendChild(integer(ber.ClassContext, 1, cslot))
		pdu.AppendChild(msg)

		var p rspro.PDU
		n, err := p.Decode(pdu.Bytes())
		require.NoError(t, err, "% x", pdu.Bytes())
		require.Equal(t, len(pdu.Bytes()), n)
		want := &rspro.PDU{Version: 2, Tag: cslot, Msg: &rspro.TpduModemToCard{
			FromClientSlot: rspro.ClientSlot{ClientID: client, SlotNr: cslot}, ToBankSlot: rspro.BankSlot{BankID: bank, SlotNr: bslot},
			Flags: rspro.Flags{TPDUHeaderPresent: bits&1 != 0, FinalPart: bits&2 != 0, ProcByteContinueTx: bits&4 != 0, ProcByteContinueRx: bits&8 != 0},
			Data:  data}}
		requireSame(t, want, &p)
		ours, err := rspro.AppendPDU(nil, want)
		require.NoError(t, err)
		require.Equal(t, ours, pdu.Bytes())
	})
}

// FuzzIPA feeds a stream in pieces of every size: no input makes the reader
// panic, segmentation changes nothing, and the frames it yields are the bytes it
// took.
func FuzzIPA(f *testing.F) {
	f.Add([]byte{0, 1, 0xfe, 0, 0, 1, 0xfe, 1}, uint8(1))
	f.Add([]byte{0, 0, 0xfe, 0, 0, 0xee, 0, 2, 0xee, 7, 0x30}, uint8(2))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), uint8(3))
	f.Add([]byte{0xff, 0xff, 0xfe}, uint8(1))
	f.Add(unhex(f, "0034ee073031800102810100a229ac2730060201070201013006020101020102300c010100010100010100010100040700a40004023f00"), uint8(5))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		whole, err1 := readAll(rspro.NewReader(bytes.NewReader(b)))
		pieces, err2 := readAll(rspro.NewReader(&dribble{b: b, n: int(piece) + 1}))
		require.Equal(t, whole, pieces)
		require.Equal(t, err1, err2)
		require.True(t, err1 == io.EOF || errors.Is(err1, io.ErrUnexpectedEOF) || errors.Is(err1, rspro.ErrNotRSPRO), "%v", err1)
		var garbage *rspro.StreamError
		if errors.As(err1, &garbage) {
			require.True(t, bytes.HasPrefix(b[garbage.Offset:], garbage.Bytes))
		}
		require.True(t, bytes.HasPrefix(dropEmpty(b), whole), "% x from % x", whole, b)
	})
}

// readAll writes every frame back until the stream ends; its errors do not
// depend on how many bytes of garbage had been read.
func readAll(r *rspro.Reader) ([]byte, error) {
	out := []byte{}
	for {
		f, err := r.Next()
		var garbage *rspro.StreamError
		if errors.As(err, &garbage) {
			short := *garbage
			short.Bytes = short.Bytes[:rspro.HeaderLen]
			return out, &short
		}
		if err != nil {
			return out, err
		}
		n := len(f.Payload)
		if f.Proto == rspro.ProtoOSMO {
			n++
		}
		out = append(out, byte(n>>8), byte(n), f.Proto)
		if f.Proto == rspro.ProtoOSMO {
			out = append(out, rspro.ExtRSPRO)
		}
		out = append(out, f.Payload...)
	}
}

// dropEmpty leaves frames of length zero out.
func dropEmpty(b []byte) []byte {
	out := []byte{}
	for len(b) >= rspro.HeaderLen {
		n := min(len(b), rspro.HeaderLen+(int(b[0])<<8|int(b[1])))
		if n > rspro.HeaderLen {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return append(out, b...)
}

// dribble yields n bytes at a time.
type dribble struct {
	b []byte
	n int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), d.n)], d.b)
	d.b = d.b[n:]
	return n, nil
}
