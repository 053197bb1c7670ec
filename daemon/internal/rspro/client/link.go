package client

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Back-off: the first retry within a second, then twice as long up to half a
// minute, all of it jitter, so that a bank that comes back is not met by all its
// clients at once.
const (
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	// minBackoff gives a bank the time to see our FIN and let go of the card.
	minBackoff = 50 * time.Millisecond
)

// backoff is the wait before retry number attempt, counted from 0.
func backoff(attempt int, jitter float64) time.Duration {
	limit := maxBackoff
	if attempt < 5 {
		limit = min(limit, firstBackoff<<attempt)
	}
	return max(minBackoff, time.Duration(jitter*float64(limit)))
}

// link keeps one connection of a session: it connects, retries, moves and
// closes. At most one connection exists at a time.
type link struct {
	s       *Session
	kind    model.PeerKind
	newPeer func(*conn, *target) peer
	wake    chan struct{} // holds one: want has changed, or hurry
	idle    string        // the reason last told for wanting nothing; of run

	mu      sync.Mutex
	want    *target
	why     string // why want is nil
	cancel  context.CancelCauseFunc
	live    *conn // registered with the peer
	hurried bool  // the next retry shall not wait
}

func newLink(s *Session, kind model.PeerKind, newPeer func(*conn, *target) peer) *link {
	return &link{s: s, kind: kind, newPeer: newPeer, wake: make(chan struct{}, 1)}
}

// set says what to reach. What is equal changes nothing; anything else ends the
// connection there is.
func (l *link) set(t *target, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = why
	if t.equal(l.want) {
		return
	}
	l.want = t
	if l.cancel != nil {
		cause := error(errMoved)
		switch {
		case t == nil:
			cause = &fault{text: why, cause: errMoved}
		case t.stranded:
			cause = errStranded
		}
		l.cancel(cause)
	}
	l.poke()
}

// hurry ends a wait between two attempts, or spares the one that follows if the
// present attempt fails.
func (l *link) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == nil {
		l.hurried = true
		l.poke()
	}
}

func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// wanted is what to reach. Wake-ups until now have served their purpose.
func (l *link) wanted() (*target, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.wake:
	default:
	}
	return l.want, l.why
}

// retry is where a link is in its list of endpoints and its back-off.
type retry struct {
	target  *target
	index   int
	attempt int
	tickets tls.ClientSessionCache // a resumed handshake costs a third of the bytes
}

// move begins anew with another target. Over another path the same peer still
// knows its tickets.
func (r *retry) move(t *target) retry {
	next := retry{target: t}
	if next.tickets = r.tickets; r.target == nil || !slices.EqualFunc(r.target.endpoints, t.endpoints, sameEndpoint) {
		next.tickets = tls.NewLRUClientSessionCache(len(t.endpoints))
	}
	return next
}

// run keeps the link until ctx ends.
func (l *link) run(ctx context.Context) {
	var at retry
	for ctx.Err() == nil {
		t, why := l.wanted()
		if t == nil {
			l.reportIdle(why)
			l.wait(ctx, nil)
			at = retry{}
			continue
		}
		l.idle = ""
		if t != at.target {
			at = at.move(t)
		}
		l.once(ctx, &at)
	}
	l.report(nil, model.ConnIdle, &fault{text: errStopping.Error()})
}

// once makes one connection, lives with it, and waits for the time of the next.
func (l *link) once(ctx context.Context, at *retry) {
	ep := &at.target.endpoints[at.index]
	lasted := l.connection(ctx, at, ep)
	if now, _ := l.wanted(); ctx.Err() != nil || now != at.target {
		return
	}
	switch {
	case lasted > 0:
		at.index = 0 // the first in order is worth a try again
	case at.index+1 < len(at.target.endpoints):
		at.index++ // the next one, now
		return
	default:
		at.index = 0
	}
	if lasted >= stable {
		at.attempt = 0
	}
	timer := time.NewTimer(backoff(at.attempt, l.s.cfg.Jitter()))
	defer timer.Stop()
	at.attempt++
	if l.wait(ctx, timer.C) {
		at.attempt = 0
	}
}

// wait returns when the time has come, the target has changed or ctx ends; it
// tells whether somebody asked to hurry.
func (l *link) wait(ctx context.Context, timer <-chan time.Time) (hurried bool) {
	l.mu.Lock()
	hurried = l.hurried
	l.mu.Unlock()
	if !hurried {
		select {
		case <-ctx.Done():
		case <-timer:
		case <-l.wake:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	hurried, l.hurried = l.hurried, false
	return hurried
}

// connection connects, registers and serves until the end. It returns how long
// the peer had accepted us, 0 if it never did.
func (l *link) connection(parent context.Context, at *retry, ep *model.Endpoint) time.Duration {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if !l.begin(at.target, cancel) {
		return 0
	}
	defer l.finished()
	l.report(ep, model.ConnConnecting, &fault{})
	nc, err := open(ctx, dialer{open: l.s.cfg.Dial, via: at.target.path, purpose: purposeOf(l.kind)}, ep, at.tickets)
	if err != nil {
		l.ended(parent, at.target, ep, err)
		return 0
	}
	c := newConn(l, nc, ep, cancel)
	c.peer = l.newPeer(c, at.target)
	err = c.serve(ctx)
	// Told before the peer's side learns of it, and before the wait for a FIN: who
	// hears that the card is lost can say why.
	c.close()
	l.ended(parent, at.target, ep, err)
	c.shut(err)
	if c.accepted.IsZero() {
		return 0
	}
	return max(time.Since(c.accepted), 1)
}

// ended reports why the connection to t is over. It says nothing of one that makes
// way for another, or ends with the session.
func (l *link) ended(ctx context.Context, t *target, ep *model.Endpoint, err error) {
	l.mu.Lock()
	l.live = nil
	l.mu.Unlock()
	now, why := l.wanted()
	switch f := asFault(err); {
	case ctx.Err() != nil:
	case now == nil:
		l.reportIdle(why)
	case now != t:
	case f.refused:
		l.report(ep, model.ConnRefused, f)
	default:
		l.report(ep, model.ConnBackoff, f)
	}
}

// reportIdle tells once that nothing is wanted.
func (l *link) reportIdle(why string) {
	if why != l.idle {
		l.idle = why
		l.report(nil, model.ConnIdle, &fault{text: why})
	}
}

// begin makes cancel the way to end the attempt for t, if t is still wanted.
func (l *link) begin(t *target, cancel context.CancelCauseFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.want != t {
		return false
	}
	l.cancel = cancel
	return true
}

func (l *link) finished() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel = nil
}

// connected publishes c as the live connection.
func (l *link) connected(c *conn) {
	l.mu.Lock()
	l.live, l.hurried = c, false
	l.mu.Unlock()
	l.report(c.ep, model.ConnConnected, &fault{})
}

// report tells the state of the link. f says why.
func (l *link) report(ep *model.Endpoint, state model.ConnState, f *fault) {
	ev := model.PeerChanged{
		At: model.At{Time: time.Now()}, Modem: l.s.cfg.Modem, Peer: l.kind, State: state, Reason: f.text, Code: f.code,
	}
	if ep != nil {
		ev.Address, ev.TLS = address(ep), ep.TLS != nil
	}
	l.s.cfg.Events(ev)
}

// address is host:port as it is dialled.
func address(ep *model.Endpoint) string {
	return net.JoinHostPort(ep.Host, strconv.Itoa(int(ep.Port)))
}
