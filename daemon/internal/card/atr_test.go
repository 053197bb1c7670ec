package card

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseATRAcceptsRealCards(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"shortest, osmo-remsim's default", "3B00", "3B00"},
		{"SIMtrace2's default, T=0 and T=1 and T=15", "3B8080811FC759", "3B8080811FC759"},
		{"USIM with T=15 class indicator", "3B 9F 96 80 1F C7 80 31 A0 73 BE 21 13 67 43 20 07 18 00 00 01 A5", "3B9F96801FC78031A073BE21136743200718000001A5"},
		{"T=0 alone has no TCK", "3B:02:14:50", "3B021450"},
		{"inverse convention", "3f2f008069af0307035a00150a0e833e9f16", "3F2F008069AF0307035A00150A0E833E9F16"},
		{"T=1 has TCK", "3B8001" + "81", "3B800181"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := ParseATR(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, a.String())
		})
	}
}

func TestParseATRNamesWhatIsWrong(t *testing.T) {
	long := "3B" + "0F" + strings.Repeat("00", 33)
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "0 bytes, at least TS and T0"},
		{"TS alone", "3B", "1 bytes"},
		{"half a byte", "3B0", "not pairs of hexadecimal digits"},
		{"no hexadecimal", "3Bxx", "not pairs of hexadecimal digits"},
		{"bad TS", "3C00", "TS is 3C"},
		{"36 bytes", long, "at most 33"},
		{"a historical byte is missing", "3B0214", "3 bytes, but T0 and TDi announce 4"},
		{"a byte too many", "3B021450FF", "5 bytes, but T0 and TDi announce 4"},
		{"TD1 is missing", "3B80", "ends before TD1"},
		{"TD2 is missing", "3B8080", "ends before TD2"},
		{"TA to TD are missing", "3BF0", "ends before TD1"},
		{"TCK is missing", "3B8001", "announce 4"},
		{"TCK is wrong", "3B8080811FC75A", "TCK is 5A, expected 59"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := ParseATR(tt.text)
			require.ErrorIs(t, err, ErrATR)
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, a)
		})
	}
}

// FuzzATR holds: no input makes the parser panic, refusals wrap ErrATR, and an
// accepted ATR survives String and ParseATR and cannot lose its last byte.
func FuzzATR(f *testing.F) {
	for _, s := range []string{"3B00", "3B8080811FC759", "3F2F008069AF0307035A00150A0E833E9F16", "3BF0", "3B80", "3B8001"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := CheckATR(b); err != nil {
			if !errors.Is(err, ErrATR) {
				t.Fatalf("error is not ErrATR: %v", err)
			}
			return
		}
		again, err := ParseATR(ATR(b).String())
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(b) {
			t.Fatalf("round trip: % X became % X", b, []byte(again))
		}
		if err := CheckATR(b[:len(b)-1]); err == nil {
			t.Fatalf("% X is accepted with and without its last byte", b)
		}
	})
}
