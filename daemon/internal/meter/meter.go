// Package meter counts what the links carry, per purpose, and fences metered
// links, with one nftables table that is ours (`inet remsim`). Purposes come
// from the marks of our own packets and are kept in the mark of the connection,
// in our bits only. It never decides what may pass, never touches a table of
// somebody else, and leaves its table in place when it ends: counters and
// fences outlive the daemon until `remsim cleanup`.
package meter

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Conditions that a caller tells apart.
var (
	// ErrNoTable: the table does not exist, or is not one that this version made.
	ErrNoTable = errors.New("there is no table of ours")
	// ErrNoProgram: nft is not installed.
	ErrNoProgram = errors.New("is not installed (package nftables-json)")
)

// Reading is what the counters say.
type Reading struct {
	Epoch  string // names the table's life: another one counts from 0
	Counts []model.MeterCount
}

// Kernel are the verbs of the packet filter.
type Kernel interface {
	// Apply makes the table hold exactly the rules for links, all at once. The
	// counters of links that stay go on.
	Apply(ctx context.Context, links []model.MeterLink) error
	// Read reads the counters; ErrNoTable if the table is gone.
	Read(ctx context.Context) (Reading, error)
	// Remove takes the table away and tells whether there was one.
	Remove(ctx context.Context) (removed bool, err error)
	// Watch calls removed whenever a table of the packet filter was deleted,
	// whoever owned it, until ctx ends.
	Watch(ctx context.Context, removed func()) error
}

// Readings are a process each, so they are rare: a minute after bytes were
// seen, then twice as long each time that nothing was, up to slowest. A limit
// does not wait for them: the packet filter keeps to it.
const (
	often   = time.Minute
	slowest = 8 * time.Minute
)

// settle is how long the packet filter is left alone after a table was deleted:
// a firewall that loads its rules anew is at work.
const settle = 200 * time.Millisecond

// Options make a meter.
type Options struct {
	Kernel Kernel
	Plan   *cell.Cell[model.MeterPlan]
	Events func(model.Event)
}

// Meter is the driver. Make it with New, run it with Run.
type Meter struct {
	opts Options

	// Below: only the goroutine of Run touches these.
	applied []model.MeterLink // what the table holds; nil: not known
	last    Reading
	reason  string
	pause   time.Duration // until the next reading; 0: none
}

// New makes a meter.
func New(o Options) *Meter { return &Meter{opts: o} }

// Run keeps the table as planned and reports the counters until ctx ends.
func (m *Meter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	removed, watching := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(watching)
		// Without notifications the next reading finds the table gone.
		_ = m.opts.Kernel.Watch(ctx, func() {
			select {
			case removed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { cancel(); <-watching }()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		m.follow(ctx, m.opts.Plan.Get())
		if m.pause > 0 {
			timer.Reset(m.pause)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.opts.Plan.Changed():
		case <-timer.C:
		case <-removed:
			if !sleep(ctx, settle) {
				return nil
			}
		}
	}
}

// sleep waits for d and tells whether ctx is still on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// follow brings the table to the plan and reads it.
func (m *Meter) follow(ctx context.Context, plan model.MeterPlan) {
	switch {
	case plan.Links == nil:
		m.pause = 0
		return
	case len(plan.Links) == 0:
		m.clear(ctx)
		return
	}
	var r Reading
	err := m.apply(ctx, plan.Links)
	if err == nil {
		r, err = m.opts.Kernel.Read(ctx)
	}
	if errors.Is(err, ErrNoTable) { // somebody has flushed the whole ruleset
		m.applied = nil
		if err = m.apply(ctx, plan.Links); err == nil {
			r, err = m.opts.Kernel.Read(ctx)
		}
	}
	if ctx.Err() == nil {
		m.tell(r, err)
	}
}

// clear takes the table away once nothing is counted.
func (m *Meter) clear(ctx context.Context) {
	m.pause = 0
	if m.applied != nil && len(m.applied) == 0 {
		return
	}
	if _, err := m.opts.Kernel.Remove(ctx); err != nil {
		m.applied = nil // tried again with the next change
		m.tell(Reading{}, err)
		m.pause = slowest
		return
	}
	m.applied, m.last, m.reason = []model.MeterLink{}, Reading{}, ""
	m.opts.Events(model.Metered{At: model.At{Time: time.Now()}})
}

// apply changes the table if it differs.
func (m *Meter) apply(ctx context.Context, links []model.MeterLink) error {
	if m.applied != nil && reflect.DeepEqual(m.applied, links) {
		return nil
	}
	m.applied = nil
	if err := m.opts.Kernel.Apply(ctx, links); err != nil {
		return err
	}
	m.applied = links
	return nil
}

// tell reports what is new and chooses when to look again.
func (m *Meter) tell(r Reading, err error) {
	if err != nil {
		m.pause = min(max(2*m.pause, often), slowest)
		if m.reason != err.Error() {
			m.reason = err.Error()
			m.opts.Events(model.Metered{At: model.At{Time: time.Now()}, Epoch: m.last.Epoch, Counts: m.last.Counts, Reason: m.reason})
		}
		return
	}
	same := m.reason == "" && reflect.DeepEqual(r, m.last)
	m.reason, m.last = "", r
	if same {
		m.pause = min(max(2*m.pause, often), slowest)
		return
	}
	m.pause = often
	m.opts.Events(model.Metered{At: model.At{Time: time.Now()}, Epoch: r.Epoch, Counts: r.Counts})
}
