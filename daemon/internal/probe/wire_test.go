package probe

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

var nonce = [8]byte{1, 2, 3, 4, 5, 6, 7, 8}

func TestEchoOnTheWire(t *testing.T) {
	// 0800+1234+0001+0102+0304+0506+0708 = 2a49, of which d5b6 is the complement.
	require.Equal(t, "0800d5b61234000101020304"+"05060708", hex.EncodeToString(echo(false, 0x1234, 1, nonce)))
	require.Equal(t, "80000000123400010102030405060708", hex.EncodeToString(echo(true, 0x1234, 1, nonce)))
	require.Zero(t, checksum(echo(false, 7, 9, nonce)), "the sum over a message with its checksum")
}

func TestReplies(t *testing.T) {
	reply := append([]byte{0, 0, 0, 0, 0, 1, 0, 1}, nonce[:]...)
	header := append([]byte{0x45}, make([]byte, 19)...)
	options := append([]byte{0x46}, make([]byte, 23)...)
	for _, tc := range []struct {
		name string
		six  bool
		b    []byte
		want bool
	}{
		{"from a ping socket", false, reply, true},
		{"from a raw socket, with the IP header", false, append(header, reply...), true},
		{"with IP options", false, append(options, reply...), true},
		{"our own request, looped back", false, echo(false, 0, 1, nonce), false},
		{"somebody else's", false, append([]byte{0, 0, 0, 0, 0, 1, 0, 1}, make([]byte, 8)...), false},
		{"cut short", false, reply[:15], false},
		{"an IP header that claims too much", false, append([]byte{0x4f}, make([]byte, 30)...), false},
		{"IPv6", true, append([]byte{129, 0, 0, 0, 0, 1, 0, 1}, nonce[:]...), true},
		{"IPv4's type over IPv6", true, reply, false},
	} {
		require.Equal(t, tc.want, isReply(tc.six, tc.b, nonce), tc.name)
	}
}

func TestQuestion(t *testing.T) {
	require.Equal(t, "beef01000001000000000000"+"0000010001", hex.EncodeToString(question(0xbeef)))
	require.True(t, isAnswer([]byte{0xbe, 0xef, 0x81, 5, 0, 1, 0, 0, 0, 0, 0, 0}, 0xbeef), "refused")
	require.False(t, isAnswer(question(0xbeef), 0xbeef), "a question")
	require.False(t, isAnswer([]byte{0xbe, 0xee, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0xbeef))
	require.False(t, isAnswer([]byte{0xbe, 0xef, 0x81}, 0xbeef))
}

// FuzzReplies: no input makes the parsers panic, and what they accept holds what
// was asked for.
func FuzzReplies(f *testing.F) {
	f.Add([]byte{0x45, 0, 0}, uint16(1))
	f.Add(append([]byte{0, 0, 0, 0, 0, 1, 0, 1}, nonce[:]...), uint16(0))
	f.Add([]byte{0xbe, 0xef, 0x81, 5, 0, 1, 0, 0, 0, 0, 0, 0}, uint16(0xbeef))
	f.Fuzz(func(t *testing.T, b []byte, id uint16) {
		for _, six := range []bool{false, true} {
			if isReply(six, b, nonce) {
				require.GreaterOrEqual(t, len(b), echoSize)
				require.Contains(t, string(b), string(nonce[:]))
			}
		}
		if isAnswer(b, id) {
			require.Equal(t, id, uint16(b[0])<<8|uint16(b[1]))
		}
	})
}
