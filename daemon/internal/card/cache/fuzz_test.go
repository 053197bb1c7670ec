package cache_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

// FuzzClassify: no command makes it panic, only three kinds are ever answered here, and
// those only if they change nothing but the selection.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{"00A40004026F07", "00A4044C07A0000000871002", "00B0870009", "00B2000400", "80C2000004D1020000", "0CB0000000", "10D6000001FF", "801200000B", "A0F2000016", "00"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, tpdu []byte) {
		kind, needs := cache.Classify(tpdu), cache.Depends(tpdu)
		var c cache.Cache
		c.SetMode(cache.Full)
		at := cache.Spot{Dir: []byte("usim"), File: []byte("fplmn"), Place: card.Place{App: card.USIM, DF: 0x7FFF, EF: 0x6F7B}}
		c.Saw(at, unhex("00B0000003"), unhex("FFFFFF9000"))
		c.Saw(at, unhex("00A40004026F07"), unhex("6119"))
		c.Saw(at, tpdu, unhex("9000"))
		got := c.Answer(at, tpdu)
		if got != nil {
			require.Contains(t, []cache.Kind{cache.Select, cache.Fetch, cache.Read}, kind)
			require.Contains(t, []byte{0xA4, 0xC0, 0xB0, 0xB2}, tpdu[1])
		}
		if kind == cache.Unknown && len(tpdu) >= card.MinTPDU {
			require.Zero(t, c.Stats().Entries)
		}
		if kind == cache.Write && needs == cache.Current {
			require.Nil(t, c.Answer(at, unhex("00B0000003")), "after the write %X", tpdu)
		}
	})
}

// FuzzCache lets modem and card say anything: what is answered is what the card said to the
// same bytes (91xx as 9000), and it stays within its bounds.
func FuzzCache(f *testing.F) {
	f.Add([]byte("\x07\x00\xA4\x00\x04\x02\x6F\x07\x02\x61\x19\x05\x00\xC0\x00\x00\x19\x03\x62\x90\x00\x05\x00\xB0\x00\x00\x09\x03\x08\x90\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var c cache.Cache
		c.SetMode(cache.Full)
		said := map[string][][]byte{}
		take := func() []byte {
			if len(script) == 0 {
				return nil
			}
			n := min(int(script[0]), len(script)-1)
			b := script[1 : 1+n]
			script = script[1+n:]
			return b
		}
		at := spot("imsi")
		for len(script) > 0 {
			tpdu, answer := take(), take()
			if len(tpdu) < card.MinTPDU || len(answer) < 2 {
				c.Reset()
				continue
			}
			if got := c.Answer(at, tpdu); got != nil {
				ok := false
				for _, b := range said[string(tpdu[1:])] {
					ok = ok || bytes.Equal(b, got)
				}
				require.True(t, ok, "%X was never the answer to %X", got, tpdu)
				c.Served(at, tpdu, got)
				continue
			}
			plain := bytes.Clone(answer)
			if plain[len(plain)-2] == 0x91 {
				plain[len(plain)-2], plain[len(plain)-1] = 0x90, 0
			}
			said[string(tpdu[1:])] = append(said[string(tpdu[1:])], plain)
			c.Saw(at, tpdu, answer)
			require.LessOrEqual(t, c.Stats().Bytes, 96<<10)
		}
	})
}
