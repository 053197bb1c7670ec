// Package model holds the nouns that every other package speaks: modems, cards,
// links, sessions, findings, events, commands and what the drivers are asked to
// reach. Its JSON names are the public contract (docs/UBUS.md). It imports the
// standard library only and does nothing by itself.
package model

import "log/slog"

// Masked returns s with all but its last four characters hidden. Empty stays
// empty and four characters or fewer are hidden whole.
func Masked(s string) string {
	switch {
	case s == "":
		return ""
	case len(s) <= 4:
		return "****"
	}
	return "…" + s[len(s)-4:]
}

// ICCID identifies a card (ITU-T E.118, 18 to 20 digits as read from EF.ICCID,
// 3GPP TS 31.102 §4.1 / ETSI TS 102 221 §13.2). It is personal data: logs and
// replies see only its tail.
type ICCID string

// LogValue masks the number in logs.
func (c ICCID) LogValue() slog.Value { return slog.StringValue(Masked(string(c))) }

// MarshalText masks the number in every JSON reply; String gives it whole.
func (c ICCID) MarshalText() ([]byte, error) { return []byte(Masked(string(c))), nil }

// String returns the whole number. Only the `identities` method may show it.
func (c ICCID) String() string { return string(c) }

// IMSI identifies a subscription (3GPP TS 23.003 §2.2, 14 to 15 digits).
type IMSI string

// LogValue masks the number in logs.
func (i IMSI) LogValue() slog.Value { return slog.StringValue(Masked(string(i))) }

// MarshalText masks the number in every JSON reply.
func (i IMSI) MarshalText() ([]byte, error) { return []byte(Masked(string(i))), nil }

// String returns the whole number. Only the `identities` method may show it.
func (i IMSI) String() string { return string(i) }

// IMEI identifies a modem (3GPP TS 23.003 §6.2, 15 digits).
type IMEI string

// LogValue masks the number in logs.
func (i IMEI) LogValue() slog.Value { return slog.StringValue(Masked(string(i))) }

// MarshalText masks the number in every JSON reply.
func (i IMEI) MarshalText() ([]byte, error) { return []byte(Masked(string(i))), nil }

// String returns the whole number. Only the `identities` method may show it.
func (i IMEI) String() string { return string(i) }
