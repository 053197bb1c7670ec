package probe

import "time"

// Thresholds. An answer that comes later than model.Probing.Wait counts as lost.
const (
	// windowSize is how many of the last probes loss is told from.
	windowSize = 10
	// Per cent of a burst that may not be lost: of one sent because an answer was
	// overdue, which says that something is wrong, and of any other.
	suspectedLoss = 40
	burstLoss     = 60
	// windowLoss of a full window likewise.
	windowLoss = 50
	// trialLoss is what may be lost at the most before an unusable family is
	// usable again, of trialSilent probes after silence, of trialLossy after loss.
	trialLoss   = 20
	trialSilent = 5
	trialLossy  = 10
)

// outcome is how one probe ended.
type outcome struct {
	lost bool
	rtt  time.Duration
}

// health is what is thought of one address family of a link. It is fed with
// outcomes and has no clock.
type health struct {
	known  bool // it was judged
	usable bool
	lossy  bool      // unusable for loss; else for silence
	window []outcome // the newest last
	trial  []outcome // while unusable: what speaks for it
}

// single takes in one probe that was sent to see whether the link is alive. One
// that was lost proves nothing: a burst follows.
func (h *health) single(o outcome) {
	h.add(o)
	if !o.lost && !h.known {
		h.known, h.usable = true, true
	}
}

// burst takes in a burst of n probes of which out are known to have ended; the
// rest was not waited for. again asks for another one at once, since this one
// leaves doubts.
func (h *health) burst(out []outcome, n int, suspected bool) (again bool) {
	lost := lostOf(out)
	for _, o := range out {
		h.add(o)
	}
	if h.known && !h.usable {
		return h.try(out, n)
	}
	limit := burstLoss
	if suspected {
		limit = suspectedLoss
	}
	bad := lost*100 >= limit*n || len(h.window) == windowSize && lostOf(h.window)*100 >= windowLoss*windowSize
	h.known, h.usable = true, !bad
	if bad {
		h.lossy, h.trial = lost < len(out), nil
	}
	return !bad && lost > 0
}

// try gathers what speaks for an unusable family.
func (h *health) try(out []outcome, n int) (again bool) {
	lost := lostOf(out)
	if lost == len(out) {
		h.lossy, h.trial = false, nil
		return false
	}
	h.lossy = h.lossy || lost*100 > trialLoss*n
	h.trial = append(h.trial, out...)
	need := trialSilent
	if h.lossy {
		need = trialLossy
	}
	switch {
	case lostOf(h.trial)*100 > trialLoss*need:
		h.trial = nil
		return false
	case len(h.trial) < need:
		return true
	}
	h.usable, h.lossy, h.trial, h.window = true, false, nil, append([]outcome(nil), h.trial...)
	h.trim()
	return false
}

func (h *health) add(o outcome) {
	h.window = append(h.window, o)
	h.trim()
}

func (h *health) trim() {
	if n := len(h.window) - windowSize; n > 0 {
		h.window = append(h.window[:0], h.window[n:]...)
	}
}

// loss is the share of the window that was lost, rtt the mean of what was not.
func (h *health) loss() float64 {
	if len(h.window) == 0 {
		return 0
	}
	return float64(lostOf(h.window)) / float64(len(h.window))
}

func (h *health) rtt() (mean time.Duration) {
	answered := time.Duration(len(h.window) - lostOf(h.window))
	for _, o := range h.window {
		mean += o.rtt
	}
	if answered > 0 {
		return mean / answered
	}
	return 0
}

func lostOf(list []outcome) (n int) {
	for _, o := range list {
		if o.lost {
			n++
		}
	}
	return n
}
