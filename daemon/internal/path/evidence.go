package path

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// evidence is what the connections over one link tell of it.
type evidence struct {
	paths *Paths
	link  string

	mu    sync.Mutex
	heard time.Time // by connections that are gone, and by dials
	told  bool      // that something is owed
	dials []*dialing
	conns map[*watch]struct{}
}

// dialing is a connection that is being made: its first packet is unanswered.
type dialing struct{ since time.Time }

// watch is one connection of a link.
type watch struct {
	evidence *evidence
	raw      syscall.RawConn
	stream   bool  // TCP: the kernel knows what has arrived
	base     int64 // what had arrived before the first write: the SYN counts

	mu      sync.Mutex
	heard   time.Time
	written int64  // bytes
	sent    []sent // not yet acknowledged, oldest first
	broken  bool   // told
}

// sent is one write: it ends at an offset of the stream.
type sent struct {
	end int64
	at  time.Time
}

// maxSent bounds how many writes one connection remembers. What comes on top
// counts with the one before it.
const maxSent = 64

// dial notes that a connection is being made.
func (e *evidence) dial() *dialing {
	d := &dialing{since: time.Now()}
	e.mu.Lock()
	e.dials = append(e.dials, d)
	e.mu.Unlock()
	e.owe()
	return d
}

// dialed notes how it ended. A refusal is an answer too.
func (e *evidence) dialed(d *dialing, err error) {
	e.mu.Lock()
	for i, have := range e.dials {
		if have == d {
			e.dials = append(e.dials[:i], e.dials[i+1:]...)
			break
		}
	}
	answered := err == nil || errors.Is(err, syscall.ECONNREFUSED)
	if answered {
		e.heard = time.Now()
	}
	e.mu.Unlock()
	if pathFault(err) {
		e.paths.tell(e.link)
	}
}

// owe tells, once, that an answer is owed.
func (e *evidence) owe() {
	e.mu.Lock()
	told := e.told
	e.told = true
	e.mu.Unlock()
	if !told {
		e.paths.tell(e.link)
	}
}

func (e *evidence) add(w *watch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns[w] = struct{}{}
}

// drop forgets a connection, but not when it was heard.
func (e *evidence) drop(w *watch) {
	at := w.lastHeard(time.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, w)
	e.heard = later(e.heard, at)
}

func (e *evidence) watches() []*watch {
	list := make([]*watch, 0, len(e.conns))
	for w := range e.conns {
		list = append(list, w)
	}
	return list
}

func (e *evidence) lastHeard(now time.Time) time.Time {
	e.mu.Lock()
	at, list := e.heard, e.watches()
	e.mu.Unlock()
	for _, w := range list {
		at = later(at, w.lastHeard(now))
	}
	return at
}

func (e *evidence) oldest() time.Time {
	e.mu.Lock()
	e.told = false // before looking: what is written meanwhile is told
	list := e.watches()
	var at time.Time
	for _, d := range e.dials {
		at = earlier(at, d.since)
	}
	e.mu.Unlock()
	for _, w := range list {
		at = earlier(at, w.oldest())
	}
	if !at.IsZero() {
		e.mu.Lock()
		e.told = true // who asked knows
		e.mu.Unlock()
	}
	return at
}

// wrote notes n bytes that the kernel has taken.
func (w *watch) wrote(n int) {
	if n <= 0 {
		return
	}
	w.mu.Lock()
	w.settle()
	w.written += int64(n)
	if len(w.sent) < maxSent {
		w.sent = append(w.sent, sent{w.written, time.Now()})
	} else {
		w.sent[len(w.sent)-1].end = w.written
	}
	w.mu.Unlock()
	w.evidence.owe()
}

// read notes bytes from the peer. A datagram answers all that were sent.
func (w *watch) read(n int) {
	if n <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = time.Now()
	if !w.stream {
		w.sent = w.sent[:0]
	}
}

// settle drops the writes that have arrived. The caller locks.
func (w *watch) settle() {
	if !w.stream || len(w.sent) == 0 {
		return
	}
	n, ok := arrived(w.raw)
	if !ok {
		w.sent = w.sent[:0] // closed: it tells nothing any more
		return
	}
	i := 0
	for i < len(w.sent) && w.sent[i].end <= n-w.base {
		i++
	}
	w.sent = append(w.sent[:0], w.sent[i:]...)
}

func (w *watch) oldest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	if len(w.sent) == 0 {
		return time.Time{}
	}
	return w.sent[0].at
}

func (w *watch) lastHeard(now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stream {
		if d, ok := silence(w.raw); ok {
			w.heard = later(w.heard, now.Add(-d))
		}
	}
	return w.heard
}

// failed notes an error of the connection; a deadline of its user is none.
func (w *watch) failed(err error) {
	if !pathFault(err) {
		return
	}
	w.mu.Lock()
	first := !w.broken
	w.broken = true
	w.mu.Unlock()
	if first {
		w.evidence.paths.tell(w.evidence.link)
	}
}

// pathFault tells whether an error may be the path's: what the peer or the user
// of a connection did is not.
func pathFault(err error) bool {
	switch {
	case err == nil, errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return false
	}
	for _, is := range []error{syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENODEV, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier is the earlier of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
