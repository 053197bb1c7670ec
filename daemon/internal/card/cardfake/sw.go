package cardfake

// sw is a status word (ISO 7816-4 §5.6, ETSI TS 102 221 §10.2).
type sw uint16

const (
	swOK             sw = 0x9000
	swMore           sw = 0x6100 // | length
	swDeactivated    sw = 0x6283
	swNoMatch        sw = 0x6282
	swTries          sw = 0x63C0 // | tries left
	swWrongLength    sw = 0x6700
	swNoChannel      sw = 0x6881
	swNoSecure       sw = 0x6882
	swWrongStructure sw = 0x6981
	swSecurity       sw = 0x6982
	swBlocked        sw = 0x6983
	swInvalidated    sw = 0x6984
	swConditions     sw = 0x6985
	swNoEF           sw = 0x6986
	swWrongData      sw = 0x6A80
	swNotSupported   sw = 0x6A81
	swNotFound       sw = 0x6A82
	swNoRecord       sw = 0x6A83
	swWrongP1P2      sw = 0x6A86
	swNoReference    sw = 0x6A88
	swWrongOffset    sw = 0x6B00
	swWrongLe        sw = 0x6C00 // | right length
	swNoInstruction  sw = 0x6D00
	swNoClass        sw = 0x6E00
	swFetch          sw = 0x9100 // | length
	swWrongMAC       sw = 0x9862
)

// Instructions (ETSI TS 102 221 table 10.5).
const (
	insDeactivate         = 0x04
	insTerminalProfile    = 0x10
	insFetch              = 0x12
	insTerminalResponse   = 0x14
	insVerify             = 0x20
	insChangePIN          = 0x24
	insDisablePIN         = 0x26
	insEnablePIN          = 0x28
	insUnblockPIN         = 0x2C
	insActivate           = 0x44
	insManageChannel      = 0x70
	insAuthenticate       = 0x88
	insSearchRecord       = 0xA2
	insSelect             = 0xA4
	insTerminalCapability = 0xAA
	insReadBinary         = 0xB0
	insReadRecord         = 0xB2
	insGetResponse        = 0xC0
	insEnvelope           = 0xC2
	insUpdateBinary       = 0xD6
	insUpdateRecord       = 0xDC
	insStatus             = 0xF2
	insSleep              = 0xFA // 3GPP TS 51.011 only
)

// claGSM is the class of 3GPP TS 51.011.
const claGSM = 0xA0

func (s sw) bytes() []byte { return []byte{byte(s >> 8), byte(s)} }

// after appends the status word to data, in memory of its own.
func (s sw) after(data []byte) []byte {
	return append(append(make([]byte, 0, len(data)+2), data...), s.bytes()...)
}

// in tells whether s is base with any second byte.
func (s sw) in(base sw) bool { return s&0xFF00 == base&0xFF00 }
