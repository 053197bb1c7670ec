package history

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unicode/utf8"
)

// Form on disk, all integers as varints of encoding/binary unless said
// otherwise: "remsimH", a version byte; the number of series; per series metric
// and subject (length, bytes), the time of the last value, and per tier the
// newest step, the number of cells and the cells from oldest to newest: distance
// to the cell before (for the first: from the oldest step that the ring holds),
// the average as a signed difference to the one before, average - minimum and
// maximum - average. At the end the CRC-32 (IEEE) of everything before, 4 bytes,
// big endian. Totals of counters are not kept: a router that starts counts anew.
const (
	magic   = "remsimH"
	version = 1
)

// Encode writes the history for a later Decode.
func (h *History) Encode() []byte {
	keys := h.keys()
	b := make([]byte, 0, 64+len(keys)*allCells*8)
	b = append(append(b, magic...), version)
	b = binary.AppendUvarint(b, uint64(len(keys)))
	for _, k := range keys {
		s := h.series[k]
		b = appendText(appendText(b, k.metric), k.subject)
		b = binary.AppendUvarint(b, uint64(s.added))
		for i := range s.rings {
			b = s.rings[i].appendTo(b)
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (r *ring) appendTo(b []byte) []byte {
	first := r.first()
	var cells uint64
	r.each(-1, math.MaxInt64, func(int64, cell) { cells++ })
	b = binary.AppendUvarint(b, uint64(r.last))
	b = binary.AppendUvarint(b, cells)
	before, avg := first, int64(0)
	r.each(-1, math.MaxInt64, func(at int64, c cell) {
		step := at / r.step
		b = binary.AppendUvarint(b, uint64(step-before))
		b = binary.AppendVarint(b, int64(c.avg)-avg)
		b = binary.AppendUvarint(b, uint64(int64(c.avg)-int64(c.min)))
		b = binary.AppendUvarint(b, uint64(int64(c.max)-int64(c.avg)))
		before, avg = step, int64(c.avg)
	})
	return b
}

// maxEncoded bounds what Decode looks at: MaxSeries full of the worst cells.
const maxEncoded = 3 << 20

// Decode reads what Encode wrote. Everything else is ErrMalformed, and so is
// what another version wrote: a history is not worth a conversion.
func Decode(b []byte) (*History, error) {
	if len(b) > maxEncoded {
		return nil, fmt.Errorf("%d bytes: %w", len(b), ErrMalformed)
	}
	if len(b) < len(magic)+1+4 || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("not a history: %w", ErrMalformed)
	}
	if v := b[len(magic)]; v != version {
		return nil, fmt.Errorf("version %d, this is for version %d: %w", v, version, ErrMalformed)
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return nil, fmt.Errorf("checksum differs: %w", ErrMalformed)
	}
	r := &reader{b: body[len(magic)+1:]}
	h := r.history()
	if r.err == nil && len(r.b) > 0 {
		r.bad("%d bytes after the end", len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	return h, nil
}

// reader takes values from the front of b. After an error everything is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) bad(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, ErrMalformed)...)
	}
}

func (r *reader) uint(what string, most uint64) int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.bad("%s", what)
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *reader) int(what string) int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.b)
	if n <= 0 || v < -1<<33 || v > 1<<33 {
		r.bad("%s", what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text(what string) string {
	n := r.uint(what, maxSubject)
	if r.err != nil {
		return ""
	}
	if n > int64(len(r.b)) || !utf8.Valid(r.b[:n]) {
		r.bad("%s", what)
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// maxTime bounds times, in seconds: the year 9999.
const maxTime = 253402300799

func (r *reader) history() *History {
	h := New()
	count := r.uint("number of series", MaxSeries)
	for range count {
		name, subject := r.text("metric"), r.text("subject")
		added := r.uint("time", maxTime)
		m, ok := metric(name)
		if r.err == nil && (!ok || h.series[key{name, subject}] != nil) {
			r.bad("series %q of %q", name, subject)
		}
		if r.err != nil {
			return nil
		}
		s := h.of(m, subject)
		s.added = added
		for i := range s.rings {
			r.ring(&s.rings[i])
		}
	}
	return h
}

func (r *reader) ring(to *ring) {
	to.last = r.uint("newest step", maxTime)
	cells := r.uint("number of cells", uint64(len(to.cells)))
	step, avg := to.first(), int64(0)
	for i := range cells {
		distance := r.uint("distance", uint64(len(to.cells)))
		avg += r.int("average")
		low, high := avg-r.uint("minimum", 1<<33), avg+r.uint("maximum", 1<<33)
		step += distance
		if r.err == nil && (i > 0 && distance == 0 || step > to.last || to.last == 0 || low <= math.MinInt32 || high >= math.MaxInt32) {
			r.bad("cell %d", i)
		}
		if r.err != nil {
			return
		}
		*to.at(step) = cell{min: int32(low), avg: int32(avg), max: int32(high)}
	}
}
