package at

import (
	"errors"
	"fmt"
)

// Error is what a modem answered instead of OK.
type Error struct {
	Kind string // "CME" (TS 27.007 §9.2), "CMS" (TS 27.005 §3.2.5), "" for a plain result code
	Code int    // -1: the modem sent words
	Text string
}

// Error says it in words.
func (e *Error) Error() string {
	switch {
	case e.Kind == "":
		return "modem answers " + e.Text
	case e.Code < 0:
		return fmt.Sprintf("modem answers %s (%s)", e.Text, e.Kind)
	}
	return fmt.Sprintf("modem answers %s (%s %d)", e.Text, e.Kind, e.Code)
}

// Is lets errors.Is compare kind and code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// Answers that callers act on.
var (
	ErrSIMNotInserted = &Error{Kind: "CME", Code: 10, Text: cme[10]}
	ErrSIMPIN         = &Error{Kind: "CME", Code: 11, Text: cme[11]}
	ErrSIMPUK         = &Error{Kind: "CME", Code: 12, Text: cme[12]}
	ErrSIMFailure     = &Error{Kind: "CME", Code: 13, Text: cme[13]}
	ErrSIMBusy        = &Error{Kind: "CME", Code: 14, Text: cme[14]}
)

// unsupported: what modems answer to a command that they do not know.
func unsupported(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Kind == "" || e.Kind == "CME" && (e.Code == 3 || e.Code == 4 || e.Code == 50 || e.Code == 100)
}

func errorText(kind string, code int) string {
	table := cme
	if kind == "CMS" {
		table = cms
	}
	if s, ok := table[code]; ok {
		return s
	}
	return "an unlisted error"
}

// cme is TS 27.007 §9.2.1 (general), §9.2.2 (GPRS and EPS) and §9.2.3.
var cme = map[int]string{
	0: "phone failure", 1: "no connection to phone", 2: "phone adaptor link reserved", 3: "operation not allowed",
	4: "operation not supported", 5: "PH-SIM PIN required", 6: "PH-FSIM PIN required", 7: "PH-FSIM PUK required",
	10: "SIM not inserted", 11: "SIM PIN required", 12: "SIM PUK required", 13: "SIM failure", 14: "SIM busy", 15: "SIM wrong",
	16: "incorrect password", 17: "SIM PIN2 required", 18: "SIM PUK2 required",
	20: "memory full", 21: "invalid index", 22: "not found", 23: "memory failure", 24: "text string too long",
	25: "invalid characters in text string", 26: "dial string too long", 27: "invalid characters in dial string",
	30: "no network service", 31: "network timeout", 32: "network not allowed, emergency calls only",
	40: "network personalization PIN required", 41: "network personalization PUK required",
	42: "network subset personalization PIN required", 43: "network subset personalization PUK required",
	44: "service provider personalization PIN required", 45: "service provider personalization PUK required",
	46: "corporate personalization PIN required", 47: "corporate personalization PUK required",
	48: "hidden key required", 49: "EAP method not supported", 50: "incorrect parameters", 51: "command implemented but currently disabled",
	52: "command aborted by user", 53: "not attached to network due to MT functionality restrictions",
	54: "modem not allowed, MT restricted to emergency calls only", 55: "operation not allowed because of MT functionality restrictions",
	56: "fixed dial number only allowed", 57: "temporarily out of service due to other MT usage", 58: "language/alphabet not supported",
	59: "unexpected data value", 60: "system failure", 61: "data missing", 62: "call barred", 63: "message waiting indication subscription failure",
	100: "unknown error",
	103: "illegal MS", 106: "illegal ME", 107: "GPRS services not allowed", 108: "GPRS and non-GPRS services not allowed",
	111: "PLMN not allowed", 112: "location area not allowed", 113: "roaming not allowed in this location area",
	114: "GPRS services not allowed in this PLMN", 115: "no suitable cells in location area", 122: "congestion",
	125: "not authorized for this CSG", 126: "insufficient resources", 127: "missing or unknown APN", 128: "unknown PDP address or PDP type",
	129: "user authentication failed", 130: "activation rejected by GGSN, serving GW or PDN GW", 131: "activation rejected, unspecified",
	132: "service option not supported", 133: "requested service option not subscribed", 134: "service option temporarily out of order",
	140: "feature not supported", 148: "unspecified GPRS error", 149: "PDP authentication failure", 150: "invalid mobile class",
}

// cms is TS 27.005 §3.2.5, the codes that concern the card and the modem.
var cms = map[int]string{
	300: "ME failure", 301: "SMS service of ME reserved", 302: "operation not allowed", 303: "operation not supported",
	304: "invalid PDU mode parameter", 305: "invalid text mode parameter", 310: "SIM not inserted", 311: "SIM PIN required",
	312: "PH-SIM PIN required", 313: "SIM failure", 314: "SIM busy", 315: "SIM wrong", 316: "SIM PUK required",
	317: "SIM PIN2 required", 318: "SIM PUK2 required", 320: "memory failure", 321: "invalid memory index", 322: "memory full",
	330: "SMSC address unknown", 331: "no network service", 332: "network timeout", 340: "no +CNMA acknowledgement expected", 500: "unknown error",
}
