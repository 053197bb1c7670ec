package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Times of a watcher.
const (
	// numbersEvery is how often numbers alone are told.
	numbersEvery = 10 * time.Second
	// sample is how long a device's counter is looked at: traffic that comes now
	// proves the link.
	sample = time.Second
	// unprovenFactor stretches Silence where nothing ever answered.
	unprovenFactor = 6
	// otherEvery is how many Silences pass before a family that is not in use is
	// asked.
	otherEvery = 10
	// namesOld is when names of an unusable link are looked up again.
	namesOld = 10 * time.Minute
	// recent is how long before a connection breaks something must have been heard
	// for the link to be out of suspicion.
	recent = time.Second
	// maxBursts in a row settle doubts.
	maxBursts = 3
)

// assignment is what a watcher has to do.
type assignment struct {
	link       model.ProbeLink
	probing    model.Probing
	generation int64
}

// watcher watches one link over one path.
type watcher struct {
	driver *Driver
	name   string
	path   model.Path
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex
	next assignment
	told time.Time // a connection owes an answer or broke; zero: seen to

	// Below: only its goroutine.
	job        assignment
	families   [2]view
	names      map[string][]netip.Addr
	resolved   time.Time // when they were looked up
	unresolved bool      // one of them has no address
	good       time.Time // last sign of life that a probe or a counter gave
	flowed     bool      // and it was a counter
	guessed    bool      // no probe was ever answered: judged by what is overdue
	overdue    bool      // while guessed: something is
	counted    bool      // before holds the device's counter
	before     uint64
	bursted    time.Time
	suspects   time.Time     // when to look into what is owed; zero: nothing is
	owed       time.Time     // what the last suspected burst was for
	patience   time.Duration // before the same is looked into again
	tried      time.Time     // last, while unusable
	retry      time.Duration
	said       model.LinkJudged
}

// watch starts a watcher. It begins with what was said of the link before, over
// another path.
func (d *Driver) watch(ctx context.Context, a assignment, said model.LinkJudged) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{driver: d, name: a.link.Path.Link, path: a.link.Path, wake: make(chan struct{}, 1), cancel: cancel,
		next: a, names: make(map[string][]netip.Addr), said: said}
	w.done.Go(func() { w.run(ctx) })
	return w
}

// end stops the watcher and waits for it.
func (w *watcher) end() {
	w.cancel()
	w.done.Wait()
}

// follows tells whether the watcher can go on with l.
func (w *watcher) follows(l model.ProbeLink) bool { return w.path.Same(l.Path) }

func (w *watcher) assign(a assignment) {
	w.mu.Lock()
	w.next = a
	w.mu.Unlock()
	w.nudge()
}

func (w *watcher) tell() {
	w.mu.Lock()
	w.told = time.Now()
	w.mu.Unlock()
	w.nudge()
}

func (w *watcher) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (w *watcher) take() (told time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.job, told, w.told = w.next, w.told, time.Time{}
	return told
}

func (w *watcher) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	w.take()
	if !w.job.link.Quiet {
		w.find(ctx)
		w.check(ctx)
	}
	for {
		if ctx.Err() != nil {
			return
		}
		w.report()
		timer.Stop()
		if at := w.wakeAt(); !at.IsZero() {
			timer.Reset(max(0, time.Until(at)))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		w.step(ctx)
	}
}

// step sees to whatever is due.
func (w *watcher) step(ctx context.Context) {
	before := w.job
	told := w.take()
	now := time.Now()
	heard := w.driver.opts.Heard.Heard(w.name)
	owed := w.driver.opts.Heard.Unanswered(w.name)
	if w.overdue && !heard.Before(w.bursted) {
		w.overdue = false
	}
	if w.job.link.Quiet {
		w.listen(now, owed)
		return
	}
	renamed := !sameHosts(before.link, w.job.link) || before.link.Quiet
	if renamed {
		w.find(ctx)
	}
	usable := w.usable()
	due := w.due(heard)
	switch suspected := w.suspicion(now, owed, heard, told); {
	case usable && suspected:
		w.suspect(ctx, owed)
	case renamed || w.job.generation != before.generation:
		w.lookNow(ctx, usable)
	case usable && !now.Before(due):
		w.checkUnlessFlowing(ctx)
	case usable && !now.Before(due.Add(-sample)):
		w.count()
	case !usable && (!now.Before(w.tried.Add(w.retry)) || heard.After(w.tried)):
		w.tryAgain(ctx)
	}
}

func (w *watcher) lookNow(ctx context.Context, usable bool) {
	if usable {
		w.check(ctx)
	} else {
		w.retry = 0
		w.tryAgain(ctx)
	}
}

// suspicion tells that something is wrong with a link that was good: an answer is
// overdue, or a connection broke after nothing was heard for a while.
func (w *watcher) suspicion(now, owed, heard, told time.Time) bool {
	p := w.job.probing
	w.suspects = time.Time{}
	if owed.IsZero() {
		w.owed, w.patience = time.Time{}, 0
		return !told.IsZero() && heard.Before(told.Add(-recent)) && now.Sub(w.bursted) >= p.Suspect
	}
	at := owed.Add(p.Suspect)
	if owed.Equal(w.owed) {
		at = latest(at, w.bursted.Add(w.patience))
	}
	if now.Before(at) {
		w.suspects = at
		return false
	}
	return true
}

// suspect looks into it at once. What is owed for long while the probes are
// answered is the peer's doing, and looked into less and less.
func (w *watcher) suspect(ctx context.Context, owed time.Time) {
	p := w.job.probing
	w.patience = min(max(2*w.patience, p.Suspect), max(p.Silence, p.Suspect))
	if !owed.Equal(w.owed) {
		w.patience = p.Suspect
	}
	w.owed = owed
	w.settle(ctx, true)
	w.overdue = w.guessed && !owed.IsZero() && !w.driver.opts.Heard.Unanswered(w.name).IsZero()
	if !owed.IsZero() {
		w.suspects = w.bursted.Add(w.patience)
	}
}

// wakeAt is when the watcher has to look by itself; zero: when it is told.
func (w *watcher) wakeAt() time.Time {
	if w.job.link.Quiet {
		return w.suspects
	}
	if !w.usable() {
		return w.tried.Add(w.retry)
	}
	at := w.due(w.driver.opts.Heard.Heard(w.name))
	if _, countable := w.driver.opts.World.Received(w.path.Device); countable && !w.counted {
		at = at.Add(-sample)
	}
	if !w.suspects.IsZero() && w.suspects.Before(at) {
		return w.suspects
	}
	return at
}

// due is when a usable link has been silent for too long.
func (w *watcher) due(heard time.Time) time.Time {
	silence := w.job.probing.Silence
	if w.guessed {
		silence *= unprovenFactor
	}
	return latest(latest(w.good, heard), w.bursted).Add(silence)
}

// listen judges a link on which nothing may be sent. One that is bad is thought
// good again after a while, or nothing would ever show that it is.
func (w *watcher) listen(now, owed time.Time) {
	bad := !w.usable()
	w.guessed, w.suspects = true, time.Time{}
	for f := range w.families {
		w.families[f].health = health{}
	}
	p := w.job.probing
	switch at := owed.Add(p.Busy()); {
	case bad && !w.overdue:
		w.overdue, w.bursted = true, now
	case bad && now.Before(w.bursted.Add(p.RetryMost)):
	case bad:
		w.overdue = false
	case owed.IsZero():
	case now.Before(at):
		w.suspects = at
	default:
		w.overdue, w.bursted = true, now
	}
	if w.overdue {
		w.suspects = w.bursted.Add(p.RetryMost)
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
