package probe

import (
	"context"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// check asks with a single probe whether a link is alive, in the family that was
// asked longest ago; a burst settles it if that one is lost.
func (w *watcher) check(ctx context.Context) {
	w.counted, w.flowed = false, false
	if w.stale() {
		w.find(ctx)
	}
	f, any := w.pick()
	if !any || !w.carrier() || w.single(ctx, f) {
		w.settle(ctx, false)
		return
	}
	if other := 1 - f; w.idle(other) && !w.single(ctx, other) {
		w.settle(ctx, false)
	}
}

// pick is the family for a single probe: one that is usable, or was never asked.
func (w *watcher) pick() (found family, any bool) {
	for f := range w.families {
		v := &w.families[f]
		if len(v.targets) == 0 || !v.usable && !v.looked.IsZero() {
			continue
		}
		if !any || v.looked.Before(w.families[found].looked) {
			found, any = family(f), true
		}
	}
	return found, any
}

// idle tells that a family that is not in use is to be asked: it may have come.
func (w *watcher) idle(f family) bool {
	v := &w.families[f]
	return len(v.targets) > 0 && !v.usable && !v.looked.IsZero() && time.Since(v.looked) >= otherEvery*w.job.probing.Silence
}

// settle sends bursts until there is no doubt.
func (w *watcher) settle(ctx context.Context, suspected bool) {
	w.counted, w.flowed = false, false
	if w.carrier() {
		for range maxBursts {
			if !w.burst(ctx, suspected) {
				break
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	w.bursted, w.tried, w.retry = time.Now(), time.Now(), w.job.probing.Retry
}

// carrier tells whether the device has one; without it no family is usable.
func (w *watcher) carrier() bool {
	if w.driver.opts.World.Carrier(w.path.Device) {
		return true
	}
	w.guessed = false
	for f := range w.families {
		v := &w.families[f]
		v.health = health{known: true}
		v.why = "the device has no carrier"
	}
	return false
}

// tryAgain looks whether an unusable link is back.
func (w *watcher) tryAgain(ctx context.Context) {
	w.tried, w.retry = time.Now(), min(max(2*w.retry, w.job.probing.Retry), w.job.probing.RetryMost)
	if !w.carrier() {
		return
	}
	if time.Since(w.resolved) >= namesOld {
		w.find(ctx)
	}
	alive := false
	for f := range w.families {
		alive = !w.single(ctx, family(f)) || alive
	}
	if !alive {
		return
	}
	retry := w.retry
	w.settle(ctx, false)
	if !w.usable() {
		w.retry = retry // it goes on as it was
	}
}

// checkUnlessFlowing checks a link unless packets come in just now.
func (w *watcher) checkUnlessFlowing(ctx context.Context) {
	if n, ok := w.driver.opts.World.Received(w.path.Device); ok && w.counted && n > w.before && !w.guessed {
		w.counted, w.flowed, w.good = false, true, time.Now()
		return
	}
	w.check(ctx)
}

// count keeps the device's counter for checkUnlessFlowing.
func (w *watcher) count() {
	if n, ok := w.driver.opts.World.Received(w.path.Device); ok {
		w.before, w.counted = n, true
	}
}

// usable is the verdict: one family is enough. If no probe was ever answered, a
// link is good for as long as nothing is overdue on it.
func (w *watcher) usable() bool {
	known := false
	for f := range w.families {
		v := &w.families[f]
		if known = known || v.known; v.known && v.usable {
			return true
		}
	}
	return !known && !w.overdue
}

// reason is the verdict in words.
func (w *watcher) reason(usable bool) string {
	a, b := w.families[four], w.families[six]
	switch {
	case !a.known && !b.known && w.overdue:
		return "an answer is overdue, and there are no probes to tell why"
	case !a.known && !b.known && w.job.link.Quiet:
		return "judged by its traffic alone: its budget is used up"
	case !a.known && !b.known:
		return "judged by its traffic alone: " + orElse(orElse(a.why, b.why), "there is nobody to ask")
	case w.flowed && usable:
		return "traffic comes in"
	case a.known && a.usable == usable && (!b.known || usable || a.why == b.why):
		return a.why
	case b.known && b.usable == usable && (!a.known || usable):
		return b.why
	}
	return a.why + "; " + b.why
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// report tells what is thought, if it is news.
func (w *watcher) report() {
	now := time.Now()
	usable := w.usable()
	j := model.LinkJudged{At: model.At{Time: now}, Link: w.name, Usable: usable, Reason: w.reason(usable),
		LastGood: latest(w.good, w.driver.opts.Heard.Heard(w.name)),
		V4:       w.families[four].report(), V6: w.families[six].report()}
	j.Passive = w.flowed || !j.V4.Known && !j.V6.Known
	old := w.said
	switch {
	case old.When().IsZero(), old.Usable != j.Usable, old.Passive != j.Passive && !usable,
		verdictOf(old.V4) != verdictOf(j.V4), verdictOf(old.V6) != verdictOf(j.V6):
	case now.Sub(old.When()) >= numbersEvery && (old.Reason != j.Reason || moved(old.V4, j.V4) || moved(old.V6, j.V6)):
	default:
		return
	}
	w.said = j
	w.driver.opts.Events(j)
}

// verdictOf is a family without its numbers.
func verdictOf(h model.FamilyHealth) [2]bool { return [2]bool{h.Known, h.Usable} }

// moved tells that numbers have changed by more than noise.
func moved(a, b model.FamilyHealth) bool {
	const noise = 5 * time.Millisecond
	return a.Loss != b.Loss || (a.RTT-b.RTT).Abs() > max(noise, a.RTT/5)
}
