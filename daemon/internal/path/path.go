// Package path opens connections for control traffic over one link: bound to its
// device, marked with link and purpose, names resolved by the link's own DNS
// servers. What flows over them tells for free how the link does: when it was
// heard last, and since when something is unanswered.
//
// It never decides which path to take, never sends anything by itself, and keeps
// nothing alive: who uses a connection owns its keep-alives.
package path

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrNotAllowed: the kernel lets this process neither mark nor bind sockets.
var ErrNotAllowed = errors.New("not allowed to bind connections to a link (needs CAP_NET_ADMIN)")

// Options say how to dial.
type Options struct {
	// Log is told once if connections cannot be marked; nil is silence.
	Log *slog.Logger
	// Hosts resolves names without asking the network (tests); nil is the
	// system's /etc/hosts, then DNS.
	Hosts func(host string) []netip.Addr
}

// Paths opens connections and watches them. Make it with New; all methods may be
// called from any goroutine.
type Paths struct {
	opts   Options
	warned sync.Once

	mu    sync.Mutex
	links map[string]*evidence
	subs  []*subscriber
}

// New makes a set of paths without connections.
func New(o Options) *Paths {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Paths{opts: o, links: make(map[string]*evidence)}
}

// Dial opens a connection over a path. network is tcp, tcp4 or tcp6 (udp, udp4
// or udp6 for a connected socket), address is host:port. With the zero Path the
// kernel's routes decide and nothing is bound or marked.
//
// Names are asked for in both families at once; addresses are tried as RFC 8305
// says, the next a quarter of a second after the one before.
func (p *Paths) Dial(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	// A device that may not be bound would otherwise look like a name that
	// cannot be resolved.
	if err := p.permitted(ctx, via, purpose); err != nil {
		return nil, fmt.Errorf("dial %s over %s: %w", address, via.Link, err)
	}
	d := &attempt{paths: p, via: via, purpose: purpose, network: network, port: port}
	if ip, err := netip.ParseAddr(host); err == nil {
		return d.connect(ctx, ip)
	}
	return d.race(ctx, host)
}

// Dialer is Dial for one purpose, over whatever path is the one to take at that
// moment.
func (p *Paths) Dialer(via func() model.Path, purpose model.Purpose) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return p.Dial(ctx, via(), purpose, network, address)
	}
}

// Heard is when a link's connections last heard anything of their peers, be it
// only that bytes have arrived. Zero: never.
func (p *Paths) Heard(link string) time.Time {
	e := p.evidence(link)
	if e == nil {
		return time.Time{}
	}
	return e.lastHeard(time.Now())
}

// Unanswered is when the oldest byte was sent over a link of which the peer has
// not said that it has arrived. Zero: nothing is owed. Asking for it re-arms the
// call of Subscribe.
func (p *Paths) Unanswered(link string) time.Time {
	e := p.evidence(link)
	if e == nil {
		return time.Time{}
	}
	return e.oldest()
}

// subscriber is one who wants to be told.
type subscriber struct{ tell func(link string) }

// Subscribe has tell called, from the goroutine that writes or dials, when a link
// that owed nothing owes an answer, and when a connection over it breaks or
// cannot be made. It must not block, and not write. A link is told of once; then
// not before Unanswered was asked. stop ends it.
func (p *Paths) Subscribe(tell func(link string)) (stop func()) {
	s := &subscriber{tell: tell}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = append(p.subs, s)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, have := range p.subs {
			if have == s {
				p.subs = append(p.subs[:i:i], p.subs[i+1:]...)
				return
			}
		}
	}
}

func (p *Paths) tell(link string) {
	if link == "" {
		return
	}
	p.mu.Lock()
	subs := p.subs
	p.mu.Unlock()
	for _, s := range subs {
		s.tell(link)
	}
}

// evidence is what is known of a link, nil if nothing is.
func (p *Paths) evidence(link string) *evidence {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[link]
}

// of is the evidence of a link, made if need be. Connections without a link are
// watched for nobody.
func (p *Paths) of(link string) *evidence {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.links[link]
	if e == nil {
		e = &evidence{paths: p, link: link, conns: make(map[*watch]struct{})}
		if link != "" {
			p.links[link] = e
		}
	}
	return e
}
