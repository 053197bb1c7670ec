package cache_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

// told is a cache that has seen some of everything.
func told(mode cache.Mode) *cache.Cache {
	c := &cache.Cache{}
	c.SetMode(mode)
	for _, x := range []struct{ at, command, answer string }{
		{"imsi", "00A4040C07A0000000871002", "9000"},
		{"imsi", "00A40004026F07", "6119"},
		{"imsi", "00C0000019", "6217820241218302" + strings.Repeat("00", 17) + "9000"},
		{"imsi", "00B0000009", "0809101010325476989000"},
		{"imsi", "A0A40000026F07", "9F0F"},
		{"imsi", "00A40004026FC5", "6A82"},
		{"fplmn", "00B0000003", "FFFFFF9000"},
		{"loci", "00B000000B", strings.Repeat("AA", 11) + "9000"},
	} {
		at := cache.Spot{Dir: []byte("d"), File: []byte(x.at), Place: card.Place{App: card.USIM, DF: 0x7FFF}}
		at.Place.EF = map[string]uint16{"imsi": 0x6F07, "fplmn": 0x6F7B, "loci": 0x6F7E}[x.at]
		c.Saw(at, unhex(x.command), unhex(x.answer))
	}
	return c
}

func commands(k cache.Kept) (out []string) {
	for _, it := range k.Items() {
		out = append(out, fmt.Sprintf("%X %X -> %X", it.Select, it.Command, it.Response))
	}
	return out
}

// TestOnlyWhatIsSafeIsStored: neither what the modem may write nor what a PIN opens.
func TestOnlyWhatIsSafeIsStored(t *testing.T) {
	want := []string{
		" 00B0000009 -> 0809101010325476989000",
		" 00A40004026F07 -> 6119",
		" 00A40004026FC5 -> 6A82",
		" A0A40000026F07 -> 9F0F",
		" 00A4040C07A0000000871002 -> 9000",
		"00A40004026F07 00C0000019 -> 6217820241218302" + strings.Repeat("00", 17) + "9000",
	}
	for _, mode := range []cache.Mode{cache.Safe, cache.Full} {
		k := told(mode).Keep("89", "\x3B\x00")
		require.Equal(t, want, commands(k))
		back, err := cache.ParseKept(cache.AppendKept(nil, []cache.Kept{k, {ICCID: "90"}}))
		require.NoError(t, err)
		require.Len(t, back, 2)
		require.Equal(t, "89", back[0].ICCID)
		require.Equal(t, "\x3B\x00", back[0].ATR)
		require.Equal(t, want, commands(back[0]))
		require.Empty(t, back[1].Items())

		var fresh cache.Cache
		fresh.SetMode(mode)
		for i := range back[0].Items() {
			fresh.Restore(&back[0].Items()[i])
		}
		require.Equal(t, len(want), fresh.Stats().Entries)
		require.Equal(t, want, commands(fresh.Keep("89", "")), "stored again as it was")
	}
	k := told(cache.Safe).Keep("89", "")
	var off cache.Cache
	off.Restore(&k.Items()[0])
	require.Zero(t, off.Stats().Entries)

	c := told(cache.Safe)
	c.Break()
	require.Empty(t, c.Keep("89", "").Items(), "a cache that was wrong")

	c = &cache.Cache{}
	c.SetMode(cache.Safe)
	c.Saw(spot("imsi"), unhex("0020000108"+"31323334FFFFFFFF"), unhex("9000"))
	c.Saw(spot("imsi"), unhex("00B0000009"), unhex("0809101010325476989000"))
	require.Equal(t, 1, c.Stats().Entries)
	require.Empty(t, c.Keep("89", "").Items(), "it may have needed the PIN")
}

// FuzzParseKept: whatever it reads it writes back byte for byte, and it holds only commands
// that the cache answers.
func FuzzParseKept(f *testing.F) {
	good := cache.AppendKept(nil, []cache.Kept{told(cache.Safe).Keep("89882110", "\x3B\x00"), {ICCID: "90"}})
	f.Add(good)
	f.Add(good[:len(good)-10])
	f.Add([]byte("remsim card answers 1\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		cards, err := cache.ParseKept(b)
		if err != nil {
			require.ErrorIs(t, err, cache.ErrMalformed)
			return
		}
		require.True(t, bytes.Equal(b, cache.AppendKept(nil, cards)))
		for _, k := range cards {
			for _, it := range k.Items() {
				require.Contains(t, []cache.Kind{cache.Select, cache.Fetch, cache.Read}, cache.Classify(it.Command))
			}
		}
	})
}
