package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// view is one address family of the link.
type view struct {
	health
	targets []target
	why     string    // in words, of the last look
	looked  time.Time // last
}

// group is the shots of one kind to one target in one burst.
type group struct {
	family family
	target target
	kind   Kind
	out    []outcome
	err    error // of the last shot that was lost
	num    int   // shots
	// instead: this one counts only if that one is complete and got no answer.
	instead *group
}

func (g *group) lost() int      { return lostOf(g.out) }
func (g *group) answered() int  { return len(g.out) - g.lost() }
func (g *group) complete() bool { return len(g.out) == g.num }

// counts tells that the group may speak for its target.
func (g *group) counts() bool {
	return g.instead == nil || g.instead.complete() && g.instead.answered() == 0
}

// decided tells that what is still under way cannot change the verdict.
func (g *group) decided(limit int) bool { return g.complete() || g.lost()*100 >= limit*g.num }

// lose notes a shot that was lost. Where there is no route the others are too.
func (g *group) lose() {
	n := 1
	if errors.Is(g.err, ErrNoRoute) {
		n = g.num
	}
	for range n {
		if !g.complete() {
			g.out = append(g.out, outcome{lost: true})
		}
	}
}

// single asks one target of a family once; lost is false if it answered. One that
// has never answered is asked in every way that is allowed.
func (w *watcher) single(ctx context.Context, f family) (lost bool) {
	t, ok := w.first(f)
	if !ok {
		return true
	}
	v := &w.families[f]
	v.looked = time.Now()
	kinds := w.kinds(t)
	if v.known && !v.usable && !t.dns && t.addr.Port() != 0 {
		kinds = []Kind{Echo, Connect} // it may have become deaf to one of them
	}
	var groups []*group
	for _, k := range kinds {
		groups = append(groups, &group{family: f, target: t, kind: k, num: 1})
	}
	w.shoot(ctx, groups, func() bool { return groups[0].answered() > 0 })
	g := best(groups, f, t.dns, w.proven)
	if ctx.Err() != nil || g == nil {
		return true
	}
	if lost = g.lost() > 0; !lost {
		w.driver.learn(t.addr.Addr(), g.kind)
	}
	if v.usable || !v.known {
		v.single(g.out[0])
	}
	if !lost {
		w.good, v.why = time.Now(), t.addr.Addr().String()+" answers"
	}
	return lost
}

// burst asks several targets in both families. again asks for another one.
func (w *watcher) burst(ctx context.Context, suspected bool) (again bool) {
	limit := burstLoss
	if suspected {
		limit = suspectedLoss
	}
	var groups []*group
	for f := range w.families {
		w.families[f].looked = time.Now()
		for _, t := range w.families[f].targets {
			groups = append(groups, w.groups(family(f), t)...)
		}
	}
	w.shoot(ctx, groups, func() bool { return w.enough(groups, limit) })
	if ctx.Err() != nil {
		return false
	}
	w.guessed = true
	for f := range w.families {
		again = w.judge(family(f), groups, suspected) || again
	}
	return again
}

// enough tells that what is still under way in a burst need not be waited for:
// everything is decided, or a peer is reached without any loss and it is clear
// what has become of the other family.
func (w *watcher) enough(groups []*group, limit int) bool {
	all, known, clean := true, true, false
	for _, g := range groups {
		is := g.decided(limit)
		if g.instead != nil && g.answered() > 0 && g.instead.answered() == 0 && !g.instead.complete() {
			is = false // the one that it stands in for may be late
		}
		v := &w.families[g.family]
		all = all && is
		known = known && (is || !v.known || !v.usable || !w.proven(g.target))
		clean = clean || g.complete() && g.lost() == 0 && !g.target.dns && g.instead == nil
	}
	return all || clean && known
}

// groups are the shots of a burst at one target. A peer that may be asked by echo
// and by connection is also asked the way that it is not known for: it may have
// become deaf to the other.
func (w *watcher) groups(f family, t target) (out []*group) {
	kinds := w.kinds(t)
	for _, k := range kinds {
		out = append(out, &group{family: f, target: t, kind: k, num: w.job.probing.Probes})
	}
	if len(kinds) == 1 && !t.dns && t.addr.Port() != 0 {
		other := Echo
		if kinds[0] == Echo {
			other = Connect
		}
		out = append(out, &group{family: f, target: t, kind: other, num: spares, instead: out[0]})
	}
	return out
}

// spares are how many probes of the other kind a burst has.
const spares = 2

// judge takes in what a burst told of one family: by the peer that answered
// best. Silence counts of those that have answered once. If no peer ever did, the
// DNS server stands in.
func (w *watcher) judge(f family, groups []*group, suspected bool) (again bool) {
	v := &w.families[f]
	peer, dns := best(groups, f, false, w.proven), best(groups, f, true, w.proven)
	g := peer
	if g == nil {
		g = dns
	}
	switch {
	case g == nil:
		v.health, v.why = health{}, w.unprovenWords(f, groups)
		return false
	case g.answered() == 0 && !g.decided(suspectedLoss):
		return false // the other family was quicker
	}
	w.guessed = false
	again = v.burst(g.out, g.num, suspected)
	if g.answered() > 0 {
		w.good = time.Now()
		w.driver.learn(g.target.addr.Addr(), g.kind)
	}
	v.why = w.words(v, g, dns)
	return again
}

// best is the group of a family that tells most: the one with the fewest losses
// among the targets that answer, now or ever.
func best(groups []*group, f family, dns bool, proven func(target) bool) (found *group) {
	for _, g := range groups {
		if g.family != f || g.target.dns != dns || len(g.out) == 0 || !g.counts() || g.answered() == 0 && !proven(g.target) {
			continue
		}
		if found == nil || g.lost()*found.num < found.lost()*g.num {
			found = g
		}
	}
	return found
}

// shoot sends all shots of groups, spaced, and takes their outcomes until enough
// says so or all are in.
func (w *watcher) shoot(ctx context.Context, groups []*group, enough func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		g   *group
		rtt time.Duration
		err error
	}
	shots := 0
	for _, g := range groups {
		shots += g.num
	}
	results := make(chan result, shots)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if shots == 0 {
		return
	}
	via, p := w.job.link.Path, w.job.probing
	for _, g := range groups {
		for i := range g.num {
			wg.Go(func() {
				if !pause(ctx, time.Duration(i)*p.Spacing) {
					results <- result{g, 0, ctx.Err()}
					return
				}
				ctx, cancel := context.WithTimeout(ctx, p.Wait)
				defer cancel()
				rtt, err := w.driver.opts.World.Shoot(ctx, Shot{Via: via, Kind: g.kind, To: g.target.addr})
				results <- result{g, rtt, err}
			})
		}
	}
	for range shots {
		r := <-results
		switch {
		case errors.Is(r.err, context.Canceled):
			return
		case r.err != nil:
			r.g.err = r.err
			r.g.lose()
		default:
			if !r.g.complete() {
				r.g.out = append(r.g.out, outcome{rtt: r.rtt})
			}
		}
		if enough() {
			return
		}
	}
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// words say how a family does.
func (w *watcher) words(v *view, g, dns *group) string {
	host := g.target.addr.Addr().String()
	switch {
	case v.usable && !v.lossyNow():
		return host + " answers"
	case v.usable:
		return fmt.Sprintf("%s answers, %.0f %% of the probes are lost", host, v.loss()*100)
	case g.answered() > 0:
		return fmt.Sprintf("%.0f %% of the probes to %s are lost", 100*float64(g.lost())/float64(len(g.out)), host)
	case errors.Is(g.err, ErrNoRoute):
		return "no route to " + host
	case dns != nil && dns != g && dns.answered() > 0:
		return fmt.Sprintf("no answer from %s; the DNS server of the link answers", host)
	}
	return fmt.Sprintf("no answer from %s within %s", host, seconds(w.job.probing.Wait))
}

func (h *health) lossyNow() bool { return h.loss() > 0 }

// unprovenWords say why a family was not judged.
func (w *watcher) unprovenWords(f family, groups []*group) string {
	for _, g := range groups {
		if g.family == f && errors.Is(g.err, ErrNotAllowed) {
			return ErrNotAllowed.Error()
		}
	}
	if len(w.families[f].targets) == 0 {
		return ""
	}
	return "no host that is known to answer probes"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }

// report is a family for an event.
func (v *view) report() model.FamilyHealth {
	return model.FamilyHealth{Known: v.known, Usable: v.known && v.usable, Loss: v.loss(), RTT: v.rtt()}
}
