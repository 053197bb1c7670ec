package cardfake

// File identifiers of the EFs that hold the access rules.
const (
	fidARR     = 0x2F06 // under the MF
	fidARRUSIM = 0x6F06 // in the USIM
)

// rules are the combinations of conditions in this card. A rule's number in EF.ARR is
// its place, from 1.
func rules() [][2]access {
	return [][2]access{
		{always, never}, {always, needADM}, {always, needPIN}, {needPIN, needPIN},
		{needPIN, needADM}, {needPIN, needPIN2}, {needADM, needADM}, {never, never},
	}
}

// arrRecords is the content of EF.ARR (ETSI TS 102 221 §9.2.4, §13.4): for each rule
// read and search, then update, deactivate and activate.
func arrRecords() [][]byte {
	var out [][]byte
	for _, r := range rules() {
		rec := join(tlv(0x80, 0x01), condition(r[0]), tlv(0x80, 0x02), condition(r[1]), tlv(0x80, 0x18), condition(needADM))
		out = append(out, padded(rec, 40))
	}
	return out
}

// condition is the SC DO of an access (ISO 7816-4 §5.4.3.3).
func condition(a access) []byte {
	switch a {
	case always:
		return tlv(0x90)
	case never:
		return tlv(0x97)
	}
	return tlv(0xA4, join(tlv(0x83, keyOf(a)), tlv(0x95, 0x08))...)
}

// keyOf is the key reference that fulfils a (ETSI TS 102 221 §9.5.1).
func keyOf(a access) byte {
	switch a {
	case needPIN2:
		return keyPIN2
	case needADM:
		return keyADM
	}
	return keyPIN1
}

// fcp is the FCP template of f (ETSI TS 102 221 §11.1.1.3).
func (c *Card) fcp(f *file) []byte {
	life := byte(0x05) // operational, activated
	if !f.isDF() && f.body.deactivated {
		life = 0x04
	}
	parts := [][]byte{fileDescriptor(f)}
	if f.kind == application {
		parts = append(parts, tlv(0x84, f.aid...))
	} else {
		parts = append(parts, tlv(0x83, byte(f.id>>8), byte(f.id)))
	}
	if f.isDF() {
		parts = append(parts, c.properties(f), tlv(0x8A, life), arrReference(f), c.pinStatus())
	} else {
		size := f.size()
		parts = append(parts, tlv(0x8A, life), arrReference(f), tlv(0x80, byte(size>>8), byte(size)))
		if f.sfi != 0 {
			parts = append(parts, tlv(0x88, f.sfi<<3))
		} else {
			parts = append(parts, tlv(0x88)) // no SFI
		}
	}
	return tlv(0x62, join(parts...)...)
}

// fileDescriptor is TLV 82 (§11.1.1.4.3): shareable, and the structure.
func fileDescriptor(f *file) []byte {
	switch f.kind {
	case transparent:
		return tlv(0x82, 0x41, 0x21)
	case linear, cyclic:
		d := byte(0x42)
		if f.kind == cyclic {
			d = 0x46
		}
		n := f.recordLen()
		return tlv(0x82, d, 0x21, byte(n>>8), byte(n), byte(len(f.body.records)))
	}
	return tlv(0x82, 0x78, 0x21)
}

// properties is TLV A5 (§11.1.1.4.6): of the MF the UICC characteristics (clock stop
// allowed; 3 V and 1.8 V).
func (c *Card) properties(f *file) []byte {
	if f == c.mf {
		return tlv(0xA5, tlv(0x80, 0x71)...)
	}
	return tlv(0xA5, tlv(0x83, 0x00, 0x00, 0x80, 0x00)...) // available memory, bytes
}

// arrReference is TLV 8B: the rule of f in the EF.ARR that is nearest.
func arrReference(f *file) []byte {
	id := uint16(fidARR)
	for p := f; p != nil; p = p.parent {
		if p.kind == application {
			id = fidARRUSIM
		}
	}
	for i, r := range rules() {
		if r == [2]access{f.read, f.update} {
			return tlv(0x8B, byte(id>>8), byte(id), byte(i+1))
		}
	}
	// newFiles has no other conditions; a test walks all files.
	panic("file without an access rule")
}

// pinStatus is TLV C6 (§11.1.1.4.10): the top bits say which of the key references that
// follow is enabled.
func (c *Card) pinStatus() []byte {
	var enabled byte
	if c.pins[keyPIN1].enabled {
		enabled |= 0x80
	}
	if c.pins[keyPIN2].enabled {
		enabled |= 0x40
	}
	return tlv(0xC6, join(tlv(0x90, enabled), tlv(0x83, keyPIN1), tlv(0x83, keyPIN2))...)
}
