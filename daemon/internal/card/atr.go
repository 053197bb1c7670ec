package card

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrATR wraps every refusal of an ATR.
var ErrATR = errors.New("malformed ATR")

// maxATR is TS, T0 and at most 31 characters after them (ISO 7816-3 §8.2.1).
const maxATR = 33

// ATR is an answer to reset (ISO 7816-3 §8).
type ATR []byte

// ParseATR reads an ATR written in hexadecimal digits, with or without spaces
// or colons between bytes, and checks it as CheckATR does.
func ParseATR(s string) (ATR, error) {
	digits := strings.NewReplacer(" ", "", ":", "").Replace(s)
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not pairs of hexadecimal digits", ErrATR, s)
	}
	if err := CheckATR(b); err != nil {
		return nil, err
	}
	return ATR(b), nil
}

// CheckATR tells whether b can be presented to a modem: TS is 3B or 3F, the
// interface and historical bytes that T0 and TDi announce are there, and TCK is
// right where it is due (whenever a protocol other than T=0 is indicated). The
// error names the byte and what was expected.
func CheckATR(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("%w: %d bytes, at least TS and T0 are needed", ErrATR, len(b))
	}
	if len(b) > maxATR {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrATR, len(b), maxATR)
	}
	if b[0] != 0x3B && b[0] != 0x3F {
		return fmt.Errorf("%w: TS is %02X, expected 3B (direct) or 3F (inverse)", ErrATR, b[0])
	}
	want, tck, err := announcedLength(b)
	if err != nil {
		return err
	}
	if len(b) != want {
		return fmt.Errorf("%w: %d bytes, but T0 and TDi announce %d", ErrATR, len(b), want)
	}
	if tck {
		var x byte
		for _, c := range b[1:] {
			x ^= c
		}
		if x != 0 {
			return fmt.Errorf("%w: TCK is %02X, expected %02X", ErrATR, b[len(b)-1], b[len(b)-1]^x)
		}
	}
	return nil
}

// announcedLength walks TA, TB, TC and TD and returns how long the ATR has to
// be, and whether it ends with TCK.
func announcedLength(b []byte) (n int, tck bool, err error) {
	historical := int(b[1] & 0x0F)
	pos, y := 2, b[1]>>4
	for i := 1; ; i++ {
		for bit := byte(1); bit <= 4; bit <<= 1 { // TA, TB, TC
			if y&bit != 0 {
				pos++
			}
		}
		if y&8 == 0 {
			break
		}
		if pos >= len(b) {
			return 0, false, fmt.Errorf("%w: ends before TD%d, which is announced", ErrATR, i)
		}
		if b[pos]&0x0F != 0 {
			tck = true
		}
		y = b[pos] >> 4
		pos++
	}
	n = pos + historical
	if tck {
		n++
	}
	return n, tck, nil
}

// String writes the ATR in upper-case hexadecimal, as UCI takes it.
func (a ATR) String() string { return strings.ToUpper(hex.EncodeToString(a)) }
