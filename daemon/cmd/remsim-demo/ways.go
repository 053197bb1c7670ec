package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
)

// ways plays the networks behind the modems: what is sent over a link that is cut
// is lost without a word, as in a dead spot, and what was on its way arrives when
// the link is back, as TCP sees to. All peers are on loopback, so nothing is bound
// to the devices of this world.
type ways struct {
	mu    sync.Mutex
	links map[string]*playedLink
	subs  map[int]func(link string)
	count int
}

// playedLink is one way.
type playedLink struct {
	cut   bool
	back  chan struct{} // closed when the cut ends
	heard time.Time
	owed  time.Time
}

// farAway is the round trip over a link that works.
const farAway = 40 * time.Millisecond

func newWays() *ways {
	return &ways{links: make(map[string]*playedLink), subs: make(map[int]func(string))}
}

// of returns a link. Call with the lock held.
func (w *ways) of(link string) *playedLink {
	l := w.links[link]
	if l == nil {
		l = &playedLink{back: make(chan struct{})}
		close(l.back)
		w.links[link] = l
	}
	return l
}

// cut makes a link silent, or lets it work again.
func (w *ways) cut(link string, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.of(link)
	if l.cut == on {
		return
	}
	l.cut = on
	if on {
		l.back = make(chan struct{})
	} else {
		l.owed = time.Time{}
		close(l.back)
	}
}

// open tells whether a link carries anything, and what to wait for if not.
func (w *ways) open(link string) (bool, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.of(link)
	return !l.cut, l.back
}

// sent notes that something left over a link; what is not heard is owed.
func (w *ways) sent(link string) {
	w.mu.Lock()
	l := w.of(link)
	news := l.cut && l.owed.IsZero()
	if !l.cut {
		l.heard = time.Now()
	} else if news {
		l.owed = time.Now()
	}
	var subs []func(string)
	for _, tell := range w.subs {
		subs = append(subs, tell)
	}
	w.mu.Unlock()
	for _, tell := range subs {
		if news {
			tell(link)
		}
	}
}

// Heard is when a link's connections last heard of their peers.
func (w *ways) Heard(link string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of(link).heard
}

// Unanswered is since when a link owes an answer.
func (w *ways) Unanswered(link string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of(link).owed
}

// Subscribe has tell called when a link comes to owe an answer.
func (w *ways) Subscribe(tell func(link string)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	id := w.count
	w.subs[id] = tell
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subs, id)
	}
}

// Dial opens a connection over a link, which has to work meanwhile.
func (w *ways) Dial(ctx context.Context, via model.Path, _ model.Purpose, network, address string) (net.Conn, error) {
	if via.Link == "" {
		return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
	}
	w.sent(via.Link)
	if ok, back := w.open(via.Link); !ok {
		select {
		case <-back:
		case <-ctx.Done():
			return nil, fmt.Errorf("dial %s over %s: %w", address, via.Link, ctx.Err())
		}
	}
	nc, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &overLink{TCPConn: nc.(*net.TCPConn), ways: w, link: via.Link, closed: make(chan struct{})}, nil
}

// overLink is a connection over a link.
type overLink struct {
	*net.TCPConn
	ways   *ways
	link   string
	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	waiting []byte // sent while the link was cut
	sending bool   // somebody waits to send it
}

// Read gives what has come; while the link is cut nothing comes.
func (c *overLink) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 {
		if ok, back := c.ways.open(c.link); !ok {
			select {
			case <-back:
			case <-c.closed:
				return 0, net.ErrClosed
			}
		}
		c.ways.sent(c.link)
	}
	return n, err
}

// Write takes everything; what the link does not carry is sent when it does.
func (c *overLink) Write(b []byte) (int, error) {
	c.ways.sent(c.link)
	ok, back := c.ways.open(c.link)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok && len(c.waiting) == 0 {
		return c.TCPConn.Write(b)
	}
	c.waiting = append(c.waiting, b...)
	if !c.sending {
		c.sending = true
		go c.resend(back)
	}
	return len(b), nil
}

// resend waits for the link and sends what has waited.
func (c *overLink) resend(back <-chan struct{}) {
	select {
	case <-back:
	case <-c.closed:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.TCPConn.Write(c.waiting) // an error shows at the next Write
	c.waiting, c.sending = nil, false
}

// CloseWrite sends a FIN, if the link carries it.
func (c *overLink) CloseWrite() error {
	if ok, _ := c.ways.open(c.link); !ok {
		return nil
	}
	return c.TCPConn.CloseWrite()
}

// Close ends our side at once. Over a link that is cut, the peer learns of it only
// when the link is back.
func (c *overLink) Close() error {
	c.once.Do(func() {
		close(c.closed)
		ok, back := c.ways.open(c.link)
		if ok {
			_ = c.TCPConn.Close()
			return
		}
		_ = c.SetReadDeadline(time.Now())
		go func() {
			select {
			case <-back:
			case <-time.After(time.Minute): // as long as the kernel repeats a FIN
			}
			_ = c.TCPConn.Close()
		}()
	})
	return nil
}

// Shoot answers a probe as the far end would.
func (w *ways) Shoot(ctx context.Context, s probe.Shot) (time.Duration, error) {
	if ok, _ := w.open(s.Via.Link); !ok {
		<-ctx.Done()
		return 0, probe.ErrNoAnswer
	}
	select {
	case <-time.After(farAway):
		return farAway, nil
	case <-ctx.Done():
		return 0, probe.ErrNoAnswer
	}
}

// Lookup knows addresses only.
func (w *ways) Lookup(_ context.Context, _ model.Path, host string) ([]netip.Addr, error) {
	a, err := netip.ParseAddr(host)
	return []netip.Addr{a}, err
}

// Carrier is always there: a cut is silent.
func (w *ways) Carrier(string) bool { return true }

// Received proves nothing here.
func (w *ways) Received(string) (uint64, bool) { return 0, false }

// failoverSpec is the section failover of the configuration.
type failoverSpec struct {
	detect      string
	hold, grace int // seconds
}

// failover reads `detect WORD hold N grace N`.
func (f *fields) failover() (s failoverSpec) {
	f.expect("detect")
	s.detect = f.word()
	f.expect("hold")
	s.hold = f.number()
	f.expect("grace")
	s.grace = f.number()
	return s
}

// farEnd is the host that this world's links are probed with, besides the peers,
// which are on loopback and prove nothing (RFC 5737 keeps the address free).
const farEnd = "192.0.2.1"

// section is the UCI text; a world that says nothing has the default.
func (s failoverSpec) section() string {
	text := "config failover 'failover'\n\tlist probe '" + farEnd + "'\n"
	if s.detect == "" {
		return text
	}
	return text + fmt.Sprintf("\toption detect '%s'\n\toption hold '%d'\n\toption grace '%d'\n", s.detect, s.hold, s.grace)
}

// linkSeen tells whether a status shows what the words say of links:
//
//	control LINK    data LINK    link LINK usable|unusable    failover STATE
func linkSeen(s *model.Snapshot, args []string) (is, about bool) {
	switch {
	case args[0] == "control" && len(args) == 2:
		return s.Failover.Control == args[1], true
	case args[0] == "data" && len(args) == 2:
		return s.Failover.Data == args[1], true
	case args[0] == "failover" && len(args) == 2:
		return s.Failover.State == args[1], true
	case args[0] == "link" && len(args) == 3:
		for _, l := range s.Links {
			if l.Name == args[1] {
				return l.Usable == (args[2] == "usable"), true
			}
		}
		return false, true
	}
	return false, false
}
