package probe

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Conditions of a World.
var (
	// ErrNoAnswer: the probe was sent, and nothing came in time.
	ErrNoAnswer = errors.New("no answer")
	// ErrNoRoute: the kernel knows no way to the address over the device, be it
	// that the gateway is gone or that the device has no address of the family.
	ErrNoRoute = errors.New("no route")
	// ErrNotAllowed: this process may not send probes.
	ErrNotAllowed = errors.New("not allowed to send probes")
)

// Kind is how an address is asked for a sign of life.
type Kind uint8

// The kinds of probes. A stock bank has few connections to give: it is never
// asked with Connect.
const (
	Echo    Kind = iota // ICMP echo request
	Connect             // TCP connection, reset at once; a refusal is an answer
	Query               // a DNS question; any answer is one
)

var kinds = [...]string{"echo", "connect", "query"}

// String is the kind's name.
func (k Kind) String() string { return kinds[k] }

// Shot is one probe.
type Shot struct {
	Via  model.Path // bound to its device, marked with its number and PurposeProbe
	Kind Kind
	To   netip.AddrPort // Echo: the port does not matter
}

// World is what is used of the kernel and of the network.
type World interface {
	// Shoot sends one probe and waits for its answer, no longer than ctx allows.
	Shoot(ctx context.Context, s Shot) (time.Duration, error)
	// Lookup resolves a name over a path, in both families.
	Lookup(ctx context.Context, via model.Path, host string) ([]netip.Addr, error)
	// Carrier tells whether a device has one; true if that is not known.
	Carrier(device string) bool
	// Received counts the packets that came in over a device. ok is false if they
	// may be the local network's own, which prove nothing of what lies behind it.
	Received(device string) (packets uint64, ok bool)
}

// Heard is what is known for nothing of a link, from the connections over it.
type Heard interface {
	// Heard is when anything was last heard over a link; zero: never.
	Heard(link string) time.Time
	// Unanswered is since when something is owed over a link; zero: nothing is.
	Unanswered(link string) time.Time
	// Subscribe has tell called when a link comes to owe an answer, and when a
	// connection over it breaks; then not before Unanswered was asked. tell does
	// not block.
	Subscribe(tell func(link string)) (stop func())
}
