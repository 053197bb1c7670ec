// Package probefake is a simulated network for package probe: links that can be
// cut, made lossy or slow, and hosts behind them that answer what they are told
// to. Traffic plays the connections whose evidence the driver uses.
package probefake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
)

// Link is how a device and what lies behind it does.
type Link struct {
	Cut       bool          // nothing is answered
	Loss      float64       // share of probes that are lost, 0..1
	Delay     time.Duration // round trip
	NoCarrier bool
	NoRoute4  bool // no address or gateway of the family
	NoRoute6  bool
	// Counts: what the device receives comes from beyond the link. Received is its
	// counter; Rate are the packets a second that it grows by.
	Counts   bool
	Received uint64
	Rate     uint64
}

// Host is what an address answers.
type Host struct {
	Echo    bool
	Connect bool
	Query   bool
}

// World is the network; it implements probe.World.
type World struct {
	rnd *rand.Rand

	mu    sync.Mutex
	links map[string]*link
	hosts map[netip.Addr]Host
	names map[string][]netip.Addr
}

type link struct {
	Link
	since time.Time // of Rate
	shots map[probe.Kind]int
	bytes int
}

// New makes a network without links and hosts. What is lost depends on seed.
func New(seed uint64) *World {
	return &World{rnd: rand.New(rand.NewPCG(seed, 1)), links: make(map[string]*link), hosts: make(map[netip.Addr]Host), names: make(map[string][]netip.Addr)}
}

// Set changes a link.
func (w *World) Set(device string, change func(*Link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.link(device)
	l.Received, l.since = l.received(), time.Now()
	change(&l.Link)
}

// Host gives an address what it answers.
func (w *World) Host(addr string, h Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[netip.MustParseAddr(addr)] = h
}

// Name gives a name addresses.
func (w *World) Name(name string, addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[name] = nil
	for _, a := range addrs {
		w.names[name] = append(w.names[name], netip.MustParseAddr(a))
	}
}

// Sent is how many probes were sent over a device, and how many bytes they and
// their answers had at the IP layer.
func (w *World) Sent(device string) (shots, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.link(device)
	for _, n := range l.shots {
		shots += n
	}
	return shots, l.bytes
}

// String prints the links.
func (w *World) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var devices []string
	for d := range w.links {
		devices = append(devices, d)
	}
	slices.Sort(devices)
	var b strings.Builder
	for _, d := range devices {
		l := w.links[d]
		fmt.Fprintf(&b, "%s cut=%t loss=%.0f%% delay=%s carrier=%t echo=%d connect=%d query=%d bytes=%d\n", d, l.Cut, l.Loss*100, l.Delay, !l.NoCarrier,
			l.shots[probe.Echo], l.shots[probe.Connect], l.shots[probe.Query], l.bytes)
	}
	return b.String()
}

// link is made when it is named first. The caller locks.
func (w *World) link(device string) *link {
	l := w.links[device]
	if l == nil {
		l = &link{shots: make(map[probe.Kind]int)}
		w.links[device] = l
	}
	return l
}

func (l *link) received() uint64 {
	if l.Rate == 0 {
		return l.Received
	}
	return l.Received + l.Rate*uint64(time.Since(l.since)/time.Millisecond)/1000
}

// Shoot plays one probe.
func (w *World) Shoot(ctx context.Context, s probe.Shot) (time.Duration, error) {
	delay, err := w.fate(s)
	if err != nil {
		return 0, err
	}
	if delay < 0 {
		<-ctx.Done()
	} else {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
			return delay, nil
		case <-ctx.Done():
		}
	}
	if ctx.Err() == context.DeadlineExceeded {
		return 0, probe.ErrNoAnswer
	}
	return 0, ctx.Err()
}

// fate is how long the answer of a probe takes; negative: it never comes.
func (w *World) fate(s probe.Shot) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.link(s.Via.Device)
	six := s.To.Addr().Is6()
	if six && l.NoRoute6 || !six && l.NoRoute4 {
		return 0, probe.ErrNoRoute
	}
	l.shots[s.Kind]++
	h := w.hosts[s.To.Addr()]
	answers := map[probe.Kind]bool{probe.Echo: h.Echo, probe.Connect: h.Connect, probe.Query: h.Query}[s.Kind]
	lost := l.Cut || l.NoCarrier || !answers || w.rnd.Float64() < l.Loss
	l.bytes += cost(s.Kind, six, lost)
	if lost {
		return -1, nil
	}
	l.Received++
	return l.Delay, nil
}

// cost are the bytes of a probe; of one that is lost only the request counts.
func cost(k probe.Kind, six, lost bool) int {
	n := model.Echo4Bytes
	switch {
	case k == probe.Connect:
		n = model.ConnectBytes
	case k == probe.Query:
		n = 2 * (20 + 8 + 17)
	case six:
		n = model.Echo6Bytes
	}
	if lost {
		return n / 2
	}
	return n
}

// Lookup resolves a name; numbers are their own.
func (w *World) Lookup(_ context.Context, via model.Path, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if addrs := w.names[host]; len(addrs) > 0 && !w.link(via.Device).Cut {
		return addrs, nil
	}
	return nil, fmt.Errorf("look %s up over %s: %w", host, via.Link, probe.ErrNoAnswer)
}

// Carrier tells whether a device has one.
func (w *World) Carrier(device string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.link(device).NoCarrier
}

// Received is a device's counter.
func (w *World) Received(device string) (uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.link(device)
	return l.received(), l.Counts
}

// Traffic plays the connections over links; it implements probe.Heard.
type Traffic struct {
	mu    sync.Mutex
	heard map[string]time.Time
	owed  map[string]time.Time
	told  map[string]bool
	subs  map[int]func(string)
	next  int
}

// NewTraffic makes links over which nothing has flowed.
func NewTraffic() *Traffic {
	return &Traffic{heard: map[string]time.Time{}, owed: map[string]time.Time{}, told: map[string]bool{}, subs: map[int]func(string){}}
}

// Write sends something that is to be answered.
func (t *Traffic) Write(link string) {
	t.mu.Lock()
	if t.owed[link].IsZero() {
		t.owed[link] = time.Now()
	}
	told := t.told[link]
	t.told[link] = true
	t.mu.Unlock()
	if !told {
		t.tell(link)
	}
}

// Answer has the peer answer.
func (t *Traffic) Answer(link string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[link] = time.Now()
	delete(t.owed, link)
}

// Break has a connection break, or one that cannot be made.
func (t *Traffic) Break(link string) {
	t.mu.Lock()
	delete(t.owed, link)
	t.mu.Unlock()
	t.tell(link)
}

func (t *Traffic) tell(link string) {
	t.mu.Lock()
	var subs []func(string)
	for _, s := range t.subs {
		subs = append(subs, s)
	}
	t.mu.Unlock()
	for _, s := range subs {
		s(link)
	}
}

// Heard is when a link was heard last.
func (t *Traffic) Heard(link string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard[link]
}

// Unanswered is since when something is owed.
func (t *Traffic) Unanswered(link string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[link] = !t.owed[link].IsZero()
	return t.owed[link]
}

// Subscribe has tell called by Write and Break.
func (t *Traffic) Subscribe(tell func(string)) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	n := t.next
	t.subs[n] = tell
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.subs, n)
	}
}
