package budget

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const mb = 1_000_000

func at(text string) time.Time {
	t, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return t
}

var iot = Policy{Link: "iot", Limit: 10 * mb, ResetDay: 1, AtLimit: AtLimitEssential}

// reading is what the counters of iot say: bank bytes only.
func reading(epoch string, bank int64) model.Metered {
	return model.Metered{Epoch: epoch, Counts: []model.MeterCount{{Link: "iot", Tx: bank, Purposes: map[string]int64{"bank": bank}}}}
}

// step is one reading, or with bank < 0 only the time.
type step struct {
	at    string
	epoch string
	bank  int64
	want  int64 // of the month
}

func TestMonths(t *testing.T) {
	for name, c := range map[string]struct {
		day   int
		steps []step
	}{
		"bytes add up over readings and lives of the counters": {1, []step{
			{"2026-11-02 10:00:00", "a", 100, 100}, {"2026-11-02 11:00:00", "a", 150, 150}, {"2026-11-03 00:00:00", "b", 30, 180},
		}},
		"a new month begins at 0": {1, []step{
			{"2026-11-30 23:59:00", "a", 100, 100}, {"2026-12-01 00:00:00", "", -1, 0}, {"2026-12-01 00:01:00", "a", 107, 7},
		}},
		"the reset day counts": {15, []step{
			{"2026-11-14 12:00:00", "a", 100, 100}, {"2026-11-15 00:00:00", "a", 120, 20}, {"2026-12-14 23:00:00", "a", 130, 30}, {"2026-12-15 00:00:00", "", -1, 0},
		}},
		"a shorter month begins on its last day": {31, []step{
			{"2027-02-27 12:00:00", "a", 100, 100}, {"2027-02-28 00:00:00", "a", 110, 10}, {"2027-03-30 23:00:00", "a", 120, 20}, {"2027-03-31 00:00:00", "", -1, 0},
		}},
		"a router that was off for months begins a new one": {1, []step{
			{"2026-11-02 10:00:00", "a", 100, 100}, {"2027-03-05 10:00:00", "b", 5, 5},
		}},
		"a clock that is not set begins no month": {1, []step{
			{"1970-01-01 00:01:00", "a", 100, 100}, {"1970-03-01 00:01:00", "a", 150, 150}, {"2026-11-24 00:00:00", "a", 160, 160},
		}},
		"what came undated belongs to the month in which the clock was set": {1, []step{
			{"2026-11-30 10:00:00", "a", 100, 100}, {"1970-01-01 00:01:00", "b", 40, 140}, {"2026-12-01 10:00:00", "b", 45, 45},
		}},
		"and is not counted twice when it was the same month": {1, []step{
			{"2026-11-20 10:00:00", "a", 100, 100}, {"1970-01-01 00:01:00", "b", 40, 140}, {"2026-11-20 11:00:00", "b", 45, 145}, {"2026-12-01 00:00:00", "", -1, 0},
		}},
		"a clock that was ahead gives the month back": {1, []step{
			{"2026-11-20 10:00:00", "a", 100, 100}, {"2036-01-01 00:00:00", "a", 110, 10}, {"2026-11-20 10:01:00", "a", 120, 120},
		}},
		"a clock that goes back further keeps what it has": {1, []step{
			{"2036-01-01 00:00:00", "a", 110, 110}, {"2026-11-20 10:01:00", "a", 120, 120},
		}},
		"counters that started anew in one life are noticed": {1, []step{
			{"2026-11-20 10:00:00", "a", 100, 100}, {"2026-11-20 11:00:00", "a", 30, 130},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := iot
			p.ResetDay = c.day
			b := &Book{}
			for _, s := range c.steps {
				if s.bank >= 0 {
					b.Fold(at(s.at), []Policy{p}, reading(s.epoch, s.bank))
				}
				require.Equal(t, s.want, b.Judge(at(s.at), p).Month, s.at)
				again, err := Decode(b.Encode())
				require.NoError(t, err)
				b = again // a restart at any time changes nothing
			}
		})
	}
	// Another reset day keeps what was counted.
	b := &Book{}
	b.Fold(at("2026-11-20 10:00:00"), []Policy{iot}, reading("a", 100))
	p := iot
	p.ResetDay = 15
	require.Equal(t, int64(100), b.Judge(at("2026-11-20 11:00:00"), p).Month)
}

func TestALinkThatWasNotCountedForAWhile(t *testing.T) {
	b, now := &Book{}, at("2026-11-20 10:00:00")
	b.Fold(now, []Policy{iot}, reading("a", 100))
	b.Fold(now, []Policy{iot}, model.Metered{Epoch: "a"}) // its counters are gone
	b.Fold(now, []Policy{iot}, reading("a", 120))
	require.Equal(t, int64(220), b.Judge(now, iot).Month)
	b.Fold(now, []Policy{iot}, model.Metered{Reason: "nft is missing"})
	b.Fold(now, []Policy{iot}, reading("a", 121))
	require.Equal(t, int64(221), b.Judge(now, iot).Month, "a failed reading is none")
}

func TestVerdicts(t *testing.T) {
	essential := []model.Purpose{model.PurposeBank, model.PurposeOrchestrator, model.PurposeDNS}
	now := at("2026-11-16 00:00:00")
	for _, c := range []struct {
		name    string
		bytes   int64
		atLimit string
		limit   int64
		state   string
		allow   []model.Purpose
		then    []model.Purpose
		limited bool
		quiet   bool
	}{
		{"far from the limit", 7_999_999, AtLimitEssential, 10 * mb, StateOK, nil, essential, true, false},
		{"at the soft limit", 8 * mb, AtLimitEssential, 10 * mb, StateNear, nil, essential, true, false},
		{"a byte before the limit", 10*mb - 1, AtLimitStop, 10 * mb, StateNear, nil, []model.Purpose{}, true, false},
		{"at the limit only what is essential passes", 10 * mb, AtLimitEssential, 10 * mb, StateReached, essential, nil, false, true},
		{"or nothing", 11 * mb, AtLimitStop, 10 * mb, StateReached, []model.Purpose{}, nil, false, true},
		{"or everything, with a warning", 11 * mb, AtLimitWarn, 10 * mb, StateReached, nil, nil, false, false},
		{"a warning needs no limit in the kernel", mb, AtLimitWarn, 10 * mb, StateOK, nil, nil, false, false},
		{"no limit", 11 * mb, AtLimitEssential, 0, StateUnlimited, nil, nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Policy{Link: "iot", Limit: c.limit, ResetDay: 1, AtLimit: c.atLimit}
			b := &Book{}
			b.Fold(now, []Policy{p}, reading("old", 1))
			b.Fold(now, []Policy{p}, reading("new", c.bytes-1))
			v := b.Judge(now, p)
			require.Equal(t, c.state, v.State)
			require.Equal(t, c.allow, v.Allow)
			require.Equal(t, c.then, v.Then)
			require.Equal(t, c.limited, v.Limited)
			require.Equal(t, c.quiet, v.Quiet)
			require.Equal(t, at("2026-12-01 00:00:00"), v.WakeAt)
			if c.limited {
				require.Equal(t, c.limit-c.bytes, v.Left)
				require.Equal(t, "new", v.Epoch)
				require.Equal(t, c.limit-1, v.Until, "what the counters say when the limit is reached")
			}
		})
	}
	require.Equal(t, StateUncounted, (&Book{}).Judge(now, iot).State)
	require.False(t, (&Book{}).Judge(now, iot).Limited, "before a reading nobody knows where the counters stand")
}

func TestForecast(t *testing.T) {
	for _, c := range []struct {
		name  string
		first string
		now   string
		bytes int64
		want  int64
	}{
		{"half of the month", "2026-11-01 00:00:00", "2026-11-16 00:00:00", 3 * mb, 6 * mb},
		{"counted since yesterday only", "2026-11-15 00:00:00", "2026-11-16 00:00:00", mb, 16 * mb},
		{"the first minutes say little", "2026-11-16 00:00:00", "2026-11-16 00:10:00", mb, mb + mb*(15*24*60-10)/(24*60)},
		{"the last second", "2026-11-01 00:00:00", "2026-11-30 23:59:59", 3 * mb, 3_000_001},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &Book{}
			b.Fold(at(c.first), []Policy{iot}, reading("a", 0))
			b.Fold(at(c.now), []Policy{iot}, reading("a", c.bytes))
			require.Equal(t, c.want, b.Judge(at(c.now), iot).Forecast)
		})
	}
	b := &Book{}
	b.Fold(at("1970-01-01 00:05:00"), []Policy{iot}, reading("a", mb))
	require.Equal(t, int64(mb), b.Judge(at("1970-01-01 00:05:00"), iot).Forecast, "without a date there is none")
}

// Whatever the clock and the counters do: no month has less than nothing, none
// has more than was ever counted, the verdict never allows more than the policy,
// and a restart at any time changes nothing.
func TestProperties(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for round := range 300 {
		b, p := &Book{}, Policy{Link: "iot", Limit: 1 + rnd.Int64N(5000), ResetDay: 1 + rnd.IntN(31), AtLimit: []string{AtLimitWarn, AtLimitEssential, AtLimitStop}[rnd.IntN(3)]}
		now, epoch, counter, ever := at("2026-11-20 10:00:00"), 0, int64(0), int64(0)
		for n := range 60 {
			what := fmt.Sprintf("seed %d round %d step %d", seed, round, n)
			switch rnd.IntN(8) {
			case 0:
				epoch, counter = epoch+1, 0
			case 1:
				now = now.Add(time.Duration(rnd.Int64N(int64(50 * 24 * time.Hour))))
			case 2:
				now = now.Add(-time.Duration(rnd.Int64N(int64(20 * 24 * time.Hour))))
			case 3:
				now = time.Unix(rnd.Int64N(100000), 0)
			case 4:
				now = at("2026-11-20 10:00:00").Add(time.Duration(rnd.Int64N(int64(90 * 24 * time.Hour))))
			}
			grown := rnd.Int64N(1000)
			counter, ever = counter+grown, ever+grown
			b.Fold(now, []Policy{p}, reading(fmt.Sprint(epoch), counter))
			v := b.Judge(now, p)
			require.GreaterOrEqual(t, v.Month, grown, what)
			require.LessOrEqual(t, v.Month, ever, what)
			require.GreaterOrEqual(t, v.Forecast, v.Month, what)
			require.Equal(t, v.Month >= p.Limit, v.State == StateReached, what)
			require.False(t, v.State == StateReached && p.AtLimit != AtLimitWarn && v.Allow == nil, what)
			require.True(t, v.WakeAt.IsZero() || v.WakeAt.After(now), what)
			require.Equal(t, v, b.Judge(now, p), "asked twice "+what)
			again, err := Decode(b.Encode())
			require.NoError(t, err, what)
			require.Equal(t, v, again.Judge(now, p), what)
			require.Equal(t, b.Encode(), again.Encode(), what)
		}
	}
}

// FuzzDecode: no file makes it panic, and what it accepts can be judged and
// written again.
func FuzzDecode(f *testing.F) {
	b := &Book{}
	b.Fold(at("2026-11-20 10:00:00"), []Policy{iot}, reading("a", 100))
	f.Add(b.Encode())
	f.Add([]byte("null"))
	f.Add([]byte(`{"iot":{"start":1,"purposes":{"bank":-1}}}`))
	f.Add([]byte(`{"iot":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := Decode(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is not ErrMalformed: %v", err)
			}
			return
		}
		again, err := Decode(b.Encode())
		if err != nil || string(again.Encode()) != string(b.Encode()) {
			t.Fatalf("%s became %s: %v", b.Encode(), again.Encode(), err)
		}
		now := at("2026-12-20 10:00:00")
		b.Fold(now, []Policy{iot}, reading("b", 7))
		if v := b.Judge(now, iot); v.Month < 7 {
			t.Fatalf("month of %d bytes", v.Month)
		}
	})
}
