package rspro_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

func TestFramesSurviveEverySegmentation(t *testing.T) {
	stream := unhex(t, "0001fe00"+"0000fe"+"0010ee07300d800102810100a205b2030a0100"+"0000ee"+"0001fe01")
	for n := 1; n <= len(stream); n++ {
		r := rspro.NewReader(&dribble{b: stream, n: n})
		f, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, rspro.Frame{Proto: rspro.ProtoCCM, Payload: []byte{rspro.Ping}}, f)
		f, err = r.Next()
		require.NoError(t, err)
		require.Equal(t, byte(rspro.ProtoOSMO), f.Proto)
		var p rspro.PDU
		_, err = p.Decode(f.Payload)
		require.NoError(t, err)
		require.Equal(t, &rspro.ConfigClientBankRes{}, p.Msg)
		f, err = r.Next()
		require.NoError(t, err)
		require.Equal(t, []byte{rspro.Pong}, f.Payload)
		_, err = r.Next()
		require.Equal(t, io.EOF, err)
	}
}

func TestStreamsThatAreNotRSPROAreRefusedByName(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"web server": {"HTTP/1.1 400 Bad Request\r\n",
			`frame 1 at byte 0: the peer speaks HTTP; it begins 48 54 54 50 2f 31 2e 31 20 34 30 30 20 42 61 64 "HTTP/1.1 400 Bad"`},
		"TLS alert":     {"\x15\x03\x03\x00\x02\x02\x28", `frame 1 at byte 0: the peer speaks TLS; it begins 15 03 03 00 02 02 28 "\x15\x03\x03\x00\x02\x02("`},
		"second frame":  {"\x00\x01\xfe\x00\x00\x01\xdd\x00", `frame 2 at byte 4: IPA protocol dd is neither fe (CCM) nor ee (OSMO); it begins 00 01 dd 00 "\x00\x01\xdd\x00"`},
		"other OSMO":    {"\x00\x02\xee\x01\x00", `frame 1 at byte 0: OSMO extension 01 is not 07 (RSPRO); it begins 00 02 ee 01 00 "\x00\x02\xee\x01\x00"`},
		"beyond 64 KiB": {"\xff\xff\xfe", `frame 1 at byte 0: frame of 65538 bytes, at most 65536 are taken; it begins ff ff fe "\xff\xff\xfe"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := rspro.NewReader(bytes.NewReader([]byte(c.in)))
			var err error
			for err == nil {
				_, err = r.Next()
			}
			require.EqualError(t, err, c.want)
			require.ErrorIs(t, err, rspro.ErrNotRSPRO)
		})
	}
}

func TestStreamEndsInsideFrame(t *testing.T) {
	r := rspro.NewReader(bytes.NewReader([]byte{0, 1, 0xfe, 0, 0, 9, 0xee, 7}))
	_, err := r.Next()
	require.NoError(t, err)
	_, err = r.Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualError(t, err, "stream ends 4 bytes into frame 2 at byte 4: unexpected EOF")
}

func TestLargeFrameGrowsTheBuffer(t *testing.T) {
	body := bytes.Repeat([]byte{1}, 60000)
	stream := append([]byte{0, 1, 0xfe, 0, 60000 >> 8, 60000 & 0xff, 0xfe}, body...)
	stream = append(stream, 0, 1, 0xfe, 1)
	r := rspro.NewReader(&dribble{b: stream, n: 1000})
	for _, want := range [][]byte{{0}, body, {1}} {
		f, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, want, f.Payload)
	}
}

func TestReadingGoesOnAfterADeadline(t *testing.T) {
	broken := io.MultiReader(bytes.NewReader([]byte{0, 1}), iotest.ErrReader(os.ErrDeadlineExceeded))
	src := &swap{r: broken}
	r := rspro.NewReader(src)
	_, err := r.Next()
	require.True(t, errors.Is(err, os.ErrDeadlineExceeded))
	src.r = bytes.NewReader([]byte{0xfe, rspro.Pong})
	f, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, []byte{rspro.Pong}, f.Payload)
}

type swap struct{ r io.Reader }

func (s *swap) Read(p []byte) (int, error) { return s.r.Read(p) }

func TestPeekSeesOnlyWhatHasArrived(t *testing.T) {
	r := rspro.NewReader(bytes.NewReader(unhex(t, "0001fe00"+"0000fe"+"0001fe01"+"0002ee")))
	_, ok := r.Peek()
	require.False(t, ok, "nothing has been read")
	_, err := r.Next()
	require.NoError(t, err)
	f, ok := r.Peek()
	require.True(t, ok)
	require.Equal(t, []byte{rspro.Pong}, f.Payload)
	f, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, []byte{rspro.Pong}, f.Payload)
	_, ok = r.Peek()
	require.False(t, ok, "a frame that is not whole")
}

// The bytes are those of session 12 with the real bank.
func TestIdentityIsAnsweredAsOsmoRemsimDoes(t *testing.T) {
	require.Equal(t, "0001fe05", hex.EncodeToString(rspro.AppendIDResp(nil, nil)))
	get := unhex(t, "01080107010201030104010501010100")
	require.Equal(t, "0048fe05000708302f302f300000130730303a30303a30303a30303a30303a3030000002020000020300000204000002050000130130302d30302d30302d30302d30302d30300000020000",
		hex.EncodeToString(rspro.AppendIDResp(nil, get)))
	require.Equal(t, "0005fe0500025500", hex.EncodeToString(rspro.AppendIDResp(nil, []byte{1, 0x55})), "a tag that nobody defined")
	require.Equal(t, "0001fe05", hex.EncodeToString(rspro.AppendIDResp(nil, []byte{0, 0, 0})), "lengths that lead nowhere")
	require.LessOrEqual(t, len(rspro.AppendIDResp(nil, bytes.Repeat([]byte{1, 7}, 900))), rspro.MaxSend+rspro.HeaderLen)
}
