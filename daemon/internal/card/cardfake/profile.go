package cardfake

import (
	"fmt"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Profile is what makes one card differ from another.
type Profile struct {
	ATR       card.ATR
	ICCID     model.ICCID // 19 or 20 digits, the last of 19 being the check digit
	IMSI      string      // 6 to 15 digits
	MNCLength int         // 2 or 3 digits of the IMSI after the country code
	K, OPc    [16]byte    // 3GPP TS 35.206
	SQN       uint64      // highest sequence number that counts as used (48 bits)
	AID       []byte      // of the USIM, 12 to 16 bytes

	PIN1, PUK1, PIN2, PUK2, ADM string // digits; PINs 4 to 8, the others 8
	PINEnabled                  bool   // PIN1 has to be verified

	Label  string // of the USIM in EF.DIR
	SPN    string // service provider name, up to 16 letters
	MSISDN string // digits, perhaps after +
	SMSC   string // likewise
	GID1   []byte
	GID2   []byte
}

// Default is a profile for tests: the test network 001-01, keys of test set 1 of 3GPP
// TS 35.208, PIN1 switched off.
func Default() Profile {
	return Profile{
		ATR:        card.ATR("\x3B\x9F\x96\x80\x1F\xC7\x80\x31\xA0\x73\xBE\x21\x13remsim\x00\x01\xB3"),
		ICCID:      "8988211000000000011",
		IMSI:       "001010123456789",
		MNCLength:  2,
		K:          [16]byte{0x46, 0x5B, 0x5C, 0xE8, 0xB1, 0x99, 0xB4, 0x9F, 0xAA, 0x5F, 0x0A, 0x2E, 0xE2, 0x38, 0xA6, 0xBC},
		OPc:        [16]byte{0xCD, 0x63, 0xCB, 0x71, 0x95, 0x4A, 0x9F, 0x4E, 0x48, 0xA5, 0x99, 0x4E, 0x37, 0xA0, 0x2B, 0xAF},
		AID:        []byte{0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x07, 0x09, 0x00, 0x00},
		PIN1:       "1234",
		PUK1:       "12345678",
		PIN2:       "5678",
		PUK2:       "87654321",
		ADM:        "55538407",
		PINEnabled: false,
		Label:      "USIM",
		SPN:        "remsim test",
		MSISDN:     "+8821100000001",
		SMSC:       "+8821100000000",
		GID1:       []byte{0x01},
		GID2:       []byte{0x02},
	}
}

// Check tells what is wrong with a profile. It names fields, and never shows a code
// or a key.
func (p Profile) Check() error {
	if err := card.CheckATR(p.ATR); err != nil {
		return fmt.Errorf("card profile: %w", err)
	}
	for _, d := range []struct {
		field, value string
		from, to     int
	}{
		{"ICCID", string(p.ICCID), 19, 20}, {"IMSI", p.IMSI, 6, 15},
		{"PIN1", p.PIN1, 4, 8}, {"PIN2", p.PIN2, 4, 8},
		{"PUK1", p.PUK1, 8, 8}, {"PUK2", p.PUK2, 8, 8}, {"ADM", p.ADM, 8, 8},
		{"MSISDN", strings.TrimPrefix(p.MSISDN, "+"), 0, 20}, {"SMSC", strings.TrimPrefix(p.SMSC, "+"), 0, 20},
	} {
		if n := len(d.value); n < d.from || n > d.to || strings.Trim(d.value, "0123456789") != "" {
			return fmt.Errorf("card profile: %s: expected %d..%d digits", d.field, d.from, d.to)
		}
	}
	switch {
	case len(p.ICCID) == 19 && checkDigit(string(p.ICCID[:18])) != p.ICCID[18]:
		return fmt.Errorf("card profile: ICCID: the check digit should be %c", checkDigit(string(p.ICCID[:18])))
	case p.MNCLength != 2 && p.MNCLength != 3:
		return fmt.Errorf("card profile: MNC length is %d, expected 2 or 3", p.MNCLength)
	case len(p.AID) < 12 || len(p.AID) > 16:
		return fmt.Errorf("card profile: AID has %d bytes, expected 12..16", len(p.AID))
	case len(p.SPN) > 16 || len(p.Label) > 16:
		return fmt.Errorf("card profile: SPN and label have up to 16 letters")
	case p.SQN >= 1<<48:
		return fmt.Errorf("card profile: SQN has more than 48 bits")
	}
	return nil
}

// String names the card without giving it away.
func (p Profile) String() string { return "card " + model.Masked(string(p.ICCID)) }

// Format keeps keys and codes out of every verb.
func (p Profile) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, p.String()) }

// checkDigit is the digit that completes an ICCID (ISO/IEC 7812-1, Luhn).
func checkDigit(digits string) byte {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			d *= 2
			d = d/10 + d%10
		}
		sum += d
	}
	return byte('0' + (10-sum%10)%10)
}

// bcd packs digits, the first of each pair in the low nibble, with F at the end of an
// odd number.
func bcd(digits string) []byte {
	var out []byte
	for i := 0; i < len(digits); i += 2 {
		high := byte(0x0F)
		if i+1 < len(digits) {
			high = digits[i+1] - '0'
		}
		out = append(out, high<<4|(digits[i]-'0'))
	}
	return out
}

// imsi is EF.IMSI (3GPP TS 31.102 §4.2.2): length, then parity and the first digit.
func (p Profile) imsi() []byte {
	parity := byte(0x01)
	if len(p.IMSI)%2 != 0 {
		parity = 0x09
	}
	b := append([]byte{(p.IMSI[0]-'0')<<4 | parity}, bcd(p.IMSI[1:])...)
	return padded(append([]byte{byte(len(b))}, b...), 9)
}

// plmn is the home network in three bytes (3GPP TS 24.008 §10.5.1.13).
func (p Profile) plmn() []byte {
	d := p.IMSI
	third := byte(0x0F)
	if p.MNCLength == 3 {
		third = d[5] - '0'
	}
	return []byte{(d[1]-'0')<<4 | (d[0] - '0'), third<<4 | (d[2] - '0'), (d[4]-'0')<<4 | (d[3] - '0')}
}

// number is a dialling number: length of what follows, type, digits (3GPP TS 31.102
// §4.4.2.3), n bytes in all.
func number(text string, n int) []byte {
	if text == "" {
		return padded(nil, n)
	}
	kind := byte(0x81)
	digits, international := strings.CutPrefix(text, "+")
	if international {
		kind = 0x91
	}
	b := bcd(digits)
	return padded(append([]byte{byte(1 + len(b)), kind}, b...), n)
}
