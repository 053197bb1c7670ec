package model

import "time"

// Detect says how eagerly links are probed.
type Detect string

// The ways to detect.
const (
	DetectFast   Detect = "fast"
	DetectNormal Detect = "normal"
	DetectFrugal Detect = "frugal"
)

// Probing is how one link is watched. Whatever arrives on a link proves it for
// free; probes are sent only when nothing does, or when an answer is overdue.
// Package config tells its costs, package probe keeps to it.
type Probing struct {
	// Silence without anything received that makes an idle link probed.
	Silence time.Duration
	// Suspect: a control byte is unanswered for that long, so that probing
	// starts without waiting for Silence.
	Suspect time.Duration
	// Wait for the answer of one probe; one that comes later counts as lost.
	Wait time.Duration
	// Spacing of the Probes of a burst, which is sent when a link is suspected
	// and when a single probe was lost.
	Spacing time.Duration
	Probes  int
	// Retry is the pause before an unusable link is probed again; it doubles up
	// to RetryMost.
	Retry, RetryMost time.Duration
}

// Idle is the longest time until a dead link without traffic is noticed: it
// dies right after a byte was received, then a single probe and a burst are lost.
func (p Probing) Idle() time.Duration { return p.Silence + p.Wait + p.Burst() }

// Busy is the same for a link with traffic waiting for an answer.
func (p Probing) Busy() time.Duration { return p.Suspect + p.Burst() }

// Burst is how long a burst takes of which nothing is answered.
func (p Probing) Burst() time.Duration {
	return time.Duration(p.Probes-1)*p.Spacing + p.Wait
}

// Bytes of one probe and its answer at the IP layer: an echo request and its reply
// with 8 bytes of data. A host that answers TCP only costs ConnectBytes: SYN,
// SYN+ACK, ACK and RST, with IPv6 and timestamps.
const (
	Echo4Bytes   = 2 * (20 + 8 + 8)
	Echo6Bytes   = 2 * (40 + 8 + 8)
	ConnectBytes = 80 + 80 + 72 + 60
)

// Month is what an idle link carries in probes in 30 days, in decimal megabytes
// and at the most: one answered probe per Silence, in one family at a time.
func (p Probing) Month() float64 {
	const month = 30 * 24 * time.Hour
	return Echo6Bytes * float64(month) / float64(p.Silence) / 1e6
}

// Probing is the table of failover.detect. A metered link that is idle is probed
// less often; when an answer is overdue it is probed as eagerly as any other. At
// `normal` its probes stay below 1 MB a month, so that an idle IoT link keeps
// within 3 MB; lean beats and STATUS commands count as signs of life, which
// replace probes.
func (d Detect) Probing(metered bool) Probing {
	var p Probing
	switch d {
	case DetectFast:
		p = Probing{Silence: 5 * time.Second, Suspect: time.Second, Wait: 900 * time.Millisecond, Spacing: 150 * time.Millisecond, Retry: time.Second, RetryMost: 5 * time.Second}
		if metered {
			p.Silence, p.RetryMost = 30*time.Second, 30*time.Second
		}
	case DetectFrugal:
		p = Probing{Silence: time.Minute, Suspect: 5 * time.Second, Wait: 3 * time.Second, Spacing: 500 * time.Millisecond, Retry: 5 * time.Second, RetryMost: time.Minute}
		if metered {
			p.Silence, p.RetryMost = 30*time.Minute, 5*time.Minute
		}
	default:
		p = Probing{Silence: 10 * time.Second, Suspect: 3 * time.Second, Wait: 1800 * time.Millisecond, Spacing: 300 * time.Millisecond, Retry: 2 * time.Second, RetryMost: 20 * time.Second}
		if metered {
			p.Silence, p.RetryMost = 5*time.Minute, time.Minute
		}
	}
	p.Probes = 5
	return p
}
