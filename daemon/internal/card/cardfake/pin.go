package cardfake

// Key references (ETSI TS 102 221 §9.5.1).
const (
	keyPIN1 = 0x01
	keyADM  = 0x0A
	keyPIN2 = 0x81
)

// Tries before a PIN or an unblock code is blocked.
const (
	pinTries = 3
	pukTries = 10
)

// pinLen is the length of every code on the wire, filled up with FF.
const pinLen = 8

// pin is one secret code. Tries, value and enabled survive a reset; verified does
// not.
type pin struct {
	value, puk string // padded; an empty puk: cannot be unblocked
	tries      int
	pukTries   int
	enabled    bool
	fixed      bool // cannot be disabled
	verified   bool
}

func newPINs(p Profile) map[byte]*pin {
	return map[byte]*pin{
		keyPIN1: {value: code(p.PIN1), puk: code(p.PUK1), tries: pinTries, pukTries: pukTries, enabled: p.PINEnabled},
		keyPIN2: {value: code(p.PIN2), puk: code(p.PUK2), tries: pinTries, pukTries: pukTries, enabled: true, fixed: true},
		keyADM:  {value: code(p.ADM), tries: pinTries, enabled: true, fixed: true},
	}
}

func code(s string) string { return string(padded([]byte(s), pinLen)) }

// pinCommand is VERIFY, CHANGE, DISABLE, ENABLE and UNBLOCK PIN (ETSI TS 102 221
// §11.1.9 to §11.1.13).
func (c *Card) pinCommand(m command) sw {
	p := c.pins[m.p2]
	switch {
	case m.p1 != 0:
		return swWrongP1P2
	case p == nil:
		return swNoReference
	}
	if len(m.data) == 0 { // asks for the tries that are left
		return p.left(m.ins)
	}
	want := pinLen
	if m.ins == insChangePIN || m.ins == insUnblockPIN {
		want = 2 * pinLen
	}
	if len(m.data) != want {
		return swWrongLength
	}
	given := string(m.data[:pinLen])
	switch m.ins {
	case insVerify:
		if !p.enabled {
			return swInvalidated
		}
		return p.try(given)
	case insChangePIN:
		return p.change(given, string(m.data[pinLen:]))
	case insDisablePIN:
		return p.enable(given, false)
	case insEnablePIN:
		return p.enable(given, true)
	}
	return p.unblock(given, string(m.data[pinLen:]))
}

// left tells the tries: of the unblock code for UNBLOCK PIN, else of the PIN.
func (p *pin) left(ins byte) sw {
	n := p.tries
	switch {
	case ins == insUnblockPIN:
		n = p.pukTries
	case ins != insVerify:
		return swWrongLength
	case !p.enabled:
		return swInvalidated
	}
	if n == 0 {
		return swBlocked
	}
	return swTries | sw(n)
}

func (p *pin) try(given string) sw {
	if p.tries == 0 {
		return swBlocked
	}
	if given != p.value {
		p.tries--
		p.verified = false
		return swTries | sw(p.tries)
	}
	p.tries, p.verified = pinTries, true
	return swOK
}

func (p *pin) change(old, value string) sw {
	if !p.enabled {
		return swInvalidated
	}
	s := p.try(old)
	if s == swOK {
		p.value = value
	}
	return s
}

func (p *pin) enable(given string, on bool) sw {
	switch {
	case p.fixed:
		return swNotSupported
	case p.enabled == on:
		return swInvalidated
	}
	s := p.try(given)
	if s == swOK {
		p.enabled = on
	}
	return s
}

func (p *pin) unblock(puk, value string) sw {
	switch {
	case p.puk == "":
		return swNotSupported
	case p.pukTries == 0:
		return swBlocked
	}
	if puk != p.puk {
		p.pukTries--
		return swTries | sw(p.pukTries)
	}
	p.value, p.tries, p.pukTries = value, pinTries, pukTries
	p.enabled, p.verified = true, true
	return swOK
}
