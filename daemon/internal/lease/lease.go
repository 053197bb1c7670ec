// Package lease decides whether a router may use the card that an orchestrator
// has given to it: until when, by which clock, and which of two answers is the
// newer one. It is pure: whoever calls it reads the clocks and keeps the record.
//
// The end of a lease is counted from the moment the request for it left, on
// CLOCK_BOOTTIME, so neither a slow answer nor a clock that is set can lengthen
// it. Over a reboot that clock begins anew and nobody knows how long the power
// was off: the record then only says which card to ask for, until trusted time
// proves that the lease still runs.
package lease

import (
	"errors"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Bounds of what an orchestrator may say.
const (
	// MaxLength is the longest lease; more is cut.
	MaxLength = 366 * 24 * time.Hour
	// drift is how much slower than the orchestrator's our clock may run: one
	// part in 5000 (200 ppm), beyond what a bad quartz does. Leases are taken for
	// that much shorter.
	drift = 5000
	// tick is the resolution of the orchestrator's times.
	tick = time.Second
)

// Why an answer is not taken.
var (
	ErrStale      = errors.New("its epoch is older than one that was seen")
	ErrLate       = errors.New("a later request was answered before")
	ErrNewGrant   = errors.New("it renews a newer lease than ours, whose card is not known")
	ErrUnmeasured = errors.New("its lease cannot be measured: lease_seconds is missing, and so is lease_until with server_time")
)

// Clock is one reading of the clocks.
type Clock struct {
	Boot    time.Duration // CLOCK_BOOTTIME: runs while the router sleeps, is never set
	BootID  string        // names the boot that Boot counts from
	Wall    time.Time     // the system's clock
	Trusted bool          // Wall is off by Bound at most
	Bound   time.Duration
}

// Record is what is kept of one modem's card and lease.
type Record struct {
	Client string          `json:"client"` // REST client id that it was given to
	Card   *model.MeshCard `json:"card,omitempty"`
	ID     string          `json:"lease_id,omitempty"`
	Epoch  int64           `json:"epoch,omitempty"` // the newest ever seen
	Leased bool            `json:"leased"`          // false: the card has no end
	Length time.Duration   `json:"length_ns,omitempty"`
	BootID string          `json:"boot_id,omitempty"` // of Asked and End
	Asked  time.Duration   `json:"asked_ns,omitempty"`
	End    time.Duration   `json:"end_ns,omitempty"`
	// Until is the end by the orchestrator's clock; Local is the end by ours,
	// with the error that it had then taken off. Zero: not known.
	Until time.Time `json:"until,omitzero"`
	Local time.Time `json:"local,omitzero"`
}

// Answer is what the orchestrator says of card and lease.
type Answer struct {
	Asked      Clock           // when the request left
	AskedEpoch int64           // the record's epoch then; means the same lease if the answer has none
	Card       *model.MeshCard // nil: the answer renews what there is
	ID         string
	Epoch      int64 // 0: none
	HasLength  bool
	Length     time.Duration
	Until      time.Time // zero: none
	ServerTime time.Time // zero: none
	// Keep: a card without a lease of its own comes under the lease that runs.
	Keep bool
}

// Take enters an answer. With an error the record stays as it was.
func Take(r Record, client string, a Answer) (Record, error) {
	if r.Client != client {
		r = Record{Client: client}
	}
	if err := newer(r, a); err != nil {
		return r, err
	}
	out := r
	out.Epoch = max(r.Epoch, a.Epoch)
	if a.Card != nil {
		card := *a.Card
		out.Card = &card
	}
	if a.ID != "" {
		out.ID = a.ID
	}
	length, leased, err := a.length()
	switch {
	case err != nil:
		return r, err
	case !leased && (a.Card == nil || a.Keep):
		return out, nil // nothing is said of a lease: the one that runs goes on
	case !leased:
		out.Leased, out.ID, out.Length, out.End, out.Until, out.Local = false, "", 0, 0, time.Time{}, time.Time{}
		out.BootID, out.Asked = a.Asked.BootID, a.Asked.Boot
		return out, nil
	}
	return out.leaseFrom(a, length), nil
}

// newer tells whether an answer may change the record.
func newer(r Record, a Answer) error {
	epoch := a.Epoch
	if epoch == 0 && (a.Card == nil || a.Keep) {
		epoch = a.AskedEpoch
	}
	switch {
	case epoch < r.Epoch:
		return fmt.Errorf("epoch %d, and %d was seen: %w", epoch, r.Epoch, ErrStale)
	case epoch > r.Epoch && a.Card == nil:
		return fmt.Errorf("epoch %d, and ours is %d: %w", epoch, r.Epoch, ErrNewGrant)
	case epoch == r.Epoch && r.BootID == a.Asked.BootID && a.Asked.Boot < r.Asked:
		return ErrLate
	}
	return nil
}

// leaseFrom counts a lease from when it was asked for.
func (r Record) leaseFrom(a Answer, length time.Duration) Record {
	length -= length / drift
	r.Leased, r.Length = true, length
	r.BootID, r.Asked, r.End = a.Asked.BootID, a.Asked.Boot, a.Asked.Boot+length
	r.Until, r.Local = a.Until, time.Time{}
	if !a.ServerTime.IsZero() && a.HasLength {
		if by := a.ServerTime.Add(a.Length); r.Until.IsZero() || by.Before(r.Until) {
			r.Until = by
		}
	}
	if a.Asked.Trusted {
		r.Local = a.Asked.Wall.Add(length - a.Asked.Bound)
	}
	return r
}

// length is how long the lease lasts, by the shorter of what the answer says.
func (a Answer) length() (length time.Duration, leased bool, err error) {
	length = MaxLength
	if a.HasLength {
		length, leased = min(length, a.Length), true
	}
	switch {
	case a.Until.IsZero():
	case !a.ServerTime.IsZero():
		length, leased = min(length, a.Until.Sub(a.ServerTime)), true
	case !leased:
		return 0, false, ErrUnmeasured
	}
	if a.ID != "" && !leased && a.Card != nil && !a.Keep {
		return 0, false, ErrUnmeasured // a lease without an end is none
	}
	return max(0, length), leased, nil
}

// State says whether the card may be used.
type State int

// The states.
const (
	Nothing  State = iota // no card was given
	Free                  // a card without a lease
	Held                  // the lease runs
	Unproven              // after a reboot nobody knows whether it still runs
	Ended
)

// Judge tells how the record stands at a reading of the clocks, and how long the
// lease still runs.
func Judge(r Record, c Clock) (State, time.Duration) {
	switch {
	case r.Card == nil:
		return Nothing, 0
	case r.BootID != c.BootID:
		return Unproven, 0
	case !r.Leased:
		return Free, 0
	case c.Boot >= r.End:
		return Ended, 0
	}
	return Held, r.End - c.Boot
}

// ProveBySystem judges a record of an earlier boot by the system's clock, if that
// can be trusted. It reports whether it decided.
func ProveBySystem(r Record, c Clock) (Record, bool) {
	if r.BootID == c.BootID || !r.Leased || r.Local.IsZero() || !c.Trusted {
		return r, false
	}
	return r.prove(c, r.Local.Sub(c.Wall.Add(c.Bound)))
}

// ProveByServer judges it by the time that the orchestrator told in answer to a
// request that left at asked.
func ProveByServer(r Record, c Clock, asked time.Duration, server time.Time) (Record, bool) {
	if r.BootID == c.BootID || !r.Leased || r.Until.IsZero() || server.IsZero() {
		return r, false
	}
	return r.prove(c, r.Until.Sub(server.Add(tick+c.Boot-asked)))
}

// prove makes the record one of this boot, with left still to run.
func (r Record) prove(c Clock, left time.Duration) (Record, bool) {
	left = min(max(0, left), r.Length) // a clock that went back lengthens nothing
	r.BootID, r.Asked, r.End = c.BootID, c.Boot, c.Boot+left-left/drift
	return r, true
}

// Release forgets card and lease, but not the epoch.
func Release(r Record) Record {
	return Record{Client: r.Client, Epoch: r.Epoch, BootID: r.BootID, Asked: r.Asked}
}

// Worth tells whether the change from an earlier record must be on flash at once:
// another card or lease, or an earlier end. A longer one can wait, as whoever
// reads the old record only stops too early.
func Worth(old, r Record) bool {
	return old.Client != r.Client || old.Epoch != r.Epoch || old.ID != r.ID || old.Leased != r.Leased ||
		!old.Card.Same(r.Card) || old.BootID != r.BootID || r.End < old.End ||
		old.Local.After(r.Local) || old.Until.After(r.Until)
}
