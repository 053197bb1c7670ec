package cardfake

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrNoFile: the path leads to no file of the wanted kind.
var ErrNoFile = errors.New("no such file")

// USIM stands for the USIM's directory as the first identifier of a path.
const USIM = fidADF

// Key references for the methods about PINs.
const (
	PIN1 = keyPIN1
	PIN2 = keyPIN2
	ADM  = keyADM
)

// Binary returns the content of a transparent EF, whatever its access conditions. The
// path is that of identifiers below the MF, or below USIM.
func (c *Card) Binary(path ...uint16) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.ef(path, transparent)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(f.body.data), nil
}

// SetBinary replaces the content, and with it the size, of a transparent EF.
func (c *Card) SetBinary(data []byte, path ...uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.ef(path, transparent)
	if err != nil {
		return err
	}
	if len(data) == 0 || len(data) > 0x7FFF {
		return fmt.Errorf("set file %04X: %d bytes, expected 1..32767", path, len(data))
	}
	f.body.data = bytes.Clone(data)
	return nil
}

// Records returns the records of a linear or cyclic EF.
func (c *Card) Records(path ...uint16) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.ef(path, linear, cyclic)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(f.body.records))
	for i, r := range f.body.records {
		out[i] = bytes.Clone(r)
	}
	return out, nil
}

// SetRecords replaces the records of a linear or cyclic EF: 1 to 254, of one length of
// 1 to 255 bytes.
func (c *Card) SetRecords(records [][]byte, path ...uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.ef(path, linear, cyclic)
	if err != nil {
		return err
	}
	if len(records) == 0 || len(records) > 254 {
		return fmt.Errorf("set file %04X: %d records, expected 1..254", path, len(records))
	}
	out := make([][]byte, len(records))
	for i, r := range records {
		if len(r) == 0 || len(r) > 255 || len(r) != len(records[0]) {
			return fmt.Errorf("set file %04X: record %d has %d bytes, the first %d", path, i+1, len(r), len(records[0]))
		}
		out[i] = bytes.Clone(r)
	}
	f.body.records = out
	return nil
}

// SetPINEnabled switches the verification of PIN1 on or off, without a try.
func (c *Card) SetPINEnabled(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pins[keyPIN1].enabled = on
}

// SetPIN changes a PIN (PIN1, PIN2 or ADM) and gives it back all its tries.
func (c *Card) SetPIN(key byte, digits string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pins[key]
	if p == nil || len(digits) < 4 || len(digits) > pinLen {
		return fmt.Errorf("set PIN %02X: expected PIN1, PIN2 or ADM and 4..8 digits", key)
	}
	p.value, p.tries, p.pukTries = code(digits), pinTries, pukTries
	return nil
}

// Tries tells how many attempts are left for a PIN and for its unblock code.
func (c *Card) Tries(key byte) (pin, puk int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pins[key]
	if p == nil {
		return 0, 0
	}
	return p.tries, p.pukTries
}

// SQN is the highest sequence number that the card has accepted (3GPP TS 33.102).
func (c *Card) SQN() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.auth.sqn()
}

// SetSQN has the card take every number up to sqn (48 bits) for used.
func (c *Card) SetSQN(sqn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auth.setSQN(sqn & (1<<48 - 1))
}

// Milenage is the card's algorithm, for whoever plays its home network.
func (c *Card) Milenage() Milenage { return NewMilenage(c.profile.K, c.profile.OPc) }

// ef finds an EF of one of these structures.
func (c *Card) ef(path []uint16, want ...structure) (*file, error) {
	f := c.mf
	for i, id := range path {
		if i == 0 && id == USIM {
			f = c.usim
			continue
		}
		if f = f.child(id); f == nil {
			return nil, fmt.Errorf("file %04X of %04X: %w", id, path, ErrNoFile)
		}
	}
	for _, k := range want {
		if f.kind == k {
			return f, nil
		}
	}
	return nil, fmt.Errorf("file %04X: %w of that structure", path, ErrNoFile)
}
