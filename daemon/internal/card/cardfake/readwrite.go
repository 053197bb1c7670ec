package cardfake

import (
	"bytes"
	"slices"
)

// granted tells whether condition a holds now.
func (c *Card) granted(a access) bool {
	switch a {
	case always:
		return true
	case never:
		return false
	}
	p := c.pins[keyOf(a)]
	return p.verified || !p.enabled
}

// target is the EF that a command works on: by SFI (which selects it), or the current
// one.
func (c *Card) target(ch *channel, sfi byte, want ...structure) (*file, sw) {
	if sfi != 0 {
		f := ch.df.childBySFI(sfi)
		if f == nil {
			return nil, swNotFound
		}
		ch.to(f)
	}
	f := ch.ef
	if f == nil {
		return nil, swNoEF
	}
	if !slices.Contains(want, f.kind) {
		return nil, swWrongStructure
	}
	if f.body.deactivated {
		return nil, swConditions
	}
	return f, swOK
}

// binary finds EF and offset of READ BINARY and UPDATE BINARY.
func (c *Card) binary(ch *channel, m command) (f *file, offset int, s sw) {
	offset = int(m.p1)<<8 | int(m.p2)
	var sfi byte
	if m.p1&0x80 != 0 {
		if m.p1&0x60 != 0 || m.p1&0x1F == 0 {
			return nil, 0, swWrongP1P2
		}
		sfi, offset = m.p1&0x1F, int(m.p2)
	}
	f, s = c.target(ch, sfi, transparent)
	return f, offset, s
}

// readBinary is READ BINARY (ETSI TS 102 221 §11.1.3).
func (c *Card) readBinary(ch *channel, m command) ([]byte, sw) {
	f, offset, s := c.binary(ch, m)
	switch {
	case s != swOK:
		return nil, s
	case !c.granted(f.read):
		return nil, swSecurity
	case offset >= len(f.body.data):
		return nil, swWrongOffset
	}
	left := f.body.data[offset:]
	if m.le() > len(left) {
		return nil, swWrongLe | sw(len(left)&0xFF)
	}
	return left[:m.le()], swOK
}

// updateBinary is UPDATE BINARY (§11.1.4).
func (c *Card) updateBinary(ch *channel, m command) ([]byte, sw) {
	f, offset, s := c.binary(ch, m)
	switch {
	case s != swOK:
		return nil, s
	case !c.granted(f.update):
		return nil, swSecurity
	case offset >= len(f.body.data):
		return nil, swWrongOffset
	case len(m.data) == 0 || offset+len(m.data) > len(f.body.data):
		return nil, swWrongLength
	}
	copy(f.body.data[offset:], m.data)
	return nil, swOK
}

// recordOf finds EF and record number of a record command; it moves no pointer.
func (c *Card) recordOf(ch *channel, m command) (f *file, n int, s sw) {
	f, s = c.target(ch, m.p2>>3, linear, cyclic)
	if s != swOK {
		return nil, 0, s
	}
	last := len(f.body.records)
	switch m.p2 & 0x07 {
	case 0x02: // next
		n = ch.record + 1
		if n > last && f.kind == cyclic {
			n = 1
		}
	case 0x03: // previous
		n = ch.record - 1
		if n < 1 && (f.kind == cyclic || ch.record == 0) {
			n = last
		}
	case 0x04: // absolute; 00 is the current record
		n = int(m.p1)
		if n == 0 {
			n = ch.record
		}
	default:
		return nil, 0, swWrongP1P2
	}
	if n < 1 || n > last {
		return nil, 0, swNoRecord
	}
	return f, n, swOK
}

// moved sets the record pointer after next and previous, which alone move it.
func (ch *channel) moved(m command, n int) {
	if m.p2&0x07 != 0x04 {
		ch.record = n
	}
}

// readRecord is READ RECORD (§11.1.5).
func (c *Card) readRecord(ch *channel, m command) ([]byte, sw) {
	f, n, s := c.recordOf(ch, m)
	switch {
	case s != swOK:
		return nil, s
	case !c.granted(f.read):
		return nil, swSecurity
	case m.le() != f.recordLen():
		return nil, swWrongLe | sw(f.recordLen()&0xFF)
	}
	ch.moved(m, n)
	return f.body.records[n-1], swOK
}

// updateRecord is UPDATE RECORD (§11.1.6). In a cyclic EF only "previous" is allowed: the
// oldest record becomes the new first one.
func (c *Card) updateRecord(ch *channel, m command) ([]byte, sw) {
	f, n, s := c.recordOf(ch, m)
	switch {
	case s != swOK:
		return nil, s
	case !c.granted(f.update):
		return nil, swSecurity
	case len(m.data) != f.recordLen():
		return nil, swWrongLength
	}
	if f.kind == cyclic {
		if m.p2&0x07 != 0x03 {
			return nil, swWrongP1P2
		}
		last := len(f.body.records) - 1
		copy(f.body.records[1:], f.body.records[:last])
		f.body.records[0] = append([]byte(nil), m.data...)
		ch.record = 1
		return nil, swOK
	}
	f.body.records[n-1] = append([]byte(nil), m.data...)
	ch.moved(m, n)
	return nil, swOK
}

// searchRecord is SEARCH RECORD (§11.1.7), simple search: the numbers of the records
// that contain data, forward or backward from record P1.
func (c *Card) searchRecord(ch *channel, m command) ([]byte, sw) {
	mode := m.p2 & 0x07
	if mode != 0x04 && mode != 0x05 {
		return nil, swWrongP1P2
	}
	f, s := c.target(ch, m.p2>>3, linear, cyclic)
	switch {
	case s != swOK:
		return nil, s
	case !c.granted(f.read):
		return nil, swSecurity
	case len(m.data) == 0 || len(m.data) > f.recordLen():
		return nil, swWrongLength
	}
	step, n := 1, int(m.p1)
	if mode == 0x05 {
		step = -1
	}
	if n == 0 {
		n = max(ch.record, 1)
	}
	var found []byte
	for ; n >= 1 && n <= len(f.body.records); n += step {
		if bytes.Contains(f.body.records[n-1], m.data) {
			found = append(found, byte(n))
		}
	}
	if found == nil {
		return nil, swNoMatch
	}
	ch.record = int(found[0])
	return c.outgoing(found)
}

// setActive is DEACTIVATE FILE and ACTIVATE FILE (§11.1.14, §11.1.15) of the current
// EF.
func (c *Card) setActive(ch *channel, m command) sw {
	switch {
	case m.p1 != 0 || m.p2 != 0:
		return swWrongP1P2
	case ch.ef == nil:
		return swNoEF
	case !c.granted(needADM):
		return swSecurity
	}
	ch.ef.body.deactivated = m.ins == insDeactivate
	return swOK
}
