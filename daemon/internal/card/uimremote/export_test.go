package uimremote

import "time"

// Limits that tests compare with.
const (
	ATRLimit    = atrLimit
	SegmentSize = segmentSize
)

// RemovalTime is how long the slot stays empty on a router.
func RemovalTime() time.Duration {
	var o Options
	o.fill()
	return o.timing.removal
}

// Quick shortens the pauses for a fake that needs none, and ack is how long it may take
// to acknowledge.
func (o Options) Quick(ack time.Duration) Options {
	o.timing = timing{ack: ack, write: 5 * time.Second, removal: 50 * time.Millisecond, recover: 100 * time.Millisecond, farewell: 10 * time.Second}
	return o
}

// ShortFarewell bounds the end, for a modem that says nothing any more.
func (o Options) ShortFarewell(d time.Duration) Options {
	o.timing.farewell = d
	return o
}

// SetSegment shortens the segments of answers.
func (f *Front) SetSegment(n int) { f.segment = n }
