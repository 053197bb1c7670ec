package rspro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The IPA framing: 16-bit big-endian count of the bytes after the header, and
// the protocol.
const (
	HeaderLen = 3

	ProtoCCM  = 0xfe // connection management: one byte of message type, then its data
	ProtoOSMO = 0xee // followed by the extension octet
	ExtRSPRO  = 0x07

	// MaxSend is the largest IPA length that osmo-remsim takes: its message
	// buffers hold 1024 bytes. A longer frame makes the server close and the C
	// client crash.
	MaxSend = 1021
	// MaxFrame is the longest frame that a Reader takes, header included.
	MaxFrame = 64 << 10
)

// The CCM message types.
const (
	Ping   = 0x00
	Pong   = 0x01
	IDGet  = 0x04
	IDResp = 0x05
	IDAck  = 0x06
)

// AppendCCM appends a control frame of the given type without data.
func AppendCCM(dst []byte, msgType byte) []byte {
	return append(dst, 0, 1, ProtoCCM, msgType)
}

// idText is what osmo-remsim answers for an identity tag: it has no identity of
// this kind, so the values are libosmocore's placeholders.
func idText(t byte) string {
	switch t {
	case 0x08: // unit id
		return "0/0/0"
	case 0x07: // MAC address
		return "00:00:00:00:00:00"
	case 0x01: // unit name
		return "00-00-00-00-00-00"
	}
	return ""
}

// AppendIDResp appends the identity that answers an ID_GET, whose data asks for
// tags as pairs of a length (1) and a tag. No data asks for nothing and gets an
// answer without data. Tags that nobody defined are answered with empty text
// (the C client dies of them).
func AppendIDResp(dst []byte, data []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, ProtoCCM, IDResp)
	for len(data) >= 2 && data[0] > 0 && int(data[0]) < len(data) {
		text := idText(data[1])
		if len(dst)-start-HeaderLen+4+len(text) > MaxSend {
			break
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(text)+2))
		dst = append(dst, data[1])
		dst = append(append(dst, text...), 0)
		data = data[1+int(data[0]):]
	}
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-start-HeaderLen))
	return dst
}

// Frame is one IPA frame.
type Frame struct {
	// Proto is ProtoCCM or ProtoOSMO.
	Proto byte
	// Payload is the CCM message with its type, or the RSPRO PDU without the
	// extension octet. It is valid until the next call of the Reader.
	Payload []byte
}

// StreamError refuses a stream: what came is no frame of an RSPRO peer.
type StreamError struct {
	Frame  int64  // how many frames came before
	Offset int64  // of the offending frame, in bytes from the start of the stream
	Bytes  []byte // how it begins
	What   string
}

// Error names frame, byte, the bytes and what is wrong with them.
func (e *StreamError) Error() string {
	return fmt.Sprintf("frame %d at byte %d: %s; it begins % x %q", e.Frame+1, e.Offset, e.What, e.Bytes, e.Bytes)
}

// Unwrap is ErrNotRSPRO.
func (e *StreamError) Unwrap() error { return ErrNotRSPRO }

// Reader cuts a byte stream into IPA frames, however the stream is segmented.
// After an error of the underlying reader that passes (a deadline), Next may be
// called again.
type Reader struct {
	r      io.Reader
	buf    []byte
	start  int   // of the next frame in buf
	end    int   // of what was read into buf
	offset int64 // of buf[start] in the stream
	frames int64 // taken
}

// firstBuffer is enough for every frame of a real peer, and several TPDUs.
const firstBuffer = 2048

// NewReader reads frames from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, buf: make([]byte, firstBuffer)} }

// Next returns the next frame. Frames of length zero are passed over: they carry
// nothing, and a peer that sends one is otherwise in order. The error is io.EOF
// when the stream ends between frames, io.ErrUnexpectedEOF inside one, a
// *StreamError when the bytes are no frames, or the error of the reader below.
func (d *Reader) Next() (Frame, error) {
	for {
		f, n, err := d.parse(d.start)
		if err != nil {
			return Frame{}, err
		}
		if n == 0 {
			if err := d.fill(); err != nil {
				return Frame{}, err
			}
			continue
		}
		d.start += n
		d.offset += int64(n)
		d.frames++
		if n > HeaderLen {
			return f, nil
		}
	}
}

// Peek returns the frame after the last one if all of it has already been read;
// it never reads. Frames of length zero are passed over.
func (d *Reader) Peek() (Frame, bool) {
	for at := d.start; ; {
		f, n, err := d.parse(at)
		if err != nil || n == 0 {
			return Frame{}, false
		}
		if n > HeaderLen {
			return f, true
		}
		at += n
	}
}

// parse looks at the bytes from at; n is the length of the whole frame there, 0
// if more bytes are needed.
func (d *Reader) parse(at int) (f Frame, n int, err error) {
	b := d.buf[at:d.end]
	if len(b) < HeaderLen {
		return f, 0, nil
	}
	n = HeaderLen + int(binary.BigEndian.Uint16(b))
	f.Proto = b[2]
	switch {
	case f.Proto != ProtoCCM && f.Proto != ProtoOSMO:
		return f, 0, d.refuse(at, foreign(b, fmt.Sprintf("IPA protocol %02x is neither fe (CCM) nor ee (OSMO)", f.Proto)))
	case n > MaxFrame:
		return f, 0, d.refuse(at, fmt.Sprintf("frame of %d bytes, at most %d are taken", n, MaxFrame))
	case n == HeaderLen:
		return f, n, nil
	case f.Proto == ProtoOSMO && len(b) > HeaderLen && b[HeaderLen] != ExtRSPRO:
		return f, 0, d.refuse(at, fmt.Sprintf("OSMO extension %02x is not 07 (RSPRO)", b[HeaderLen]))
	case len(b) < n:
		return f, 0, nil
	}
	f.Payload = b[HeaderLen:n:n]
	if f.Proto == ProtoOSMO {
		f.Payload = f.Payload[1:]
	}
	return f, n, nil
}

// foreign names the protocol whose first bytes are well known.
func foreign(b []byte, otherwise string) string {
	for _, p := range [...]struct{ start, name string }{
		{"HTT", "HTTP"}, {"GET", "HTTP"}, {"<!D", "HTML"}, {"<ht", "HTML"}, {"SSH", "SSH"}, {"220", "SMTP or FTP"},
		{"\x15\x03", "TLS"}, {"\x16\x03", "TLS"},
	} {
		if bytes.HasPrefix(b, []byte(p.start)) {
			return "the peer speaks " + p.name
		}
	}
	return otherwise
}

func (d *Reader) refuse(at int, what string) error {
	const shown = 16
	b := d.buf[at:d.end]
	return &StreamError{Frame: d.frames, Offset: d.offset + int64(at-d.start), Bytes: bytes.Clone(b[:min(len(b), shown)]), What: what}
}

// fill reads once.
func (d *Reader) fill() error {
	d.makeRoom()
	n, err := d.r.Read(d.buf[d.end:])
	d.end += n
	if n > 0 {
		return nil // an error with data comes again without
	}
	if errors.Is(err, io.EOF) && d.end > d.start {
		return fmt.Errorf("stream ends %d bytes into frame %d at byte %d: %w", d.end-d.start, d.frames+1, d.offset, io.ErrUnexpectedEOF)
	}
	return err
}

// makeRoom moves what is left to the front, and grows for the frame that is
// being read.
func (d *Reader) makeRoom() {
	if d.start == d.end {
		d.start, d.end = 0, 0
	}
	need := HeaderLen + 1
	if d.end-d.start >= HeaderLen {
		need = HeaderLen + int(binary.BigEndian.Uint16(d.buf[d.start:]))
	}
	if d.start+need <= len(d.buf) && d.end < len(d.buf) {
		return
	}
	buf := d.buf
	if need > len(buf) {
		buf = make([]byte, need)
	}
	d.end = copy(buf, d.buf[d.start:d.end])
	d.buf, d.start = buf, 0
}
