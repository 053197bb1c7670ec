package cache_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// spots of these tests, by name.
func spot(name string) cache.Spot {
	usim := card.Place{App: card.USIM, DF: 0x7FFF}
	s := cache.Spot{Dir: []byte("usim"), Place: usim}
	switch name {
	case "mf":
		return cache.Spot{Dir: []byte("mf"), Place: card.Place{DF: 0x3F00}}
	case "iccid":
		return cache.Spot{Dir: []byte("mf"), File: []byte("2fe2"), Place: card.Place{DF: 0x3F00, EF: 0x2FE2}}
	case "gsm":
		return cache.Spot{Dir: []byte("gsm"), Place: card.Place{DF: 0x7F20}}
	case "imsi", "fplmn", "loci":
		s.Place.EF = map[string]uint16{"imsi": 0x6F07, "fplmn": 0x6F7B, "loci": 0x6F7E}[name]
		s.File = []byte(name)
	}
	return s
}

// step is a command at a spot; saw is what the card answered, want what the cache has to
// answer ("" : nothing).
type step struct{ at, tpdu, saw, want string }

const (
	selIMSI  = "00A40004026F07"
	fetchFCP = "00C0000019"
	fcp      = "62178202412183026F078A01058B036F0605800200098801389000"
	readIMSI = "00B0000009"
	imsi     = "0809101010325476989000"
	verify   = "0020000108 31323334FFFFFFFF"
)

func saw(at, tpdu, answer string) step { return step{at: at, tpdu: tpdu, saw: answer} }
func has(at, tpdu, want string) step   { return step{at: at, tpdu: tpdu, want: want} }
func lacks(at, tpdu string) step       { return step{at: at, tpdu: tpdu} }

// known is a cache that has seen a modem read the IMSI.
var known = []step{saw("usim", selIMSI, "6119"), saw("imsi", fetchFCP, fcp), saw("imsi", readIMSI, imsi)}

func TestCache(t *testing.T) {
	const reset = "reset"
	again := step{tpdu: reset}
	for _, tt := range []struct {
		name  string
		mode  cache.Mode
		steps []step
	}{
		{"SELECT, its FCP and a listed file are kept over a reset", cache.Safe, append(known[:3:3], again,
			has("usim", selIMSI, "6119"), has("imsi", fetchFCP, fcp), has("imsi", readIMSI, imsi))},
		{"an answer belongs to where it was given", cache.Safe, append(known[:3:3], lacks("mf", selIMSI), lacks("fplmn", readIMSI), lacks("imsi", "00B0000008"), lacks("gsm", "A0A40000026F07"))},
		{"on another channel it is the same file", cache.Safe, append(known[:3:3], has("usim", "01A40004026F07", "6119"), has("imsi", "01B0000009", imsi))},
		{"GET RESPONSE without its SELECT goes to the card", cache.Safe, append(known[:3:3], lacks("imsi", fetchFCP), has("usim", selIMSI, "6119"), saw("usim", "00A40004026F38", "6119"), lacks("imsi", fetchFCP))},
		{"a file that is not listed goes to the card", cache.Full, []step{saw("loci", "00B000000B", "FFFFFFFF00F11000010000 00 9000"), lacks("loci", "00B000000B")}},
		{"safe keeps no file that the modem may write", cache.Safe, []step{saw("fplmn", "00B000000C", "FFFFFFFFFFFFFFFFFFFFFFFF9000"), lacks("fplmn", "00B000000C")}},
		{"full keeps it until it is written", cache.Full, []step{
			saw("fplmn", "00B0000003", "FFFFFF9000"), has("fplmn", "00B0000003", "FFFFFF9000"), saw("fplmn", "00D600000300F110", "9000"), lacks("fplmn", "00B0000003")}},
		{"a write by short identifier drops the file wherever it was read", cache.Full, []step{
			saw("fplmn", "00B0000003", "FFFFFF9000"), saw("usim", "00D68D000300F110", "9000"), lacks("fplmn", "00B0000003")}},
		{"a refused write drops nothing", cache.Safe, append(known[:3:3], saw("imsi", "00D600000108", "6982"), has("imsi", readIMSI, imsi))},
		{"a write to a file that cannot be told drops all contents", cache.Safe, append(known[:3:3], saw("usim", "00D69F000108", "9000"), lacks("imsi", readIMSI), has("usim", selIMSI, "6119"))},
		{"a missing file stays missing", cache.Safe, []step{saw("usim", "00A40004026FC5", "6A82"), has("usim", "00A40004026FC5", "6A82")}},
		{"a refusal is never kept", cache.Safe, []step{saw("imsi", readIMSI, "6982"), lacks("imsi", readIMSI)}},
		{"the length of a file is", cache.Safe, []step{saw("imsi", "00B0000000", "6C09"), has("imsi", "00B0000000", "6C09")}},
		{"an announcement is not kept with the answer", cache.Safe, []step{saw("iccid", "00B000000A", "98881201000000001000910B"), has("iccid", "00B000000A", "988812010000000010009000")}},
		{"what was read with a PIN needs it again", cache.Safe, append([]step{saw("usim", verify, "9000")}, append(known[:3:3],
			has("imsi", readIMSI, imsi), again, lacks("imsi", readIMSI), has("usim", selIMSI, "6119"), saw("usim", verify, "9000"), has("imsi", readIMSI, imsi))...)},
		{"a wrong PIN closes the file", cache.Safe, append([]step{saw("usim", verify, "9000")}, append(known[:3:3], saw("usim", verify, "63C2"), lacks("imsi", readIMSI))...)},
		{"what could be read without is served without", cache.Safe, append(known[:3:3], saw("usim", verify, "9000"), saw("imsi", readIMSI, imsi), again, has("imsi", readIMSI, imsi))},
		{"a changed PIN drops everything", cache.Safe, append(known[:3:3], saw("usim", "0026000108 31323334FFFFFFFF", "9000"), lacks("imsi", readIMSI), lacks("usim", selIMSI))},
		{"a PIN that was never counted down leaves the GSM directory", cache.Safe, []step{
			saw("usim", verify, "9000"), saw("mf", "A0A40000027F20", "9F16"), saw("gsm", "A0C0000016", "00000000 7F20 9000"), saw("usim", verify, "9000"),
			has("mf", "A0A40000027F20", "9F16"), has("gsm", "A0C0000016", "000000007F209000")}},
		{"a wrong one drops it, for it tells the tries", cache.Safe, []step{
			saw("usim", verify, "9000"), saw("mf", "A0A40000027F20", "9F16"), saw("usim", verify, "63C2"), lacks("mf", "A0A40000027F20")}},
		{"after TERMINAL PROFILE the card is asked once", cache.Safe, append(known[:3:3], saw("usim", "8010000001FF", "9000"), lacks("usim", selIMSI),
			saw("usim", selIMSI, "6119"), lacks("imsi", fetchFCP), saw("imsi", fetchFCP, fcp), has("usim", selIMSI, "6119"))},
		{"a menu choice may make an application write", cache.Safe, append(known[:3:3], saw("usim", "80C2000004D3020000", "9000"), saw("usim", "80F2000C00", "9000"), lacks("imsi", readIMSI), has("usim", selIMSI, "6119"))},
		{"a message may manage files", cache.Safe, append(known[:3:3], saw("usim", "80C2000004D1020000", "9000"), saw("usim", "80F2000C00", "9000"), lacks("imsi", readIMSI), lacks("usim", selIMSI))},
		{"REFRESH drops everything", cache.Safe, append(known[:3:3], saw("usim", "801200000B", "D009 8103010104 82028182 9000"), lacks("usim", selIMSI))},
		{"SET UP MENU drops nothing", cache.Safe, append(known[:3:3], saw("usim", "801200000B", "D009 8103012500 82028182 9000"), saw("usim", "801400000C 8103012500 82028281 830100", "9000"), saw("usim", "80F2000C00", "9000"), has("imsi", readIMSI, imsi))},
		{"a channel for remote management drops everything", cache.Safe, append(known[:3:3], saw("usim", "801400000C 8103014203 82028281 830100", "9000"), saw("usim", "80F2000C00", "9000"), lacks("usim", selIMSI))},
		{"what is not known drops everything until the reset", cache.Safe, append(known[:3:3], saw("usim", "80E2000001FF", "9000"), lacks("usim", selIMSI), saw("usim", selIMSI, "6119"), lacks("usim", selIMSI), again, saw("usim", selIMSI, "6119"), has("usim", selIMSI, "6119"))},
		{"unless the card does not know it either", cache.Safe, append(known[:3:3], saw("usim", "80E2000001FF", "6D00"), has("usim", selIMSI, "6119"))},
		{"off keeps nothing", cache.Off, append(known[:3:3], lacks("usim", selIMSI))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c cache.Cache
			c.SetMode(tt.mode)
			for i, st := range tt.steps {
				switch {
				case st.tpdu == reset:
					c.Reset()
				case st.saw != "":
					c.Saw(spot(st.at), unhex(st.tpdu), unhex(st.saw))
				default:
					got := c.Answer(spot(st.at), unhex(st.tpdu))
					require.Equal(t, st.want, fmt.Sprintf("%X", got), "step %d: %s at %s", i, st.tpdu, st.at)
					if got != nil {
						c.Served(spot(st.at), unhex(st.tpdu), got)
					}
				}
			}
		})
	}
}

func TestAnotherConnectionMayHaveBeenUsedByOthers(t *testing.T) {
	var c cache.Cache
	c.SetMode(cache.Full)
	for _, st := range append(known[:3:3], saw("usim", "00A40004027FFF", "6133"), saw("iccid", "00B000000A", "988812010000000010009000"), saw("usim", verify, "9000"), saw("fplmn", "00B0000003", "FFFFFF9000")) {
		c.Saw(spot(st.at), unhex(st.tpdu), unhex(st.saw))
	}
	c.Reconnected()
	require.NotNil(t, c.Answer(spot("usim"), unhex(selIMSI)), "the file is there")
	require.NotNil(t, c.Answer(spot("iccid"), unhex("00B000000A")), "anybody may read it")
	require.Nil(t, c.Answer(spot("imsi"), unhex(readIMSI)), "a PIN may have been switched on")
	require.Nil(t, c.Answer(spot("usim"), unhex("00A40004027FFF")), "its FCP tells PIN states")
	c.Verified(1)
	require.Nil(t, c.Answer(spot("fplmn"), unhex("00B0000003")), "it may have been written")
	c.Resumed()
	require.Nil(t, c.Answer(spot("usim"), unhex(selIMSI)), "the card is asked once")
}

func TestBrokenAndWiped(t *testing.T) {
	var c cache.Cache
	c.SetMode(cache.Safe)
	learn := func() {
		for _, st := range known {
			c.Saw(spot(st.at), unhex(st.tpdu), unhex(st.saw))
		}
	}
	learn()
	require.Equal(t, 3, c.Stats().Entries)
	answer := c.Answer(spot("imsi"), unhex(readIMSI))
	c.Wipe()
	require.Equal(t, make([]byte, len(answer)), answer, "the IMSI is gone from memory")
	require.Zero(t, c.Stats().Bytes)
	learn()
	c.SetMode(cache.Off)
	require.Zero(t, c.Stats().Entries)
	c.SetMode(cache.Safe)
	c.Break()
	learn()
	require.Nil(t, c.Answer(spot("usim"), unhex(selIMSI)))
}

func TestItIsBounded(t *testing.T) {
	var c cache.Cache
	c.SetMode(cache.Safe)
	for i := range 0x10000 {
		c.Saw(cache.Spot{Dir: fmt.Appendf(nil, "%d", i)}, []byte{0, 0xA4, 0, 4, 2, byte(i >> 8), byte(i)}, []byte{0x61, 0x19})
	}
	require.Equal(t, 1024, c.Stats().Entries)
	require.Less(t, c.Stats().Bytes, 96<<10)
}

func TestModes(t *testing.T) {
	for s, want := range map[string]cache.Mode{"": cache.Off, "off": cache.Off, "safe": cache.Safe, "full": cache.Full} {
		got, err := cache.ParseMode(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
		if s != "" {
			require.Equal(t, s, got.String())
		}
	}
	_, err := cache.ParseMode("some")
	require.Error(t, err)
}

// TestFilesHaveTheNamesOfTheTrace holds the list against the names that the trace and
// docs/CACHE.md show.
func TestFilesHaveTheNamesOfTheTrace(t *testing.T) {
	for _, f := range cache.Files {
		at := card.Place{App: f.App, DF: f.DF, EF: f.FID}
		require.Equal(t, "READ BINARY "+f.Name, card.Describe([]byte{0, 0xB0, 0, 0, 0}, at))
		require.NotEqual(t, cache.Off, f.Mode)
		require.Regexp(t, `^TS (102 221|31\.102|51\.011) §`, f.Section)
	}
	for _, secret := range []uint16{0x6F08, 0x6F09, 0x6F20, 0x6FE4, 0x6F7E, 0x6F73, 0x6FE3, 0x6F3C, 0x4F01, 0x4F05} {
		for _, f := range cache.Files {
			require.NotEqual(t, secret, f.FID, "keys, locations and messages are never kept")
		}
	}
}
