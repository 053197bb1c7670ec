package cardem

import "time"

// Hurry shortens the waits for a modem's presence pin, for what an earlier user
// of the device left, and for a body.
func (f *Front) Hurry(removal, settle, body time.Duration) {
	f.removal, f.settle, f.body = removal, settle, body
}

// Node is the device file below /dev.
func (f Found) Node() string { return f.node }
