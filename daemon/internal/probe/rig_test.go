package probe_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe/probefake"
)

// rig is a driver in a simulated network, in a bubble of its own time.
type rig struct {
	t       *testing.T
	world   *probefake.World
	traffic *probefake.Traffic
	plan    *cell.Cell[model.ProbePlan]
	stop    func()

	mu     sync.Mutex
	events []model.LinkJudged
}

// The peers of the tests, by what they answer.
const (
	server4 = "192.0.2.10"   // everything
	server6 = "2001:db8::10" // everything
	deaf4   = "192.0.2.20"   // TCP only
	mute4   = "192.0.2.30"   // nothing
	dns4    = "10.0.0.53"    // DNS questions
)

func network(seed uint64) *probefake.World {
	w := probefake.New(seed)
	all := probefake.Host{Echo: true, Connect: true}
	w.Host(server4, all)
	w.Host(server6, all)
	w.Host(deaf4, probefake.Host{Connect: true})
	w.Host(dns4, probefake.Host{Query: true})
	w.Name("bank.example", server4, server6)
	for _, device := range []string{"wwan0", "wwan1"} {
		w.Set(device, func(l *probefake.Link) { l.Delay = 40 * time.Millisecond })
	}
	return w
}

// iot is the link that most tests watch.
func iot(change func(*model.ProbeLink)) model.ProbeLink {
	l := model.ProbeLink{Path: model.Path{Link: "iot", Number: 1, Device: "wwan0"}, Metered: true, Targets: []string{server4 + ":9998"}, Carries: true}
	if change != nil {
		change(&l)
	}
	return l
}

// inBubble runs a test with a driver that follows a plan.
func inBubble(t *testing.T, detect model.Detect, links []model.ProbeLink, test func(r *rig)) {
	seeded(t, 1, detect, links, test)
}

func seeded(t *testing.T, seed uint64, detect model.Detect, links []model.ProbeLink, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, world: network(seed), traffic: probefake.NewTraffic()}
		r.plan = cell.New(model.ProbePlan{Detect: string(detect), Links: links}, func(a, b model.ProbePlan) bool { return reflect.DeepEqual(a, b) })
		d := probe.New(probe.Options{Plan: r.plan, World: r.world, Heard: r.traffic, Events: r.event})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		r.stop = func() {
			cancel()
			require.NoError(t, <-ended)
			cancel = func() {}
			ended <- nil
		}
		defer r.stop()
		test(r)
	})
}

func (r *rig) event(e model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e.(model.LinkJudged))
}

// last is what was said last of a link.
func (r *rig) last(link string) model.LinkJudged {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if r.events[i].Link == link {
			return r.events[i]
		}
	}
	return model.LinkJudged{}
}

func (r *rig) count() int {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// bad is how often a link was called unusable.
func (r *rig) bad() (n int) {
	r.count()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if !e.Usable {
			n++
		}
	}
	return n
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// settled waits until iot was judged usable.
func (r *rig) settled() {
	r.pass(10 * time.Second)
	require.True(r.t, r.last("iot").Usable, "%v", r.last("iot"))
}

// until waits for a verdict of iot and says how long it took.
func (r *rig) until(usable bool, atMost time.Duration) time.Duration {
	began := time.Now()
	for r.last("iot").Usable != usable {
		if time.Since(began) > atMost {
			require.Fail(r.t, "no such verdict in time", "usable=%t after %s: %+v\n%s", usable, atMost, r.last("iot"), r.world)
		}
		r.pass(10 * time.Millisecond)
	}
	return time.Since(began)
}

// change changes the plan.
func (r *rig) change(f func(*model.ProbePlan)) {
	p := r.plan.Get()
	p.Links = append([]model.ProbeLink(nil), p.Links...)
	f(&p)
	r.plan.Set(p)
	synctest.Wait()
}

func (r *rig) set(f func(*probefake.Link)) { r.world.Set("wwan0", f) }

func (r *rig) shots() int {
	n, _ := r.world.Sent("wwan0")
	return n
}
