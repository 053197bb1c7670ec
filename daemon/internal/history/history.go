// Package history keeps what was measured over the last week in a bounded
// amount of memory: the last hour in steps of 10 s, the last day in steps of
// 2 min, the last 7 days in steps of 15 min, each step with its minimum, average
// and maximum. It owns the rings and their form on disk; it has no clock, does
// no I/O and never decides what is worth measuring.
package history

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Conditions that a caller tells apart.
var (
	// ErrUnknown: no such metric, or no such range.
	ErrUnknown = errors.New("unknown")
	// ErrMalformed: bytes that Encode did not write.
	ErrMalformed = errors.New("malformed history")
)

// Metric is something that is measured.
type Metric struct {
	Name string
	Unit string
	// Subject says what it is measured of: "modem" or "link".
	Subject string
	Text    string
	// Counter: Add is given a total that grows, and what is kept is its growth
	// per second.
	Counter bool
	// resolution is the smallest difference that is kept, in Unit.
	resolution float64
}

// metrics is never written to.
var metrics = [...]Metric{
	{Name: "rssi", Unit: "dBm", Subject: "modem", Text: "received signal strength", resolution: 0.1},
	{Name: "rsrp", Unit: "dBm", Subject: "modem", Text: "reference signal received power", resolution: 0.1},
	{Name: "rsrq", Unit: "dB", Subject: "modem", Text: "reference signal received quality", resolution: 0.1},
	{Name: "sinr", Unit: "dB", Subject: "modem", Text: "signal to interference and noise", resolution: 0.1},
	{Name: "quality", Unit: "%", Subject: "modem", Text: "signal quality as ModemManager sums it up", resolution: 1},
	{Name: "rtt", Unit: "ms", Subject: "link", Text: "round trip to the probed hosts", resolution: 0.1},
	{Name: "loss", Unit: "%", Subject: "link", Text: "probes without an answer", resolution: 0.1},
	{Name: "rx", Unit: "bytes/s", Subject: "link", Text: "received", Counter: true, resolution: 1},
	{Name: "tx", Unit: "bytes/s", Subject: "link", Text: "sent", Counter: true, resolution: 1},
}

// Metrics lists every metric; docs/UBUS.md is made from it.
func Metrics() []Metric { return slices.Clone(metrics[:]) }

func metric(name string) (*Metric, bool) {
	for i := range metrics {
		if metrics[i].Name == name {
			return &metrics[i], true
		}
	}
	return nil, false
}

// tier is one resolution in time.
type tier struct {
	step  int64 // seconds
	cells int
}

// tiers lists the resolutions, finest first.
func tiers() [3]tier {
	return [3]tier{{10, 360}, {120, 720}, {900, 672}}
}

// Ranges lists what Query takes.
func Ranges() []string { return []string{"1h", "6h", "24h", "7d"} }

// span returns how long a range is and the tier that answers it.
func span(name string) (seconds int64, tier int, ok bool) {
	switch name {
	case "1h":
		return 3600, 0, true
	case "6h":
		return 6 * 3600, 1, true
	case "24h":
		return 24 * 3600, 1, true
	case "7d":
		return 7 * 24 * 3600, 2, true
	}
	return 0, 0, false
}

// MaxSeries bounds the memory: with so many pairs of metric and subject all of
// them take less than 1 MiB. One more, and the one that was silent for longest
// is forgotten.
const MaxSeries = 44

// maxSubject bounds a subject's length in bytes; the names of modems and links
// are UCI section names.
const maxSubject = 64

// key names a series.
type key struct{ metric, subject string }

// series is one metric of one subject.
type series struct {
	metric *Metric
	rings  [3]ring
	added  int64 // Unix seconds of the last value
	// Of a counter: the total last given, and when. counted: there is one.
	total   float64
	at      time.Time
	counted bool
}

// History holds the series. It is for one goroutine. Make it with New.
type History struct {
	series map[key]*series
}

// New returns an empty history.
func New() *History { return &History{series: make(map[key]*series)} }

// Add enters a value. What is no number, or of no metric known, is ignored.
func (h *History) Add(now time.Time, name, subject string, value float64) {
	m, ok := metric(name)
	if !ok || math.IsNaN(value) || math.IsInf(value, 0) || len(subject) > maxSubject || now.Unix() < 0 {
		return
	}
	s := h.of(m, subject)
	if m.Counter {
		if value, ok = s.rate(now, value); !ok {
			return
		}
	}
	s.added = now.Unix()
	q := quantise(value, m.resolution)
	for i := range s.rings {
		s.rings[i].add(now.Unix(), q)
	}
}

// maxGap is the longest time that a counter's growth is spread over.
const maxGap = time.Hour

// rate turns a total into its growth per second. There is none for the first
// total, after a restart of the counter and when the clock jumped.
func (s *series) rate(now time.Time, total float64) (float64, bool) {
	since := now.Sub(s.at)
	if s.counted && since >= 0 && since < time.Second {
		return 0, false // too close to tell: the next one counts for both
	}
	ok := s.counted && total >= s.total && since >= time.Second && since <= maxGap
	growth := total - s.total
	s.total, s.at, s.counted = total, now, true
	if !ok {
		return 0, false
	}
	return growth / since.Seconds(), true
}

// AddSignal enters what a modem measures.
func (h *History) AddSignal(now time.Time, modem string, sig model.Signal) {
	for _, v := range []struct {
		name  string
		value *float64
	}{{"rssi", sig.RSSI}, {"rsrp", sig.RSRP}, {"rsrq", sig.RSRQ}, {"sinr", sig.SINR}} {
		if v.value != nil {
			h.Add(now, v.name, modem, *v.value)
		}
	}
	if sig.Quality != nil {
		h.Add(now, "quality", modem, float64(*sig.Quality))
	}
}

// of finds a series, or makes it.
func (h *History) of(m *Metric, subject string) *series {
	k := key{m.Name, subject}
	if s := h.series[k]; s != nil {
		return s
	}
	if len(h.series) >= MaxSeries {
		delete(h.series, h.silent())
	}
	s := &series{metric: m, rings: newRings()}
	h.series[k] = s
	return s
}

// silent is the series without a value for longest.
func (h *History) silent() key {
	var oldest key
	first := true
	for k, s := range h.series {
		if o := h.series[oldest]; first || s.added < o.added || s.added == o.added && less(k, oldest) {
			oldest, first = k, false
		}
	}
	return oldest
}

func less(a, b key) bool {
	if a.subject != b.subject {
		return a.subject < b.subject
	}
	return a.metric < b.metric
}

func (h *History) keys() []key {
	keys := make([]key, 0, len(h.series))
	for k := range h.series {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return less(keys[i], keys[j]) })
	return keys
}

// Answer is the reply to a query. Each point is the Unix time at which a step
// begins, and the step's minimum, average and maximum. Steps without a value
// are left out.
type Answer struct {
	Metric  string       `json:"metric"`
	Subject string       `json:"subject"`
	Unit    string       `json:"unit"`
	Step    int64        `json:"step_s"`
	Points  [][4]float64 `json:"points"`
}

// Query returns what was measured over a range up to now. A subject of which
// nothing is known has no points.
func (h *History) Query(now time.Time, name, subject, over string) (Answer, error) {
	m, ok := metric(name)
	if !ok {
		return Answer{}, fmt.Errorf("metric %q: %w", name, ErrUnknown)
	}
	seconds, t, ok := span(over)
	if !ok {
		return Answer{}, fmt.Errorf("range %q: %w", over, ErrUnknown)
	}
	a := Answer{Metric: name, Subject: subject, Unit: m.Unit, Step: tiers()[t].step, Points: [][4]float64{}}
	if s := h.series[key{name, subject}]; s != nil {
		s.rings[t].each(now.Unix()-seconds, now.Unix(), func(at int64, c cell) {
			a.Points = append(a.Points, [4]float64{float64(at), m.value(c.min), m.value(c.avg), m.value(c.max)})
		})
	}
	return a, nil
}

// Subjects lists of what a metric was measured, in order.
func (h *History) Subjects(name string) []string {
	var out []string
	for _, k := range h.keys() {
		if k.metric == name {
			out = append(out, k.subject)
		}
	}
	return out
}

// quantise turns a value into steps of the resolution.
func quantise(v, resolution float64) int32 {
	return int32(min(max(math.Round(v/resolution), -math.MaxInt32), math.MaxInt32-1))
}

// value turns steps back. Dividing by 10 instead of multiplying with 0.1 gives
// the number that a person would write.
func (m Metric) value(steps int32) float64 {
	return float64(steps) / math.Round(1/m.resolution)
}
