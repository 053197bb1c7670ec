package card

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// caseVectors is testdata/apdu_cases.json: what the C library answers. Cla has,
// for each CLA, one digit per INS for P1=P2=0, P3=1.
type caseVectors struct {
	Cla     map[string]string `json:"cla"`
	Special []struct {
		Hdr  string `json:"hdr"`
		Case Case   `json:"case"`
	} `json:"special"`
}

func readCaseVectors(t *testing.T) caseVectors {
	t.Helper()
	b, err := os.ReadFile("testdata/apdu_cases.json")
	require.NoError(t, err)
	var v caseVectors
	require.NoError(t, json.Unmarshal(b, &v))
	require.Len(t, v.Cla, 256)
	require.NotEmpty(t, v.Special)
	return v
}

func TestCaseOfEqualsTheCLibrary(t *testing.T) {
	v := readCaseVectors(t)
	for cla, row := range v.Cla {
		c, err := strconv.ParseUint(cla, 16, 8)
		require.NoError(t, err)
		require.Len(t, row, 256)
		for ins := range 256 {
			h := []byte{byte(c), byte(ins), 0, 0, 1}
			if got, want := CaseOf(h), Case(row[ins]-'0'); got != want {
				t.Errorf("CLA %02X INS %02X: case %d, want %d", c, ins, got, want)
			}
		}
	}
}

// The vectors hold, for a sweep of P1, P2 and P3, every header whose case
// differs from the one in the table; so a header of the sweep that is missing
// there has to have the table's case.
func TestCaseOfSpecialsEqualTheCLibrary(t *testing.T) {
	v := readCaseVectors(t)
	special := map[string]Case{}
	rows := map[string]bool{}
	sweep := [3]map[byte]bool{{}, {}, {}}
	for _, s := range v.Special {
		h, err := hex.DecodeString(s.Hdr)
		require.NoError(t, err)
		special[s.Hdr] = s.Case
		rows[s.Hdr[:4]] = true
		for i := range sweep {
			sweep[i][h[2+i]] = true
		}
	}
	checked := 0
	for row := range rows {
		base, err := hex.DecodeString(row)
		require.NoError(t, err)
		for p1 := range sweep[0] {
			for p2 := range sweep[1] {
				for p3 := range sweep[2] {
					h := []byte{base[0], base[1], p1, p2, p3}
					want, ok := special[hex.EncodeToString(h)]
					if !ok {
						want = Case(v.Cla[row[:2]][base[1]] - '0')
					}
					if got := CaseOf(h); got != want {
						t.Errorf("% X: case %d, want %d", h, got, want)
					}
					checked++
				}
			}
		}
	}
	require.Greater(t, checked, len(v.Special))
}

func TestBodyLen(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header []byte
		want   int
	}{
		{"case 1 has none", []byte{0x00, 0x44, 0, 0, 0}, 0},
		{"case 2 has none", []byte{0x00, 0xB0, 0, 0, 10}, 0},
		{"case 3", []byte{0x00, 0xD6, 0, 0, 255}, 255},
		{"case 4", []byte{0x00, 0xA4, 0, 4, 2}, 2},
		{"case 3 without a body", []byte{0x00, 0x20, 0, 1, 0}, 0},
		{"unknown class: the header alone goes to the card", []byte{0x90, 0x10, 0, 0, 2}, 0},
		{"unknown instruction", []byte{0x00, 0xFE, 0, 0, 9}, 0},
		{"GET DATA with Lc", []byte{0x80, 0xCA, 0, 0, 3}, 3},
		{"GET DATA with Le", []byte{0x80, 0xCA, 0, 0, 0}, 0},
		{"too short to tell", []byte{0x00, 0xD6, 0, 0}, 0},
		{"nothing at all", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, BodyLen(tt.header)) })
	}
}

func ExampleBodyLen() {
	selectMF := []byte{0x00, 0xA4, 0x00, 0x04, 0x02}
	fmt.Println(CaseOf(selectMF), BodyLen(selectMF))
	// Output: 4 2
}
