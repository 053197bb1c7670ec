package cache

// keys is a set of key references (ETSI TS 102 221 table 9.3).
type keys uint64

// local are the references 81 to 9F: PINs of one application.
const local keys = 0xFFFF_FFFF_0000_0000

// key is the set of one reference. Bits 6 and 7 are always 0 in the standard; a card that
// uses them gets the same set as another reference, which drops more and serves less.
func key(p2 byte) keys { return 1 << (p2&0x1F | p2>>7<<5) }
