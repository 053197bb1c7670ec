package config

import "time"

// Detect says how eagerly silent links are probed.
type Detect string

// The ways to detect.
const (
	DetectFast   Detect = "fast"
	DetectNormal Detect = "normal"
	DetectFrugal Detect = "frugal"
)

// Probing is how one link is watched. Whatever arrives on a link proves it for
// free; probes are sent only when nothing does.
type Probing struct {
	// Silence without anything received that makes an idle link probed.
	Silence time.Duration
	// Suspect: something was sent and nothing came for that long, so that
	// probing starts without waiting for Silence.
	Suspect time.Duration
	// Timeout of one probe; the next one follows at once.
	Timeout time.Duration
	// Losses in a row that make the link unusable.
	Losses int
}

// Idle is the longest time until a dead link without traffic is noticed: it
// dies right after a byte was received, then every probe is lost.
func (p Probing) Idle() time.Duration { return p.Silence + p.probes() }

// Busy is the same for a link with traffic waiting for an answer.
func (p Probing) Busy() time.Duration { return p.Suspect + p.probes() }

func (p Probing) probes() time.Duration { return time.Duration(p.Losses) * p.Timeout }

// Bytes of one probe round on the wire, both directions, at the IP layer: an
// echo request and its reply with 8 bytes of data in each family,
// 2*(20+8+8) for IPv4 and 2*(40+8+8) for IPv6.
const probeBytes = 2*(20+8+8) + 2*(40+8+8)

// Month is what an idle link carries in probes: one answered round per Silence.
func (p Probing) Month() float64 { return perMonth(probeBytes, p.Silence) }

// Probing is the table of failover.detect. A metered link is watched more
// slowly: at `normal` its probes stay below 2 MB a month, so that an idle IoT
// link keeps within 3 MB together with lean beats every 300 s (2 MB at the
// most, and those count as signs of life, which replace probes).
func (d Detect) Probing(metered bool) Probing {
	switch {
	case d == DetectFast && metered:
		return Probing{Silence: 30 * time.Second, Suspect: 2 * time.Second, Timeout: 2 * time.Second, Losses: 2}
	case d == DetectFast:
		return Probing{Silence: time.Second, Suspect: time.Second, Timeout: time.Second, Losses: 2}
	case d == DetectFrugal && metered:
		return Probing{Silence: 30 * time.Minute, Suspect: 10 * time.Second, Timeout: 10 * time.Second, Losses: 3}
	case d == DetectFrugal:
		return Probing{Silence: time.Minute, Suspect: 5 * time.Second, Timeout: 5 * time.Second, Losses: 3}
	case metered:
		return Probing{Silence: 5 * time.Minute, Suspect: 3 * time.Second, Timeout: 5 * time.Second, Losses: 3}
	}
	return Probing{Silence: 10 * time.Second, Suspect: 2 * time.Second, Timeout: 2 * time.Second, Losses: 3}
}
