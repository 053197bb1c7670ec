package meter

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const sample = `{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
{"counter": {"family": "inet", "name": "epoch1_00ff", "table": "remsim", "handle": 1, "packets": 0, "bytes": 0}},
{"counter": {"family": "inet", "name": "rx_iot", "table": "remsim", "handle": 2, "packets": 3, "bytes": 300}},
{"counter": {"family": "inet", "name": "tx_iot", "table": "remsim", "handle": 3, "packets": 1, "bytes": 100}},
{"counter": {"family": "inet", "name": "p2_iot", "table": "remsim", "handle": 4, "packets": 4, "bytes": 400}},
{"counter": {"family": "inet", "name": "p99_iot", "table": "remsim", "handle": 4, "packets": 4, "bytes": 400}},
{"counter": {"family": "inet", "name": "unasked_my_wan", "table": "remsim", "handle": 5, "packets": 1, "bytes": 60}},
{"counter": {"family": "inet", "name": "rx_iot", "table": "fw4", "handle": 2, "packets": 3, "bytes": 7}}]}`

func TestParseListing(t *testing.T) {
	r, err := parse([]byte(sample))
	require.NoError(t, err)
	require.Equal(t, Reading{Epoch: "00ff", Counts: []model.MeterCount{
		{Link: "iot", Rx: 300, Tx: 100, Purposes: map[string]int64{"bank": 400}},
		{Link: "my_wan", Unasked: 60, Purposes: map[string]int64{}},
	}}, r)
	for _, bad := range []string{"", "[]", "{}", sample[:100], strings.Replace(sample, "300}", "-1}", 1), strings.Replace(sample, "300}", "1e40}", 1)} {
		_, err := parse([]byte(bad))
		require.ErrorIs(t, err, ErrMalformed, bad)
	}
	_, err = parse([]byte(strings.Replace(sample, "epoch1_", "epoch0_", 1)))
	require.ErrorIs(t, err, ErrNoTable, "another layout")
}

// FuzzParse: no listing makes it panic; what it accepts has an epoch and only
// counts that can be.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"nftables":[{"counter":{"family":"inet","table":"remsim","name":"_"}}]}`))
	f.Add([]byte(`{"nftables":[{"counter":{"family":"inet","table":"remsim","name":"epoch1_a"}},{"counter":{"family":"inet","table":"remsim","name":"p5_x","bytes":1}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNoTable) {
				t.Fatalf("error is neither ErrMalformed nor ErrNoTable: %v", err)
			}
			return
		}
		if r.Epoch == "" {
			t.Fatal("no epoch")
		}
		seen := make(map[string]bool)
		for _, c := range r.Counts {
			if c.Link == "" || seen[c.Link] || c.Rx < 0 || c.Tx < 0 || c.Dropped < 0 || c.Unasked < 0 {
				t.Fatalf("count that cannot be: %+v", c)
			}
			seen[c.Link] = true
		}
	})
}

func message(kind uint16, payload int) []byte {
	b := make([]byte, headerSize+payload)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return b
}

func TestDeletesFindsATableThatWent(t *testing.T) {
	rule := message(10<<8|8, 20)
	require.False(t, deletes(nil))
	require.False(t, deletes(rule))
	require.True(t, deletes(append(rule, message(delTable, 4)...)))
	require.False(t, deletes(message(delTable, 0)[:15]))
}

// FuzzDeletes: no batch makes it panic or run forever.
func FuzzDeletes(f *testing.F) {
	f.Add(append(message(10<<8|8, 20), message(delTable, 4)...))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if deletes(b) && len(b) < headerSize {
			t.Fatal("a message without a header")
		}
	})
}

// What could leave its place in a script is refused before one is written.
func TestNamesThatCannotBeWrittenAreRefused(t *testing.T) {
	good := model.MeterLink{Name: "iot", Number: 1, Device: "wwan0"}
	require.NoError(t, check([]model.MeterLink{good, {Name: "wan", Number: 2}}))
	for _, change := range []func(*model.MeterLink){
		func(l *model.MeterLink) { l.Name = "" },
		func(l *model.MeterLink) { l.Name = "a b" },
		func(l *model.MeterLink) { l.Name = "a\nflush ruleset" },
		func(l *model.MeterLink) { l.Number = 16 },
		func(l *model.MeterLink) { l.Device = `a" }` },
		func(l *model.MeterLink) { l.Device = "wwan*" },
		func(l *model.MeterLink) { l.Device = "longer-than-15-bytes" },
	} {
		l := good
		change(&l)
		require.Error(t, check([]model.MeterLink{l}))
		require.Error(t, NewSystem().Apply(t.Context(), []model.MeterLink{l}))
	}
	require.ErrorContains(t, check([]model.MeterLink{good, {Name: "wan", Number: 2, Device: "wwan0"}}), "that of link iot")
}

func TestNftMissingOrMuteIsNamed(t *testing.T) {
	s := &System{program: "/nonexistent/nft"}
	_, err := s.Read(t.Context())
	require.ErrorContains(t, err, "is not installed (package nftables-json)")
	s.program = "/bin/false"
	_, err = s.Read(t.Context())
	require.ErrorContains(t, err, "run nft")
}

func TestBoundedKeepsTheFirstBytes(t *testing.T) {
	w := bounded{left: 5}
	_, _ = w.Write([]byte("abc"))
	require.Equal(t, 2, w.left)
	_, _ = w.Write([]byte("de"))
	require.Zero(t, w.left, "it fits")
	_, _ = w.Write([]byte("fgh"))
	require.Equal(t, "abcde", w.b.String())
	require.Equal(t, -1, w.left)
	_, _ = w.Write([]byte("i"))
	require.Equal(t, -1, w.left)
}
