package cardfake

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadBinary(t *testing.T) {
	run(t, powered(t, Default()),
		step{"00B0000000", "6986"},
		step{"00A4000C022FE2", "9000"},
		step{"00B000000A", "988812010000000010F19000"},
		step{"00B0000000", "6C0A"},
		step{"00B0000003", "9888129000"},
		step{"00B0000802", "10F19000"},
		step{"00B0000803", "6C02"},
		step{"00B0000A01", "6B00"},
		step{"00B0FF0001", "6A86"},
		step{"00B0820000", "6C0A"}, // by SFI
		step{"00B0820802", "10F19000"},
		step{"00B09F0001", "6A82"},
		step{"00A4000C022F00", "9000"},
		step{"00B0000001", "6981"}, // records
		step{"00A4000C023F00", "9000"},
		step{"00B0000001", "6986"}, // a directory
	)
}

func TestReadsTheWholeIdentity(t *testing.T) {
	c := powered(t, Default())
	run(t, c,
		step{selectUSIM, "9000"},
		step{"00B0870009", "0809101010325476989000"},                                                 // IMSI
		step{"00B0830004", "000000029000"},                                                           // AD
		step{"00B0860002", "02009000"},                                                               // ACC: class 9
		step{"00A4000C026F46", "9000"}, step{"00B0000011", "0172656D73696D2074657374FFFFFFFFFF9000"}, // SPN
		step{"00B093000A", "00F110C880FFFFFF00009000"},   // HPLMNwAcT
		step{"00B08B000B", "FFFFFFFFFFFFFFFFFE00019000"}, // LOCI
		step{"00A4000C026F40", "9000"}, step{"00B201041E", "F{32}08918812010000" + "00F1" + "F{10}" + "9000"},
		step{"00B201A400", "6A82"}, // no such SFI
	)
}

func TestUpdateBinary(t *testing.T) {
	c := powered(t, Default())
	run(t, c,
		step{selectUSIM, "9000"},
		step{"00A4000C026F7B", "9000"},
		step{"00D600000300F110", "9000"},
		step{"00B000000C", "00F110FFFFFFFFFFFFFFFFFF9000"},
		step{"00D600090399F999", "9000"},
		step{"00D6000A0399F999", "6700"}, // over the end
		step{"00D6000C0100", "6B00"},
		step{"00D6000000", "6700"},
		step{"00D68D0002AABB", "9000"}, // by SFI
		step{"00B08D000C", "AABB10FFFFFFFFFFFF99F9999000"},
		step{"00A4000C026F07", "9000"},
		step{"00D600000101", "6982"}, // ADM alone
	)
	b, err := c.Binary(USIM, 0x6F7B)
	require.NoError(t, err)
	require.Equal(t, unhex(t, "AABB10FFFFFFFFFFFF99F999"), b)
	c.Reset(true)
	run(t, c, step{selectUSIM, "9000"}, step{"00B08D0002", "AABB9000"}) // it is written for good
}

func TestRecords(t *testing.T) {
	c := powered(t, Default())
	empty := strings.Repeat("FF", 30)
	rec := func(b string) string { return strings.Repeat(b, 30) }
	run(t, c,
		step{"00B2010426", "6986"},
		step{"00A4080C047F106F3A", "9000"},
		step{"00B2010400", "6C1E"},
		step{"00B201041E", empty + "9000"},
		step{"00DC01041E" + rec("01"), "9000"},
		step{"00DC02041E" + rec("02"), "9000"},
		step{"00DC02041D" + rec("02")[2:], "6700"},
		step{"00B202041E", rec("02") + "9000"},
		step{"00B200041E", "6A83"}, // no current record yet
		step{"00B2000200", "6C1E"}, // and a refusal moves none
		step{"00B200021E", rec("01") + "9000"},
		step{"00B200021E", rec("02") + "9000"},
		step{"00B200041E", rec("02") + "9000"}, // current
		step{"00B200031E", rec("01") + "9000"},
		step{"00B200031E", "6A83"},
		step{"00B20B041E", "6A83"},
		step{"00B201001E", "6A86"},
		step{"00A4000C022FE2", "6A82"},
		step{"00A4000C023F00", "9000"},
		step{"00B201F426", "61184F10A0000000871002FFFFFFFF890709000050045553494D(FF){12}9000"}, // EF.DIR by SFI
		step{"00A4000C022FE2", "9000"},
		step{"00B2010426", "6981"},
	)
}

func TestCyclicFile(t *testing.T) {
	c := powered(t, Default())
	rec := func(b string) string { return strings.Repeat(b, 30) }
	run(t, c,
		step{"00A4080C047F106F44", "9000"},
		step{"00DC00031E" + rec("01"), "9000"},
		step{"00DC00031E" + rec("02"), "9000"},
		step{"00DC01041E" + rec("03"), "6A86"},
		step{"00B201041E", rec("02") + "9000"},
		step{"00B202041E", rec("01") + "9000"},
		step{"00B200031E", rec("FF") + "9000"}, // before the first is the last
		step{"00B200021E", rec("02") + "9000"}, // and after the last the first
	)
}

func TestSearchRecord(t *testing.T) {
	c := powered(t, Default())
	records := [][]byte{[]byte("aaaa"), []byte("bbab"), []byte("abba"), []byte("cccc")}
	require.NoError(t, c.SetRecords(records, 0x7F10, 0x6F3A))
	run(t, c, step{"00A4080C047F106F3A", "9000"})
	require.Equal(t, []byte{2, 3}, fetch(t, c, "00A201040162"))
	require.Equal(t, []byte{3, 2}, fetch(t, c, "00A204050162"))
	require.Equal(t, []byte{3}, fetch(t, c, "00A203040161"))
	run(t, c,
		step{"00A20104017A", "6282"},
		step{"00A201060162", "6A86"},
		step{"00A20104056161616161", "6700"},
	)
}

func TestDeactivatedFile(t *testing.T) {
	c := powered(t, Default())
	adm := hex.EncodeToString([]byte(Default().ADM))
	run(t, c,
		step{selectUSIM, "9000"},
		step{"00A4000C026F46", "9000"},
		step{"0004000000", "6982"},
		step{"0020000A08" + adm, "9000"},
		step{"0004000000", "9000"},
		step{"00B0000001", "6985"},
		step{"00A4000C026F46", "6283"},
		step{"0044000000", "9000"},
		step{"00B0000001", "019000"},
		step{"00D600000101", "9000"}, // and ADM may write it
	)
}

func TestControlsRefuse(t *testing.T) {
	c := New(Default())
	_, err := c.Binary(0x2F00)
	require.ErrorIs(t, err, ErrNoFile, "records")
	_, err = c.Records(0x2FE2)
	require.ErrorIs(t, err, ErrNoFile, "transparent")
	_, err = c.Binary(USIM, 0x1234)
	require.ErrorIs(t, err, ErrNoFile)
	require.ErrorIs(t, c.SetBinary([]byte{1}, 0x7F99), ErrNoFile)
	require.ErrorContains(t, c.SetBinary(nil, 0x2FE2), "expected 1..32767")
	require.ErrorContains(t, c.SetRecords(nil, 0x2F00), "0 records")
	require.ErrorContains(t, c.SetRecords([][]byte{{1}, {1, 2}}, 0x2F00), "record 2 has 2 bytes")
	require.Error(t, c.SetPIN(0x55, "1234"))
	require.Error(t, c.SetPIN(PIN1, "123"))
	require.Error(t, c.QueueProactive([]byte{0xD1, 0}))
}

func TestControlsEditFiles(t *testing.T) {
	c := powered(t, Default())
	require.NoError(t, c.SetBinary(unhex(t, "0102"), USIM, 0x6F46))
	require.NoError(t, c.SetRecords([][]byte{{1, 2, 3}}, 0x2F00))
	got, err := c.Records(0x2F00)
	require.NoError(t, err)
	require.Equal(t, [][]byte{{1, 2, 3}}, got)
	run(t, c,
		step{selectUSIM, "9000"},
		step{"00A4000C026F46", "9000"}, step{"00B0000000", "6C02"}, step{"00B0000002", "01029000"},
		step{"00A4000C023F00", "9000"}, step{"00B201F403", "0102039000"},
	)
}
