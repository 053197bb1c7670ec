package rspro

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart.
var (
	// ErrMalformed wraps every refusal of bytes.
	ErrMalformed = errors.New("malformed")
	// ErrTruncated wraps a refusal that more bytes could have cured. It is
	// ErrMalformed too.
	ErrTruncated = fmt.Errorf("%w: cut short", ErrMalformed)
	// ErrNotRSPRO wraps the refusal of a stream that is no IPA stream at all.
	ErrNotRSPRO = errors.New("not an RSPRO stream")
	// ErrTooLong refuses to write a frame that peers cannot take.
	ErrTooLong = errors.New("frame too long")
	// ErrUnknown refuses to write a message that we do not know.
	ErrUnknown = errors.New("unknown message")
)

// DecodeError says what is wrong with a PDU, and where.
type DecodeError struct {
	Path      string // the field: msg.tpduModemToCard.toBankSlot.slotNr
	Offset    int    // bytes from the start of the PDU
	What      string // what was expected and found there
	Truncated bool   // the input ends before the PDU does
}

// Error names field, byte and finding.
func (e *DecodeError) Error() string {
	path := e.Path
	if path == "" {
		path = "PDU"
	}
	return fmt.Sprintf("RSPRO %s at byte %d: %s", path, e.Offset, e.What)
}

// Unwrap is ErrTruncated or ErrMalformed.
func (e *DecodeError) Unwrap() error {
	if e.Truncated {
		return ErrTruncated
	}
	return ErrMalformed
}

// in puts the error into the field name.
func (e *DecodeError) in(name string) *DecodeError {
	if e.Path == "" {
		e.Path = name
	} else {
		e.Path = name + "." + e.Path
	}
	return e
}
