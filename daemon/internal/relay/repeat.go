package relay

import "github.com/terminills/remsim-openwrt/daemon/internal/card"

// Instructions that the relay knows by name (ETSI TS 102 221 table 10.5,
// 3GPP TS 51.011 §9.2, GlobalPlatform 2.3.1).
const (
	insSelect             = 0xA4
	insStatus             = 0xF2
	insReadBinary         = 0xB0
	insReadRecord         = 0xB2
	insUpdateBinary       = 0xD6
	insUpdateRecord       = 0xDC
	insSearchRecord       = 0xA2
	insIncrease           = 0x32
	insVerify             = 0x20
	insChangePIN          = 0x24
	insDisablePIN         = 0x26
	insEnablePIN          = 0x28
	insUnblockPIN         = 0x2C
	insDeactivateFile     = 0x04
	insActivateFile       = 0x44
	insAuthenticate       = 0x88
	insAuthenticateOdd    = 0x89 // with its data in TLVs
	insTerminalProfile    = 0x10
	insFetch              = 0x12
	insTerminalResponse   = 0x14
	insEnvelope           = 0xC2
	insManageChannel      = 0x70
	insGetResponse        = 0xC0
	insGetData            = 0xCA
	insGetIdentity        = 0x78
	insTerminalCapability = 0xAA
	insSleep              = 0xFA
)

// Rule tells whether a command that may have reached the card before the bank was
// lost is sent again when the card is back (reset, and brought to where it was).
type Rule struct {
	INS   byte
	Name  string
	Again bool
	Only  string // restriction of Again, in words
	Why   string
	only  func(tpdu []byte) bool
}

// Repeatable is the list of what is sent again, and of what is not though it might
// be expected. An instruction that is not listed is never sent again. Read only;
// docs/RELAY.md is made from it.
var Repeatable = [...]Rule{
	{INS: insStatus, Name: "STATUS", Again: true, Why: "reads the current directory; its P1 tells the card a state, and telling it twice is telling it once (TS 102 221 §11.1.2)"},
	{INS: insSelect, Name: "SELECT", Again: true, Only: "not the last, next or previous occurrence of an AID", Why: "ends in the same selection from the same start, which the replay restores (§11.1.1)", only: selectsOutright},
	{INS: insReadBinary, Name: "READ BINARY", Again: true, Why: "changes nothing but, with a short file identifier, the current file, and that to the same one (§11.1.3)"},
	{INS: insReadRecord, Name: "READ RECORD", Again: true, Only: "absolute mode with a record number", Why: "as READ BINARY; next and previous would move the record pointer twice (§11.1.5)", only: readsAbsolute},
	{INS: insGetResponse, Name: "GET RESPONSE", Why: "an answer is fetched once; the command that made it would have to be repeated too (§7.3.1.1)"},
	{INS: insFetch, Name: "FETCH", Why: "the card regards the proactive command as delivered, and a reset ends its session (TS 102 223 §6)"},
	{INS: insTerminalResponse, Name: "TERMINAL RESPONSE", Why: "the card acts on it, and the proactive session it ends is gone with the reset"},
	{INS: insEnvelope, Name: "ENVELOPE", Why: "the card acts on each: a menu choice or a short message would count twice"},
	{INS: insTerminalProfile, Name: "TERMINAL PROFILE", Why: "starts the card's applications, which may have acted already; the modem does it right after a reset, so another reset costs little"},
	{INS: insAuthenticate, Name: "AUTHENTICATE", Why: "moves the sequence number: the same challenge is refused the second time (TS 33.102 §6.3)"},
	{INS: insVerify, Name: "VERIFY PIN", Why: "a wrong one costs a try each time; three block the card"},
	{INS: insChangePIN, Name: "CHANGE PIN", Why: "the old PIN is wrong the second time, and costs a try"},
	{INS: insDisablePIN, Name: "DISABLE PIN", Why: "is refused the second time, and a wrong PIN costs a try"},
	{INS: insEnablePIN, Name: "ENABLE PIN", Why: "is refused the second time, and a wrong PIN costs a try"},
	{INS: insUnblockPIN, Name: "UNBLOCK PIN", Why: "a wrong code costs one of ten tries"},
	{INS: insUpdateBinary, Name: "UPDATE BINARY", Why: "writes: a card that counts or reacts to updates sees two, and flash wears"},
	{INS: insUpdateRecord, Name: "UPDATE RECORD", Why: "writes; on a cyclic file the second one overwrites another record"},
	{INS: insIncrease, Name: "INCREASE", Why: "would add twice"},
	{INS: insSearchRecord, Name: "SEARCH RECORD", Why: "moves the record pointer, from where it stands in some modes"},
	{INS: insManageChannel, Name: "MANAGE CHANNEL", Why: "a second opening takes another channel"},
	{INS: insActivateFile, Name: "ACTIVATE FILE", Why: "changes the card"},
	{INS: insDeactivateFile, Name: "DEACTIVATE FILE", Why: "changes the card"},
}

// selectsOutright: not the "next" or "previous" of several applications, and none
// that is closed by the command (TS 102 221 §11.1.1).
func selectsOutright(tpdu []byte) bool {
	return tpdu[2] != 0x04 || tpdu[3]&0x03 == 0
}

// readsAbsolute: mode 4, and not the current record (TS 102 221 §11.1.5).
func readsAbsolute(tpdu []byte) bool {
	return tpdu[3]&0x07 == 0x04 && tpdu[2] != 0
}

// harmless tells whether the command may be sent a second time.
func harmless(tpdu []byte) bool {
	if len(tpdu) < 5 {
		return false
	}
	where, ok := card.ClassOf(tpdu[0])
	if !ok || where.Secure || where.Chained {
		return false
	}
	for i := range Repeatable {
		if r := &Repeatable[i]; r.INS == tpdu[1] {
			return r.Again && (r.only == nil || r.only(tpdu))
		}
	}
	return false
}
