package history

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// noon is a whole multiple of every step.
var noon = time.Unix(1_767_225_600, 0)

func points(t *testing.T, h *History, now time.Time, metric, subject, over string) [][4]float64 {
	t.Helper()
	a, err := h.Query(now, metric, subject, over)
	require.NoError(t, err)
	return a.Points
}

func at(t time.Time, minimum, avg, maximum float64) [4]float64 {
	return [4]float64{float64(t.Unix()), minimum, avg, maximum}
}

func TestStepsKeepMinimumAverageMaximum(t *testing.T) {
	h := New()
	for i, v := range []float64{-90, -80.1, -100.2} {
		h.Add(noon.Add(time.Duration(i)*time.Second), "rsrp", "primary", v)
	}
	h.Add(noon.Add(25*time.Second), "rsrp", "primary", -70)
	now := noon.Add(30 * time.Second)
	require.Equal(t, [][4]float64{at(noon, -100.2, -90.1, -80.1), at(noon.Add(20*time.Second), -70, -70, -70)},
		points(t, h, now, "rsrp", "primary", "1h"))
	want := [][4]float64{at(noon, -100.2, -85.1, -70)}
	require.Equal(t, want, points(t, h, now, "rsrp", "primary", "6h"))
	require.Equal(t, want, points(t, h, now, "rsrp", "primary", "24h"))
	require.Equal(t, want, points(t, h, now, "rsrp", "primary", "7d"))
	require.Empty(t, points(t, h, now, "rsrp", "iot", "7d"))
	require.Empty(t, points(t, h, now, "rsrq", "primary", "7d"))
}

func TestAnswerNamesUnitAndStep(t *testing.T) {
	h := New()
	for over, step := range map[string]int64{"1h": 10, "6h": 120, "24h": 120, "7d": 900} {
		a, err := h.Query(noon, "rtt", "wan", over)
		require.NoError(t, err)
		require.Equal(t, Answer{Metric: "rtt", Subject: "wan", Unit: "ms", Step: step, Points: [][4]float64{}}, a)
	}
	_, err := h.Query(noon, "rtt", "wan", "2h")
	require.ErrorIs(t, err, ErrUnknown)
	_, err = h.Query(noon, "weather", "wan", "1h")
	require.ErrorIs(t, err, ErrUnknown)
}

func TestRangesReachAsFarAsTheySay(t *testing.T) {
	h := New()
	start := noon.Add(-8 * 24 * time.Hour)
	for now := start; !now.After(noon); now = now.Add(10 * time.Second) {
		h.Add(now, "quality", "m", float64(now.Sub(start)/time.Hour)/2)
	}
	for over, want := range map[string]struct {
		n     int
		first time.Duration
	}{
		"1h":  {360, -time.Hour + 10*time.Second},
		"6h":  {180, -6*time.Hour + 2*time.Minute},
		"24h": {720, -24*time.Hour + 2*time.Minute},
		"7d":  {672, -7*24*time.Hour + 15*time.Minute},
	} {
		p := points(t, h, noon, "quality", "m", over)
		require.Len(t, p, want.n, over)
		require.EqualValues(t, noon.Add(want.first).Unix(), p[0][0], over)
		require.EqualValues(t, noon.Unix(), p[len(p)-1][0], over)
		for i := 1; i < len(p); i++ {
			require.Equal(t, p[i-1][0]+p[1][0]-p[0][0], p[i][0])
			require.GreaterOrEqual(t, p[i][1], p[i-1][1])
		}
	}
	// An hour later nothing was measured: the fine ring has nothing to show.
	require.Len(t, points(t, h, noon.Add(50*time.Minute), "quality", "m", "1h"), 60)
	require.Empty(t, points(t, h, noon.Add(2*time.Hour), "quality", "m", "1h"))
	require.Len(t, points(t, h, noon.Add(6*24*time.Hour), "quality", "m", "7d"), 96)
}

func TestCountersBecomeRates(t *testing.T) {
	h := New()
	add := func(after time.Duration, total float64) { h.Add(noon.Add(after), "rx", "wan", total) }
	add(0, 1000)
	require.Empty(t, points(t, h, noon, "rx", "wan", "1h"), "one total is no rate")
	add(10*time.Second, 3000)
	add(10*time.Second+time.Millisecond, 9000) // too close: counted with the next
	add(20*time.Second, 5000)
	add(30*time.Second, 100) // the interface was made anew
	add(40*time.Second, 1100)
	add(26*time.Hour, 1e9) // nobody knows when that was
	require.Equal(t, [][4]float64{
		at(noon.Add(10*time.Second), 200, 200, 200),
		at(noon.Add(20*time.Second), 200, 200, 200),
		at(noon.Add(40*time.Second), 100, 100, 100),
	}, points(t, h, noon.Add(time.Minute), "rx", "wan", "1h"))
}

func TestSignalEntersWhatWasMeasured(t *testing.T) {
	h := New()
	rsrp, quality := -95.5, 61
	h.AddSignal(noon, "primary", model.Signal{RSRP: &rsrp, Quality: &quality})
	require.Equal(t, [][4]float64{at(noon, -95.5, -95.5, -95.5)}, points(t, h, noon, "rsrp", "primary", "1h"))
	require.Equal(t, [][4]float64{at(noon, 61, 61, 61)}, points(t, h, noon, "quality", "primary", "1h"))
	require.Empty(t, h.Subjects("rssi"))
	require.Equal(t, []string{"primary"}, h.Subjects("rsrp"))
}

func TestNonsenseIsIgnored(t *testing.T) {
	h := New()
	h.Add(noon, "weather", "m", 1)
	h.Add(noon, "rsrp", "m", math.NaN())
	h.Add(noon, "rsrp", "m", math.Inf(1))
	h.Add(time.Unix(-5, 0), "rsrp", "m", 1)
	h.Add(noon, "rsrp", fmt.Sprintf("%0100d", 1), 1)
	require.Empty(t, h.series)
	h.Add(noon, "rsrp", "m", 1e300)
	require.Equal(t, float64(math.MaxInt32-1)/10, points(t, h, noon, "rsrp", "m", "1h")[0][3])
}

func TestClockThatJumps(t *testing.T) {
	h := New()
	h.Add(noon.Add(-24*time.Hour), "rtt", "m", 1)
	h.Add(noon, "rtt", "m", 2)
	// A router without a clock starts in the past, until it has asked for the time.
	past := noon.Add(-2 * time.Hour)
	for i := range 30 {
		h.Add(past.Add(time.Duration(i)*10*time.Second), "rtt", "m", 99)
	}
	h.Add(noon.Add(10*time.Second), "rtt", "m", 3)
	require.Equal(t, [][4]float64{at(noon, 2, 2, 2), at(noon.Add(10*time.Second), 3, 3, 3)}, points(t, h, noon.Add(time.Minute), "rtt", "m", "1h"))
	// The clock was wrong before, and is right now.
	for i := range 70 {
		h.Add(past.Add(time.Duration(i)*10*time.Second), "rtt", "m", 5)
	}
	p := points(t, h, past.Add(700*time.Second), "rtt", "m", "1h")
	require.Len(t, p, 10)
	require.Equal(t, at(past.Add(600*time.Second), 5, 5, 5), p[0])
	require.Len(t, points(t, h, noon, "rtt", "m", "7d"), 2, "yesterday stays")
	// Far back.
	old := time.Unix(1_000_000_000, 0)
	for i := range 70 {
		h.Add(old.Add(time.Duration(i)*10*time.Second), "rtt", "m", 6)
	}
	require.Len(t, points(t, h, old.Add(700*time.Second), "rtt", "m", "7d"), 1)
	require.Empty(t, points(t, h, noon, "rtt", "m", "7d"))
}

// TestRingsAgreeWithAPlainList compares every answer with what a list of all
// values gives.
func TestRingsAgreeWithAPlainList(t *testing.T) {
	type sample struct {
		at int64
		v  float64
	}
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		h := New()
		var all []sample
		now := noon.Unix()
		for range 3000 {
			now += int64(rnd.IntN([]int{5, 30, 300, 2000}[rnd.IntN(4)]))
			v := float64(rnd.IntN(1000)-1200) / 10
			all = append(all, sample{now, v})
			h.Add(time.Unix(now, 0), "rsrp", "m", v)
		}
		for _, over := range Ranges() {
			seconds, tr, _ := span(over)
			step := tiers()[tr].step
			var want [][4]float64
			var n int
			var sum float64
			for _, s := range all {
				begin := s.at / step * step
				if begin <= now-seconds || begin <= (now/step-int64(tiers()[tr].cells))*step {
					continue
				}
				if len(want) == 0 || want[len(want)-1][0] != float64(begin) {
					want, n, sum = append(want, [4]float64{float64(begin), s.v, 0, s.v}), 0, 0
				}
				p := &want[len(want)-1]
				n, sum = n+1, sum+s.v
				p[1], p[2], p[3] = min(p[1], s.v), sum/float64(n), max(p[3], s.v)
			}
			got := points(t, h, time.Unix(now, 0), "rsrp", "m", over)
			require.Len(t, got, len(want), over)
			for i := range want {
				require.InDeltaSlice(t, want[i][:], got[i][:], 0.0501)
				require.Equal(t, want[i][1], got[i][1])
				require.Equal(t, want[i][3], got[i][3])
			}
		}
	}
}

// fill measures a week of every metric of some modems.
func fill(h *History, modems int) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range modems {
		for _, m := range Metrics() {
			total := 0.0
			for now := noon.Add(-7 * 24 * time.Hour); now.Before(noon); now = now.Add(time.Minute) {
				v := -60 - 60*rnd.Float64()
				if m.Counter {
					total += 1e6 * rnd.Float64()
					v = total
				}
				h.Add(now, m.Name, fmt.Sprint("modem", i), v)
			}
			for now := noon.Add(-time.Hour); now.Before(noon); now = now.Add(10 * time.Second) {
				total += 1e5
				v := -60 - 60*rnd.Float64()
				if m.Counter {
					v = total
				}
				h.Add(now.Add(time.Hour), m.Name, fmt.Sprint("modem", i), v)
			}
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestFourModemsFitInOneMebibyte(t *testing.T) {
	before := heap()
	h := New()
	fill(h, 4)
	used := heap() - before
	require.Len(t, h.series, 4*len(Metrics()))
	t.Logf("%d series: %d bytes in memory, %d on disk", len(h.series), used, len(h.Encode()))
	require.LessOrEqual(t, used, int64(1<<20))
	runtime.KeepAlive(h)
}

func TestMemoryIsBoundedWhateverTheSubjects(t *testing.T) {
	before := heap()
	h := New()
	for i := range 1000 {
		h.Add(noon.Add(time.Duration(i)*time.Second), "rtt", fmt.Sprint("link", i), 1)
		h.Add(noon.Add(time.Duration(i)*time.Second), "loss", "wan", 1)
	}
	used := heap() - before
	require.Len(t, h.series, MaxSeries)
	require.LessOrEqual(t, used, int64(1<<20))
	require.Len(t, h.Subjects("loss"), 1, "who is measured stays")
	require.Equal(t, "link999", h.Subjects("rtt")[MaxSeries-2])
	runtime.KeepAlive(h)
}

func TestRestartKeepsHistory(t *testing.T) {
	h := New()
	fill(h, 2)
	b := h.Encode()
	got, err := Decode(b)
	require.NoError(t, err)
	require.Equal(t, b, got.Encode())
	for _, m := range Metrics() {
		for _, over := range Ranges() {
			want := points(t, h, noon.Add(time.Hour), m.Name, "modem1", over)
			require.NotEmpty(t, want)
			require.Equal(t, want, points(t, got, noon.Add(time.Hour), m.Name, "modem1", over))
		}
	}
	// It goes on where it was.
	got.Add(noon.Add(time.Hour), "rsrp", "modem1", -10)
	p := points(t, got, noon.Add(time.Hour), "rsrp", "modem1", "7d")
	require.Equal(t, at(noon.Add(time.Hour), -10, -10, -10), p[len(p)-1])
}

func TestEncodingIsWhatItWas(t *testing.T) {
	h := New()
	h.Add(noon, "rsrp", "m", -95.5)
	h.Add(noon.Add(time.Minute), "rsrp", "m", -90)
	// "remsimH", version 1, 1 series, "rsrp", "m", time, three rings, CRC-32.
	const want = "72656d73696d48" + "01" + "01" + "0472737270" + "016d" + "bcf2d6ca06" +
		"86a5a25402" + "e102f50e0000" + "066e0000" + "e0ed820701" + "cf05bf0e1b1c" + "c0ec7701" + "9f05bf0e1b1c" + "adab2ac0"
	require.Equal(t, want, hex.EncodeToString(h.Encode()))
}

func TestDecodeRefusesWhatItDidNotWrite(t *testing.T) {
	h := New()
	h.Add(noon, "rsrp", "m", -95.5)
	h.Add(noon.Add(time.Hour), "rtt", "w", 20)
	good := h.Encode()
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x41
		_, err := Decode(bad)
		require.ErrorIs(t, err, ErrMalformed, "byte %d", i)
		_, err = Decode(good[:i])
		require.ErrorIs(t, err, ErrMalformed, "cut at %d", i)
	}
	_, err := Decode(append(good, 0))
	require.ErrorIs(t, err, ErrMalformed)
	_, err = Decode(make([]byte, maxEncoded+1))
	require.ErrorIs(t, err, ErrMalformed)
}

// sealed gives a body magic, version and checksum.
func sealed(body []byte) []byte {
	b := append([]byte(magic), version)
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// FuzzDecode holds that no file makes Decode panic or lets in what the rings do
// not hold: what it accepts encodes to a form that decodes equal, and can be
// gone on with. The checksum is made right, so that the body is reached.
func FuzzDecode(f *testing.F) {
	h := New()
	f.Add(h.Encode()[len(magic)+1:], int64(0))
	h.Add(noon, "rsrp", "m", -95.5)
	h.Add(noon.Add(time.Hour), "rx", "wan", 20)
	h.Add(noon.Add(time.Hour+time.Minute), "rx", "wan", 4e9)
	b := h.Encode()
	f.Add(b[len(magic)+1:len(b)-4], noon.Unix())
	f.Fuzz(func(t *testing.T, body []byte, now int64) {
		h, err := Decode(sealed(body))
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		first := h.Encode()
		again, err := Decode(first)
		require.NoError(t, err)
		require.Equal(t, first, again.Encode())
		for k := range h.series {
			for _, over := range Ranges() {
				a, err := h.Query(time.Unix(now, 0), k.metric, k.subject, over)
				require.NoError(t, err)
				for _, p := range a.Points {
					require.True(t, p[1] <= p[2] && p[2] <= p[3], "%v", p)
				}
			}
			h.Add(time.Unix(now, 0), k.metric, k.subject, 1)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	h := New()
	now := noon
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Second)
		h.Add(now, "rsrp", "m", -95.5)
	}
}

func BenchmarkQueryDay(b *testing.B) {
	h := New()
	fill(h, 1)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h.Query(noon, "rsrp", "modem0", "24h")
	}
}

func BenchmarkEncode(b *testing.B) {
	h := New()
	fill(h, 4)
	b.ReportAllocs()
	for b.Loop() {
		h.Encode()
	}
}
