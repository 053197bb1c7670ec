package cardfake

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSelect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"MF, EF and parent by identifier", []step{
			{"00A4000C023F00", "9000"}, {"00A4000C022FE2", "9000"}, {"00B000000A", "98881201000000000071" + "9000|988812010000000010F19000|.*9000"},
			{"00A4000C027F10", "9000"}, {"00A4000C026F3A", "9000"}, {"00A4000C027F20", "9000"}, {"00A4000C023F00", "9000"},
		}},
		{"no data means the MF", []step{{"00A4000C00", "9000"}}},
		{"not there", []step{{"00A4000402FFFE", "6A82"}, {"00A40004026F07", "6A82"}}},
		{"by path from the MF", []step{{"00A4080C047F106F3A", "9000"}, {"00A4080C022FE2", "9000"}, {"00A4080C047F10FFFF", "6A82"}, {"00A4080C03112233", "6700"}}},
		{"by path through the application", []step{
			{"00A4080C047FFF6F07", "6A82"}, {selectUSIM, "9000"}, {"00A4080C047FFF6F07", "9000"}, {"00A4080C067FFF5FC04F01", "9000"},
		}},
		{"by path from here", []step{{selectUSIM, "9000"}, {"00A4090C045FC04F01", "9000"}, {"00A4090C024F02", "9000"}}},
		{"an EF leaves its directory current", []step{{selectUSIM, "9000"}, {"00A4000C026F07", "9000"}, {"00A4000C026FAD", "9000"}}},
		{"parent", []step{{"00A4030C00", "6A82"}, {selectUSIM, "9000"}, {"00A4000C025FC0", "9000"}, {"00A4030C00", "9000"}, {"00A4000C026F07", "9000"}}},
		{"application by whole and by cut name", []step{
			{"00A4040C10A0000000871002FFFFFFFF8907090000", "9000"}, {"00A4040C05A000000087", "9000"}, {"00A4040C07A0000000871004", "6A82"}, {"00A4040C00", "6A82"},
		}},
		{"the next application", []step{{"00A4040C07A0000000871002", "9000"}, {"00A4040E07A0000000871002", "6A82"}}},
		{"current application as 7FFF", []step{{"00A4000C027FFF", "6A82"}, {selectUSIM, "9000"}, {"00A4000C023F00", "9000"}, {"00A4000C027FFF", "9000"}, {"00A4000C026F07", "9000"}}},
		{"termination of the application", []step{{selectUSIM, "9000"}, {"00A4044C07A0000000871002", "9000"}, {"00A4000C027FFF", "6A82"}}},
		{"FCP with P2 of 00 and 04", []step{{"00A40000023F00", "61.."}, {"00A40004023F00", "61.."}}},
		{"wrong P1 and P2", []step{{"00A4050C023F00", "6A86"}, {"00A40008023F00", "6A86"}, {"00A40010023F00", "6A86"}, {"00A4042007A0000000871002", "6A86"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { run(t, powered(t, Default()), tt.steps...) })
	}
}

func TestFCP(t *testing.T) {
	c := powered(t, Default())
	for _, tt := range []struct{ name, send, want string }{
		{"MF", "00A40004023F00", "6220" + "82027821" + "83023F00" + "A503800171" + "8A0105" + "8B032F0602" + "C609" + "900140" + "830101" + "830181"},
		{"transparent with SFI", "00A40004022FE2", "6217" + "82024121" + "83022FE2" + "8A0105" + "8B032F0601" + "8002000A" + "880110"},
		{"linear", "00A40004022F00", "621A" + "8205422100" + "2602" + "83022F00" + "8A0105" + "8B032F0602" + "8002004C" + "8801F0"},
		{"ADF", "00A4040407A0000000871002", "6231" + "82027821" + "8410A0000000871002FFFFFFFF8907090000" + "A506830400008000" + "8A0105" + "8B036F0602" + "C609900140830101830181"},
		{"EF of the USIM", "00A40004026F07", "6217" + "82024121" + "83026F07" + "8A0105" + "8B036F0605" + "80020009" + "880138"},
		{"without SFI", "00A40004026F46", "6216" + "82024121" + "83026F46" + "8A0105" + "8B036F0602" + "80020011" + "8800"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, strings.ToUpper(hex.EncodeToString(fetch(t, c, tt.send))))
		})
	}
}

// Every file has a rule in EF.ARR, an FCP that one GET RESPONSE can carry, and an SFI
// that no file beside it has.
func TestEveryFileIsSound(t *testing.T) {
	c := New(Default())
	files := 0
	var walk func(f *file)
	walk = func(f *file) {
		files++
		require.LessOrEqual(t, len(c.fcp(f)), 256)
		seen := map[byte]bool{}
		for _, k := range f.children {
			if k.sfi != 0 {
				require.False(t, seen[k.sfi], "SFI %02X twice in %04X", k.sfi, f.id)
				seen[k.sfi] = true
			}
			walk(k)
		}
		if f.kind == linear || f.kind == cyclic {
			for _, r := range f.body.records {
				require.Len(t, r, f.recordLen(), "%04X", f.id)
			}
		}
	}
	walk(c.mf)
	require.Greater(t, files, 60)
}

func TestStatus(t *testing.T) {
	c := powered(t, Default())
	fcp := fetch(t, c, "00A40004023F00")
	run(t, c,
		step{"80F2000000", "6C22"},
		step{"80F2000022", strings.ToUpper(hex.EncodeToString(fcp)) + "9000"},
		step{"80F2000C00", "9000"},
		step{"80F2000112", "6985"},
		step{selectUSIM, "9000"},
		step{"80F2000100", "6C12"},
		step{"80F2000112", "8410A0000000871002FFFFFFFF89070900009000"},
		step{"80F2030000", "6A86"},
		step{"80F2000400", "6A86"},
	)
}

func TestGetResponse(t *testing.T) {
	c := powered(t, Default())
	run(t, c,
		step{"00C0000000", "6985"},
		step{"00A40004023F00", "6122"},
		step{"00C0000023", "6C22"},              // too much: the right length
		step{"00C0000004", "62208202" + "611E"}, // a part, and what is left
		step{"00C000001E", "782183023F00.*9000"},
		step{"00C000001E", "6985"},
		step{"00A40004023F00", "6122"},
		step{"80F2000C00", "9000"}, // another command drops it
		step{"00C0000022", "6985"},
		step{"00C0010000", "6A86"},
	)
}

func TestLogicalChannels(t *testing.T) {
	run(t, powered(t, Default()),
		step{"0070000000", "6C01"},
		step{"0070000001", "019000"},
		step{"0070000001", "029000"},
		step{"0070000001", "039000"},
		step{"0070000001", "6A81"}, // no more
		// each has its own selection
		step{"01A4040C07A0000000871002", "9000"},
		step{"01A4000C026F07", "9000"},
		step{"01B0000009", "0809101010325476989000"},
		step{"00B0000009", "6986"},
		step{"02A4000C022FE2", "9000"},
		step{"02B000000A", "[0-9A-F]{20}9000"},
		// close, and use what is closed
		step{"0070800200", "9000"},
		step{"02B000000A", "6881"},
		step{"0070800200", "6881"},
		step{"0070800000", "6881"}, // the basic channel stays
		step{"0070800700", "6881"},
		// one that is opened from channel 1 starts where that one is
		step{"0170000001", "029000"},
		step{"02A4000C026F07", "9000"},
		step{"0070020001", "6A86"},
		step{"0070400000", "6A86"},
	)
}
