package card

// Class is what the CLA byte of a command says.
type Class struct {
	Channel uint8 // logical channel, 0 to 19
	GSM     bool  // A0: 3GPP TS 51.011
	Secure  bool  // secure messaging
	Chained bool  // more of the command follows
}

// ClassOf reads a CLA byte (ETSI TS 102 221 §10.1.1). ok is false for classes that
// neither this standard nor 3GPP TS 51.011 knows.
func ClassOf(cla byte) (c Class, ok bool) {
	switch {
	case cla == 0xA0:
		return Class{GSM: true}, true
	case cla&0x60 == 0x00: // 0X, 1X, 8X, 9X
		return Class{Channel: cla & 0x03, Secure: cla&0x0C != 0, Chained: cla&0x10 != 0}, true
	case cla&0x40 == 0x40: // 4X to 7X, CX to FX
		return Class{Channel: cla&0x0F + 4, Secure: cla&0x20 != 0, Chained: cla&0x10 != 0}, cla != 0xFF
	}
	return Class{}, false
}

// OnChannel is the CLA for a command of class base (00 or 80) on a channel.
func OnChannel(base byte, channel uint8) byte {
	if channel < 4 {
		return base | channel
	}
	return base | 0x40 | (channel - 4)
}
