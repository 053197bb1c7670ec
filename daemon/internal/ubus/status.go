package ubus

import (
	"context"
	"errors"
	"fmt"
)

// Status is the outcome of a request.
type Status uint32

// The status codes.
const (
	StatusOK Status = iota
	StatusInvalidCommand
	StatusInvalidArgument
	StatusMethodNotFound
	StatusNotFound
	StatusNoData
	StatusPermissionDenied
	StatusTimeout
	StatusNotSupported
	StatusUnknownError
	StatusConnectionFailed
	StatusNoMemory
	StatusParseError
	StatusSystemError
)

var statusNames = [...]string{
	"ok", "invalid command", "invalid argument", "method not found", "not found", "no data",
	"permission denied", "timed out", "not supported", "unknown error", "connection failed",
	"out of memory", "parse error", "system error",
}

// String returns the status in words.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint32(s))
}

// StatusError is a request that ended with another status than ok.
type StatusError struct {
	Status  Status
	Message string // what the callee says about it, "" for nothing
	// Data is the whole answer that came before the status.
	Data Table
	// broker: ubusd itself says so, not the callee.
	broker bool
}

// Error gives the status in words, its number and the callee's message.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s (ubus status %d)", e.Status, uint32(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is makes errors.Is find errors of the same status, and a timeout
// context.DeadlineExceeded.
func (e *StatusError) Is(target error) bool {
	if s, ok := target.(*StatusError); ok {
		return s.Status == e.Status
	}
	return e.Status == StatusTimeout && target == context.DeadlineExceeded
}

// StatusOf returns the status that err carries: ok for nil, unknown error for
// one that carries none.
func StatusOf(err error) Status {
	var s *StatusError
	switch {
	case err == nil:
		return StatusOK
	case errors.As(err, &s):
		return s.Status
	case errors.Is(err, context.DeadlineExceeded):
		return StatusTimeout
	case errors.Is(err, ErrNotConnected):
		return StatusConnectionFailed
	case errors.Is(err, ErrTooLarge):
		return StatusInvalidArgument
	}
	return StatusUnknownError
}
