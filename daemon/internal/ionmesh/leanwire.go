package ionmesh

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// The lean beat (docs/IONMESH.md): binary frames of one WebSocket. Up goes one
// frame per interval and client, which fits in LeanUpMax bytes, and now and then
// its counters in one of LeanMetricsMax; down comes an answer of LeanDownMax.
const (
	LeanProtocol   = "remsim-beat-1"
	LeanUpMax      = 32
	LeanDownMax    = 8
	LeanMetricsMax = 100
	leanTextMax    = 8 << 10 // text frames: hello, commands, results
)

// Kinds of binary frames: their first byte.
const (
	leanBeat    = 0x01
	leanMetrics = 0x02
	leanOK      = 0x81
	leanUnknown = 0x82 // the client is not registered (any more)
	leanBusy    = 0x83 // not now
)

// LeanUp is a beat.
type LeanUp struct {
	Member   uint8 // index in the hello
	Status   uint8 // 0 active, 1 warning, 2 error
	Sequence uint16
	Epoch    int64
	RSSI     int // dBm, 0: not known; what does not fit in a byte is cut
	RSRP     int
	// Counters since the beat before; what does not fit in 32 bits is cut.
	Sent, Received, Errors uint32
}

// Append writes the frame.
func (u LeanUp) Append(b []byte) []byte {
	b = append(b, leanBeat, u.Member, u.Status, byte(u.Sequence>>8), byte(u.Sequence), level(u.RSSI), level(u.RSRP))
	b = binary.AppendUvarint(b, uint64(max(0, u.Epoch)))
	for _, n := range []uint32{u.Sent, u.Received, u.Errors} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// level is a signal level as a byte without its sign.
func level(dbm int) byte { return byte(min(255, max(0, -dbm))) }

// DecodeLeanUp reads a beat.
func DecodeLeanUp(b []byte) (u LeanUp, err error) {
	if len(b) < 7 || len(b) > LeanUpMax || b[0] != leanBeat {
		return u, fmt.Errorf("lean beat of %d bytes: %w", len(b), ErrMalformed)
	}
	u.Member, u.Status, u.Sequence = b[1], b[2], binary.BigEndian.Uint16(b[3:])
	u.RSSI, u.RSRP = -int(b[5]), -int(b[6])
	var v [4]uint64
	rest := b[7:]
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(rest); n <= 0 || n > 1 && rest[n-1] == 0 {
			return u, fmt.Errorf("lean beat: a number is cut off or too long: %w", ErrMalformed)
		}
		rest = rest[n:]
	}
	if len(rest) > 0 || v[0] > 1<<53 || v[1]>>32|v[2]>>32|v[3]>>32 != 0 {
		return u, fmt.Errorf("lean beat: too long, or a number out of range: %w", ErrMalformed)
	}
	u.Epoch, u.Sent, u.Received, u.Errors = int64(v[0]), uint32(v[1]), uint32(v[2]), uint32(v[3])
	return u, nil
}

// LeanMetrics is a change of counters.
type LeanMetrics struct {
	Member uint8
	Delta  Stats // RSSI and RSRP stay 0: beats have them
}

// fields are the counters in the order of the mask's bits.
func (m *LeanMetrics) fields() [6]*int64 {
	d := &m.Delta
	return [6]*int64{&d.Uptime, &d.Sent, &d.Received, &d.Errors, &d.DataRx, &d.DataTx}
}

// Append writes the frame: a bit mask, and each change as a signed varint.
func (m LeanMetrics) Append(b []byte) []byte {
	b = append(b, leanMetrics, m.Member, 0)
	mask := len(b) - 1
	for i, f := range m.fields() {
		if *f != 0 {
			b[mask] |= 1 << i
			b = binary.AppendVarint(b, *f)
		}
	}
	return b
}

// DecodeLeanMetrics reads one.
func DecodeLeanMetrics(b []byte) (m LeanMetrics, err error) {
	if len(b) < 3 || len(b) > LeanMetricsMax || b[0] != leanMetrics || b[2]>>6 != 0 {
		return m, fmt.Errorf("lean metrics of %d bytes: %w", len(b), ErrMalformed)
	}
	m.Member = b[1]
	rest := b[3:]
	for i, f := range m.fields() {
		if b[2]>>i&1 == 0 {
			continue
		}
		v, n := binary.Varint(rest)
		if n <= 0 || v == 0 || n > 1 && rest[n-1] == 0 {
			return m, fmt.Errorf("lean metrics: a number is cut off, too long or 0: %w", ErrMalformed)
		}
		*f, rest = v, rest[n:]
	}
	if len(rest) > 0 {
		return m, fmt.Errorf("lean metrics: %d bytes too many: %w", len(rest), ErrMalformed)
	}
	return m, nil
}

// LeanDown is the answer to a beat.
type LeanDown struct {
	Unknown  bool // the client is not registered
	Busy     bool // the beat was not taken
	Member   uint8
	Sequence uint16
	Interval time.Duration // until the next beat, whole seconds; 0: unchanged
	HasLease bool
	Lease    time.Duration // how long the lease runs; 0: no longer
}

// noLease says nothing of the lease. Other values are seconds, or minutes with
// the top bit set.
const noLease = 0xffff

// Append writes the frame.
func (d LeanDown) Append(b []byte) []byte {
	kind := byte(leanOK)
	switch {
	case d.Unknown:
		kind = leanUnknown
	case d.Busy:
		kind = leanBusy
	}
	lease := uint16(noLease)
	if d.HasLease {
		lease = leaseWord(d.Lease)
	}
	interval := uint16(min(0xffff, max(0, d.Interval/time.Second)))
	b = append(b, kind, d.Member)
	b = binary.BigEndian.AppendUint16(b, d.Sequence)
	b = binary.BigEndian.AppendUint16(b, interval)
	return binary.BigEndian.AppendUint16(b, lease)
}

// leaseWord rounds down: a lease is never told longer than it is.
func leaseWord(d time.Duration) uint16 {
	if s := max(0, d) / time.Second; s < 0x8000 {
		return uint16(s)
	}
	return 0x8000 | uint16(min(0x7ffe, d/time.Minute))
}

// DecodeLeanDown reads one.
func DecodeLeanDown(b []byte) (d LeanDown, err error) {
	if len(b) != LeanDownMax || b[0] < leanOK || b[0] > leanBusy {
		return d, fmt.Errorf("lean answer of %d bytes: %w", len(b), ErrMalformed)
	}
	d.Unknown, d.Busy = b[0] == leanUnknown, b[0] == leanBusy
	d.Member, d.Sequence = b[1], binary.BigEndian.Uint16(b[2:])
	d.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])) * time.Second
	switch word := binary.BigEndian.Uint16(b[6:]); {
	case word == noLease:
	case word&0x8000 != 0:
		d.HasLease, d.Lease = true, time.Duration(word&0x7fff)*time.Minute
	default:
		d.HasLease, d.Lease = true, time.Duration(word)*time.Second
	}
	return d, nil
}

// LeanHello opens a connection: who beats on it, by index, and where the counters
// stand that later frames change.
type LeanHello struct {
	Clients []LeanClient `json:"clients"`
}

// LeanClient is one client of a hello.
type LeanClient struct {
	ClientID string `json:"client_id"`
	Epoch    int64  `json:"epoch"`
	Status   string `json:"status"`
	Stats    Stats  `json:"stats"`
}

// LeanText is any other text frame: a command down, a result up.
type LeanText struct {
	ClientID   string          `json:"client_id"`
	ServerTime *float64        `json:"server_time,omitempty"` // in the answer to a hello
	Status     string          `json:"status,omitempty"`      // likewise
	Message    string          `json:"message,omitempty"`
	Command    json.RawMessage `json:"command,omitempty"`
	Result     *Result         `json:"result,omitempty"`
}

// DecodeLeanText reads one.
func DecodeLeanText(b []byte) (t LeanText, err error) {
	if len(b) > leanTextMax {
		return t, fmt.Errorf("text of %d bytes: %w", len(b), ErrMalformed)
	}
	return t, unmarshal(b, &t)
}

// statusByte is a beat's status as a byte.
func statusByte(status string) uint8 {
	switch status {
	case "active":
		return 0
	case "warning":
		return 1
	}
	return 2
}

// StatusName is the status that a byte stands for.
func StatusName(b uint8) string {
	switch b {
	case 0:
		return "active"
	case 1:
		return "warning"
	}
	return "error"
}
