package vpcd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func newDecoder(b []byte) *decoder {
	return &decoder{r: bufio.NewReaderSize(bytes.NewReader(b), 512)}
}

func TestDecoderReadsMessages(t *testing.T) {
	long := appendMessage(nil, bytes.Repeat([]byte{0x5A}, maxAPDU+1))
	stream := append([]byte{0, 1, 4, 0, 5, 0x00, 0xB0, 0, 0, 10}, long...)
	stream = append(stream, 0, 1, 0)
	d := newDecoder(stream)

	m, err := d.next()
	require.NoError(t, err)
	require.Equal(t, message{control: true, code: controlATR, length: 1}, m)
	m, err = d.next()
	require.NoError(t, err)
	require.Equal(t, []byte{0x00, 0xB0, 0, 0, 10}, m.apdu)
	m, err = d.next()
	require.NoError(t, err)
	require.Equal(t, message{length: maxAPDU + 1}, m, "skipped, and no control message")
	m, err = d.next()
	require.NoError(t, err)
	require.Equal(t, message{control: true, code: controlOff, length: 1}, m)
	_, err = d.next()
	require.ErrorIs(t, err, io.EOF)
}

func TestDecoderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"half a length", []byte{0}, "ends inside the length"},
		{"an empty payload", []byte{0, 0, 0, 1, 4}, "payload of 0 bytes"},
		{"a cut control message", []byte{0, 1}, "0 of 1 payload bytes"},
		{"a cut APDU", []byte{0, 5, 0, 0xA4}, "2 of 5 payload bytes"},
		{"a cut long message", append([]byte{0xFF, 0xFF}, make([]byte, 100)...), "100 of 65535 payload bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newDecoder(tt.in).next()
			require.ErrorIs(t, err, ErrMalformed)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestTPDUOfAPDU(t *testing.T) {
	body := bytes.Repeat([]byte{0x11}, 255)
	for _, tt := range []struct {
		name string
		apdu []byte
		want []byte // nil: no T=0 command
	}{
		{"case 1 gets P3=00", []byte{0x00, 0x44, 0, 0}, []byte{0x00, 0x44, 0, 0, 0}},
		{"case 1 with its P3", []byte{0x00, 0x44, 0, 0, 0}, []byte{0x00, 0x44, 0, 0, 0}},
		{"case 2", []byte{0x00, 0xB0, 0, 0, 10}, []byte{0x00, 0xB0, 0, 0, 10}},
		{"case 3", []byte{0x00, 0xD6, 0, 0, 1, 7}, []byte{0x00, 0xD6, 0, 0, 1, 7}},
		{"case 4 loses its Le", []byte{0x00, 0xA4, 0, 4, 2, 0x3F, 0, 0}, []byte{0x00, 0xA4, 0, 4, 2, 0x3F, 0}},
		{"case 4 of a T=0 program", []byte{0x00, 0xA4, 0, 4, 2, 0x3F, 0}, []byte{0x00, 0xA4, 0, 4, 2, 0x3F, 0}},
		{"the longest", append([]byte{0x00, 0xD6, 0, 0, 255}, body...), append([]byte{0x00, 0xD6, 0, 0, 255}, body...)},
		{"the longest with Le", append(append([]byte{0x00, 0x88, 0, 0, 255}, body...), 0), append([]byte{0x00, 0x88, 0, 0, 255}, body...)},
		{"2 bytes", []byte{0, 0}, nil},
		{"3 bytes", []byte{0, 0xA4, 0}, nil},
		{"a body that is short", []byte{0x00, 0xD6, 0, 0, 3, 1, 2}, nil},
		{"a body that is long by two", []byte{0x00, 0xD6, 0, 0, 1, 1, 2, 3}, nil},
		{"extended case 2", []byte{0x00, 0xB0, 0, 0, 0, 1, 0}, nil},
		{"extended case 3", []byte{0x00, 0xD6, 0, 0, 0, 0, 1, 9}, nil},
		{"Lc of 0 with Le", []byte{0x00, 0xA4, 0, 0, 0, 0}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDecoder(appendMessage(nil, tt.apdu))
			m, err := d.next()
			require.NoError(t, err)
			got, ok := d.tpdu(m.apdu)
			require.Equal(t, tt.want != nil, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestTPDUOfSkippedMessage(t *testing.T) {
	_, ok := newDecoder(nil).tpdu(nil)
	require.False(t, ok)
}

func TestNewNamesWhatIsWrongWithADevice(t *testing.T) {
	for device, want := range map[string]string{
		"localhost":       "expected host:port",
		"127.0.0.1:":      "port \"\"",
		"127.0.0.1:0":     "1..65535",
		"127.0.0.1:65536": "1..65535",
		"127.0.0.1:vpcd":  "1..65535",
		"::1:35963":       "expected host:port",
	} {
		_, err := New(device)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, device)
	}
	for device, want := range map[string]string{
		"":            DefaultDevice,
		":35964":      "127.0.0.1:35964",
		"[::1]:35963": "[::1]:35963",
	} {
		f, err := New(device)
		require.NoError(t, err)
		require.Equal(t, want, f.Info().Device)
	}
}

// FuzzVPCD holds for every stream: the decoder does not panic, refuses with
// ErrMalformed, never hands over more bytes than came, and what it accepts can be
// written again byte for byte. A TPDU is within the bounds of a TPDU.
func FuzzVPCD(f *testing.F) {
	f.Add([]byte{0, 1, 4, 0, 1, 1, 0, 1, 2, 0, 1, 0})
	f.Add([]byte{0, 7, 0x00, 0xA4, 0, 4, 2, 0x3F, 0})
	f.Add([]byte{0, 4, 0x00, 0x44, 0, 0, 0, 8, 0x00, 0xA4, 0, 4, 2, 0x3F, 0, 0})
	f.Add([]byte{0, 0})
	f.Add([]byte{0xFF, 0xFF, 1, 2, 3})
	f.Add([]byte(strings.Repeat("\x01\x10", 300)))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := newDecoder(in)
		for pos := 0; ; {
			m, err := d.next()
			if err != nil {
				if !errors.Is(err, ErrMalformed) && err != io.EOF {
					t.Fatalf("error is neither ErrMalformed nor EOF: %v", err)
				}
				return
			}
			payload := m.apdu
			if m.control {
				payload = []byte{m.code}
			}
			end := pos + headerLen + m.length
			if end > len(in) {
				t.Fatalf("message of %d bytes out of %d", m.length, len(in)-pos)
			}
			if payload != nil && !bytes.Equal(appendMessage(nil, payload), in[pos:end]) {
				t.Fatalf("round trip: % X became % X", in[pos:end], appendMessage(nil, payload))
			}
			if tpdu, ok := d.tpdu(m.apdu); ok && (len(tpdu) < 5 || len(tpdu) > 260 || !bytes.HasPrefix(tpdu, payload[:4])) {
				t.Fatalf("APDU % X became TPDU % X", payload, tpdu)
			}
			pos = end
		}
	})
}
