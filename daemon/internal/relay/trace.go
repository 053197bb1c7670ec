package relay

import (
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// traceSize is how many entries are kept.
const traceSize = 2000

// tracer keeps the last APDUs while it is on. Secrets and identities are hidden
// before anything is kept.
type tracer struct {
	on   bool
	ring []model.APDU // grows to traceSize, then wraps
	next int
	id   int64 // of the last entry
}

// set switches recording. What was recorded stays to be read until it is switched
// on the next time. Ids go on from the clock, so that they do not repeat after a
// restart.
func (t *tracer) set(on bool) {
	if on && !t.on {
		t.ring, t.next = nil, 0
		t.id = max(t.id, time.Now().UnixMicro())
	}
	t.on = on
}

func (t *tracer) add(a model.APDU) {
	t.id++
	a.ID = t.id
	if len(t.ring) < traceSize {
		t.ring = append(t.ring, a)
		return
	}
	t.ring[t.next] = a
	t.next = (t.next + 1) % traceSize
}

// SetTracing switches the APDU trace. SetPlan does so too, when its TraceActive
// changes. While it is off it costs nothing.
func (s *Session) SetTracing(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracer.set(on)
}

// Trace gives entries, oldest first: those that follow the id since, or with since 0
// the newest; at most limit of them (0: all).
func (s *Session) Trace(since int64, limit int) []model.APDU {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.tracer
	n := len(t.ring)
	if limit <= 0 {
		limit = n
	}
	first := max(0, n-limit)
	if since > 0 { // ids have no gaps
		first = int(max(0, int64(n)-(t.id-since)))
	}
	out := make([]model.APDU, 0, min(limit, max(0, n-first)))
	for i := first; i < n && len(out) < limit; i++ {
		out = append(out, t.ring[(t.next+i)%n])
	}
	return out
}

// trace records a command of the modem. response nil: there was none, and remark
// says why.
func (s *Session) trace(tpdu, response []byte, since instant, remark string) {
	s.traceAt(s.trail.standing(tpdu), tpdu, response, since, remark)
}

// traceOwn records a command of the relay's own. The trail knows where the modem
// left the card, which is not where it stands now.
func (s *Session) traceOwn(at card.Place, tpdu, response []byte, since instant) {
	s.traceAt(at, tpdu, response, since, "by the relay")
}

func (s *Session) traceAt(at card.Place, tpdu, response []byte, since instant, remark string) {
	now := s.now()
	a := model.APDU{
		Time: time.Now().Unix(), Modem: s.modem,
		MS:   float64(now-since) / float64(time.Millisecond),
		Name: card.Describe(tpdu, at),
	}
	a.Command, a.Response = card.Redact(tpdu, response, at)
	if n := len(response); n >= 2 {
		a.Status = card.StatusText(uint16(response[n-2])<<8 | uint16(response[n-1]))
	}
	if remark != "" {
		a.Status = strings.TrimPrefix(a.Status+" ("+remark+")", " ")
	}
	s.tracer.add(a)
}

// standing tells the trace where the channel of a command stands before it.
func (t *trail) standing(tpdu []byte) card.Place {
	where, ok := card.ClassOf(tpdu[0])
	if !ok {
		return card.Place{}
	}
	c := &t.channels[where.Channel]
	p := card.Place{}
	if c.at.unknown != "" || c.bad != "" || t.blocked != "" {
		return p // a wrong name would show what has to be hidden
	}
	if c.at.app.head[0] != 0 {
		p.Select(c.at.app.head[1], c.at.app.data[:c.at.app.n])
	}
	for i := range c.at.chain[:c.at.n] {
		if sel := &c.at.chain[i]; sel.head[0] == insSelect {
			p.Select(sel.head[1], sel.data[:sel.n])
		} else {
			p.SelectShort(sel.head[0], sel.head[1], sel.head[2])
		}
	}
	if t.held != 0 && t.heldOn == where.Channel {
		p.Fetches = t.held
	}
	return p
}
