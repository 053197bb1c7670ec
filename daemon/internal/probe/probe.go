// Package probe judges whether each link reaches the control peers: by what flows
// over it anyway, and by probes of its own when nothing does or when an answer is
// overdue. It sends nothing while a link speaks for itself, has no ticker, and
// never decides what a link is used for.
//
// One goroutine watches one link. It sleeps until the link has been silent for
// model.Probing.Silence, until an answer is overdue, or until an unusable link is
// due to be tried again. A single probe is sent; if that is lost, a burst to
// several peers in both address families decides (judge.go has the thresholds).
package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Options say what to watch.
type Options struct {
	Plan  *cell.Cell[model.ProbePlan]
	World World
	Heard Heard // nil: nothing is known for nothing
	// Events is told what is thought of the links, from several goroutines.
	Events func(model.Event)
}

// Driver watches links. Make it with New.
type Driver struct {
	opts Options

	mu       sync.Mutex
	watchers map[string]*watcher // by link
	answers  map[netip.Addr]Kind // how an address has answered once, over whatever link
}

// New makes a driver; Run starts it.
func New(o Options) *Driver {
	if o.Heard == nil {
		o.Heard = deaf{}
	}
	return &Driver{opts: o, watchers: make(map[string]*watcher), answers: make(map[netip.Addr]Kind)}
}

// Run watches until ctx ends and then returns nil.
func (d *Driver) Run(ctx context.Context) error {
	stop := d.opts.Heard.Subscribe(d.tell)
	defer stop()
	defer d.reconcile(ctx, model.ProbePlan{}, false)
	for {
		d.reconcile(ctx, d.opts.Plan.Get(), true)
		select {
		case <-ctx.Done():
			return nil
		case <-d.opts.Plan.Changed():
		}
	}
}

// reconcile has one watcher for each link of the plan. A link that is not in it
// any more is down, which is said if say is set.
func (d *Driver) reconcile(ctx context.Context, plan model.ProbePlan, say bool) {
	wanted := make(map[string]model.ProbeLink)
	for _, l := range plan.Links {
		if l.Path.Link != "" && l.Path.Device != "" {
			wanted[l.Path.Link] = l
		}
	}
	d.mu.Lock()
	var gone []*watcher
	for name, w := range d.watchers {
		if l, still := wanted[name]; !still || !w.follows(l) {
			delete(d.watchers, name)
			gone = append(gone, w)
		}
	}
	d.mu.Unlock()
	last := make(map[string]model.LinkJudged)
	for _, w := range gone {
		w.end()
		last[w.name] = w.said
		if _, still := wanted[w.name]; !still && say {
			d.opts.Events(model.LinkJudged{At: model.At{Time: time.Now()}, Link: w.name, Reason: "it is down", LastGood: w.said.LastGood})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, l := range wanted {
		a := assignment{link: l, probing: model.Detect(plan.Detect).Probing(l.Metered), generation: plan.Generation}
		if w := d.watchers[name]; w != nil {
			w.assign(a)
		} else {
			d.watchers[name] = d.watch(ctx, a, last[name])
		}
	}
}

// tell wakes the watcher of a link that comes to owe an answer, or of which a
// connection broke.
func (d *Driver) tell(link string) {
	d.mu.Lock()
	w := d.watchers[link]
	d.mu.Unlock()
	if w != nil {
		w.tell()
	}
}

// learn notes that an address answers a kind of probes: from then on its silence
// means something.
func (d *Driver) learn(a netip.Addr, k Kind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[a] = k
}

// howAnswers is the kind of probes that an address is known to answer.
func (d *Driver) howAnswers(a netip.Addr) (k Kind, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, known = d.answers[a]
	return k, known
}

// deaf hears nothing.
type deaf struct{}

func (deaf) Heard(string) time.Time               { return time.Time{} }
func (deaf) Unanswered(string) time.Time          { return time.Time{} }
func (deaf) Subscribe(func(string)) (stop func()) { return func() {} }
