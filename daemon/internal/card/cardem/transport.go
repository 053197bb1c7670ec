package cardem

import (
	"errors"
	"time"
)

// ErrGone: the device was unplugged.
var ErrGone = errors.New("card emulator is unplugged")

// ErrStalled: the device refuses transfers, and goes on doing so when they are tried anew.
var ErrStalled = errors.New("card emulator stalls again and again")

// errSlow: a transfer to the device was not taken in time.
var errSlow = errors.New("device does not take what is sent to it")

// outTimeout is how long the device may take to accept one transfer. ngff-cardem
// stops for 200 ms while it power-cycles its modem.
const outTimeout = 2 * time.Second

// outQueue is how many transfers may wait for the device.
const outQueue = 8

// Pipe is an endpoint towards the host.
type Pipe uint8

// Pipes.
const (
	PipeIn  Pipe = iota // bulk: data, PTS, answers to queries
	PipeIRQ             // interrupt: Status at every edge
)

// Link is an open interface of a card emulator: three message pipes. It is the
// seam to the device. Out, SetDeadline and Close may be called from any goroutine,
// Recv from one at a time.
type Link interface {
	// Out queues b, which is copied, as one transfer to the device and does not
	// wait for it. A transfer that fails, or is not taken within two seconds,
	// ends Recv with an error.
	Out(b []byte) error
	// Recv waits for the next transfer of the device, on either pipe, in the
	// order in which they came. b is valid until the next Recv. From the
	// deadline on it returns os.ErrDeadlineExceeded, after Close
	// os.ErrClosed, once the device is gone an error that wraps ErrGone.
	Recv() (p Pipe, b []byte, err error)
	// SetDeadline sets when Recv stops waiting; the zero time is never.
	SetDeadline(t time.Time) error
	// Close cancels every transfer and lets go of the interface.
	Close() error
}

// Bus finds and opens card emulators. USB is the real one.
type Bus interface {
	// Discover lists what is plugged in.
	Discover() []Found
	// Open claims an interface and starts its transfers.
	Open(f Found) (Link, error)
}
