// Package meterfake is a packet filter without a kernel: it judges and counts
// the packets that a test or a demo sends through it as the real table does, can
// lose its table and refuse to work, and prints itself.
package meterfake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Way is where a packet goes.
type Way int

// The ways.
const (
	In      Way = iota // from the link
	Out                // from the router itself
	Forward            // from somebody behind the router
)

// Packet is one packet at a link's device.
type Packet struct {
	Device string
	Way    Way
	Mark   uint32 // of an outgoing packet
	Flow   string // names the connection; "" for what conntrack does not follow
	Local  bool   // DHCP, RA or ND
	Bytes  int64  // at the IP layer
}

// Fake is the packet filter. Make it with New.
type Fake struct {
	mu      sync.Mutex
	epoch   int
	exists  bool
	links   []model.MeterLink
	counts  map[string]*model.MeterCount
	flows   map[string]uint32 // marks of connections
	broken  error
	removed func()
	applied int
	reads   int
}

// New makes a packet filter without a table.
func New() *Fake { return &Fake{flows: make(map[string]uint32)} }

// Apply implements meter.Kernel.
func (f *Fake) Apply(_ context.Context, links []model.MeterLink) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if !f.exists {
		f.exists, f.epoch, f.counts = true, f.epoch+1, make(map[string]*model.MeterCount)
	}
	f.applied++
	f.links = slices.Clone(links)
	for _, l := range links {
		if f.counts[l.Name] == nil {
			f.counts[l.Name] = &model.MeterCount{Link: l.Name, Purposes: make(map[string]int64)}
		}
	}
	for name := range f.counts {
		if !slices.ContainsFunc(links, func(l model.MeterLink) bool { return l.Name == name }) {
			delete(f.counts, name)
		}
	}
	return nil
}

// Read implements meter.Kernel.
func (f *Fake) Read(context.Context) (meter.Reading, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	switch {
	case f.broken != nil:
		return meter.Reading{}, f.broken
	case !f.exists:
		return meter.Reading{}, meter.ErrNoTable
	}
	r := meter.Reading{Epoch: f.name()}
	for _, name := range slices.Sorted(maps.Keys(f.counts)) {
		c := *f.counts[name]
		c.Purposes = maps.Clone(c.Purposes)
		r.Counts = append(r.Counts, c)
	}
	return r, nil
}

func (f *Fake) name() string { return fmt.Sprintf("life%d", f.epoch) }

// Remove implements meter.Kernel.
func (f *Fake) Remove(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return false, f.broken
	}
	removed := f.exists
	f.exists, f.links, f.counts = false, nil, nil
	return removed, nil
}

// Watch implements meter.Kernel.
func (f *Fake) Watch(ctx context.Context, removed func()) error {
	f.mu.Lock()
	f.removed = removed
	f.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Flush takes every table away, as `nft flush ruleset` does.
func (f *Fake) Flush() {
	f.mu.Lock()
	f.exists, f.links, f.counts = false, nil, nil
	tell := f.removed
	f.mu.Unlock()
	if tell != nil {
		tell()
	}
}

// Break makes every verb fail with err until Break(nil).
func (f *Fake) Break(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// Work is how often rules were written and counters read.
func (f *Fake) Work() (applied, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied, f.reads
}

// Pass sends a packet through the table and tells whether it got through.
func (f *Fake) Pass(p Packet) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.links {
		if f.exists && l.Device == p.Device && l.Device != "" {
			return f.judge(l, f.counts[l.Name], p)
		}
	}
	return true // nothing of ours looks at this device
}

func (f *Fake) judge(l model.MeterLink, c *model.MeterCount, p Packet) bool {
	purpose := f.purpose(l, p)
	allow := l.Allow
	if l.UntilEpoch == f.name() && c.Rx+c.Tx+p.Bytes > l.Until {
		allow = l.Then
	}
	pass := allow == nil || slices.Contains(allow, purpose)
	if l.Fence && purpose == model.PurposeNone {
		pass = p.Local && p.Way != Forward
	}
	switch {
	case p.Way == In:
		c.Rx += p.Bytes
		if l.Fence && purpose == model.PurposeNone && !pass {
			c.Unasked += p.Bytes
		}
	case !pass:
		c.Dropped += p.Bytes
		return false
	default:
		c.Tx += p.Bytes
		if p.Flow != "" && purpose != model.PurposeNone {
			f.flows[p.Flow] = model.Mark(l.Number, purpose)
		}
	}
	c.Purposes[purpose.String()] += p.Bytes
	return pass
}

// purpose is what a packet is for: by its own mark, else by its connection's.
func (f *Fake) purpose(l model.MeterLink, p Packet) model.Purpose {
	marks := []uint32{f.flows[p.Flow]}
	if p.Way == Out {
		marks = []uint32{p.Mark, f.flows[p.Flow]}
	}
	if p.Way == Forward {
		return model.PurposeNone
	}
	for _, m := range marks {
		for q := model.PurposeNone + 1; q <= model.LastPurpose; q++ {
			if m&model.MarkMask == model.Mark(l.Number, q) {
				return q
			}
		}
	}
	return model.PurposeNone
}

// String prints the links with what passes and what was counted.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.exists {
		return "no table\n"
	}
	var b strings.Builder
	for _, l := range f.links {
		c := f.counts[l.Name]
		fmt.Fprintf(&b, "%s on %s: fence %t, allowed %v, rx %d tx %d dropped %d unasked %d\n",
			l.Name, l.Device, l.Fence, l.Allow, c.Rx, c.Tx, c.Dropped, c.Unasked)
	}
	return b.String()
}
