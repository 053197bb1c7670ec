package ionmesh

import "time"

// Times of retries and beats. Routers that lost the orchestrator together come
// back together: whatever follows a failure is drawn from the whole span (full
// jitter), and beats drift apart by themselves.
const (
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
	// startSpread is the span of the first registration after a start: a power
	// cut ends for a whole region at once, and a card is wanted soon.
	startSpread = 3 * time.Second
	// reopenSpread is the span in which a lean connection is opened again that its
	// other end has closed: nothing is due before the next beat.
	reopenSpread = 2 * time.Minute
	// sharedWait bounds what is added to a Retry-After, which many got at once.
	sharedWait = 5 * time.Minute
	// A lean connection that could not be had is tried again after leanRetry,
	// doubled each time up to lastLeanRetry: each try costs a TLS handshake.
	leanRetry     = 5 * time.Minute
	lastLeanRetry = 6 * time.Hour
	// leanLife is when a lean connection is made anew: certificates and keys are
	// renewed by then, and it bounds what one lost state can do.
	leanLife = 24 * time.Hour
	// discoverLife is how long an answer of discover counts.
	discoverLife = 24 * time.Hour
)

// chance gives a number of 0..1.
type chance func() float64

// retry is how long to wait after a number of failures in a row, from 1.
func retry(failures int, c chance) time.Duration {
	span := lastRetry
	if failures < 9 {
		span = min(span, firstRetry<<(failures-1))
	}
	return max(100*time.Millisecond, part(span, c))
}

// after is how long to wait when the orchestrator has named a time.
func after(stated time.Duration, c chance) time.Duration {
	return stated + part(min(max(stated, time.Second), sharedWait), c)
}

// nextBeat is an interval with a twentieth more or less. A lease is renewed three
// times before it ends.
func nextBeat(interval, lease time.Duration, leased bool, c chance) time.Duration {
	if leased {
		interval = min(interval, max(minInterval, lease/3))
	}
	return interval - interval/20 + part(interval/10, c)
}

// leanPause is how long not to try a lean connection after failures in a row.
func leanPause(failures int, c chance) time.Duration {
	span := lastLeanRetry
	if failures < 8 {
		span = min(span, leanRetry<<(failures-1))
	}
	return span/2 + part(span/2, c)
}

func part(span time.Duration, c chance) time.Duration { return time.Duration(c() * float64(span)) }
