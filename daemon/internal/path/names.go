package path

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// dnsPort is where a link's servers listen.
const dnsPort = 53

// resend is how long a server has before the question goes to the next one too.
// It doubles each time: a slow network is not to be paid for twice a second.
const resend = time.Second

// maxQuestion bounds a DNS question: one name and an EDNS0 record.
const maxQuestion = 512

// lookup resolves a name in one family over the path.
func (d *attempt) lookup(ctx context.Context, family, host string) ([]netip.Addr, error) {
	if d.paths.opts.Hosts != nil {
		if ips := d.paths.opts.Hosts(host); len(ips) > 0 {
			return slices.DeleteFunc(ips, func(ip netip.Addr) bool { return ip.Is4() != (family == "ip4") }), nil
		}
	}
	r := net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, server string) (net.Conn, error) {
		return d.askOver(ctx, network, server)
	}}
	ips, err := r.LookupNetIP(ctx, family, host)
	var none *net.DNSError
	if errors.As(err, &none) && len(d.via.DNS) > 0 {
		none.Server = "" // the one of resolv.conf, which was not asked
	}
	return ips, err
}

// askOver opens the way to the DNS servers. With servers of the link's own the
// one that the system would ask does not matter.
func (d *attempt) askOver(ctx context.Context, network, server string) (net.Conn, error) {
	via := d.via
	if len(via.DNS) == 0 {
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			return nil, err
		}
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return nil, err
		}
		if ip.IsLoopback() {
			via = model.Path{} // a server of the router itself is on no link
		}
		ask := &attempt{paths: d.paths, via: via, purpose: model.PurposeDNS, network: network, port: port}
		return closedWith(ctx, ask.connect, ip)
	}
	if network == "tcp" || network == "tcp4" || network == "tcp6" {
		return d.askByTCP(ctx)
	}
	return d.ask(ctx)
}

// askByTCP is for answers that do not fit a datagram.
func (d *attempt) askByTCP(ctx context.Context) (net.Conn, error) {
	ask := &attempt{paths: d.paths, via: d.via, purpose: model.PurposeDNS, network: "tcp", port: "53"}
	var err error
	for _, ip := range d.via.DNS {
		var c net.Conn
		if c, err = closedWith(ctx, ask.connect, ip); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// closedWith makes a connection that does not outlive ctx: the resolver waits
// for its own deadline only.
func closedWith(ctx context.Context, connect func(context.Context, netip.Addr) (net.Conn, error), ip netip.Addr) (net.Conn, error) {
	c, err := connect(ctx, ip)
	if err != nil {
		return nil, err
	}
	return &bounded{Conn: c, stop: context.AfterFunc(ctx, func() { _ = c.Close() })}, nil
}

// bounded is a connection that ends with a context.
type bounded struct {
	net.Conn
	stop func() bool
}

// Close closes the connection.
func (b *bounded) Close() error {
	b.stop()
	return b.Conn.Close()
}

// question is one question to the DNS servers of a link, in one socket for both
// families: to the first, and while nobody answers to the next.
type question struct {
	*net.UDPConn
	servers  []netip.AddrPort
	evidence *evidence
	stop     func() bool
	trying   *dialing
	answered sync.Once

	mu       sync.Mutex
	deadline time.Time // of the resolver
	text     []byte
	next     int // server
	wait     time.Duration
}

// ask makes the socket.
func (d *attempt) ask(ctx context.Context) (net.Conn, error) {
	setUp := d.paths.control(d.via, model.PurposeDNS)
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error { return setUp(ctx, network, address, c) }}
	pc, err := lc.ListenPacket(ctx, "udp", ":0")
	if err != nil {
		return nil, err
	}
	c, ok := pc.(*net.UDPConn)
	if !ok {
		_ = pc.Close()
		return nil, errors.ErrUnsupported
	}
	q := &question{UDPConn: c, evidence: d.paths.of(d.via.Link), wait: resend}
	for _, ip := range d.via.DNS {
		if ip.IsLinkLocalUnicast() && ip.Is6() && ip.Zone() == "" {
			ip = ip.WithZone(d.via.Device)
		}
		q.servers = append(q.servers, netip.AddrPortFrom(ip, dnsPort))
	}
	q.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	return q, nil
}

// Write sends the question to the first server that can be sent to.
func (q *question) Write(b []byte) (int, error) {
	if len(b) > maxQuestion {
		return 0, errors.New("dns question is too long")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.text = append(q.text[:0], b...)
	if q.trying == nil {
		q.trying = q.evidence.dial()
	}
	if err := q.send(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send sends to the next server. The caller locks.
func (q *question) send() (err error) {
	for range q.servers {
		to := q.servers[q.next%len(q.servers)]
		q.next++
		if _, err = q.WriteToUDPAddrPort(q.text, to); err == nil {
			return nil
		}
	}
	return err
}

// Read waits for an answer of any of the servers.
func (q *question) Read(b []byte) (int, error) {
	for {
		until, final := q.arm()
		if err := q.UDPConn.SetReadDeadline(until); err != nil {
			return 0, err
		}
		n, from, err := q.ReadFromUDPAddrPort(b)
		if err == nil {
			if q.known(from) {
				q.done(nil)
				return n, nil
			}
			continue
		}
		var timeout net.Error
		if final || !errors.As(err, &timeout) || !timeout.Timeout() {
			q.done(err)
			return 0, err
		}
		q.mu.Lock()
		err = q.send()
		q.wait *= 2
		q.mu.Unlock()
		if err != nil {
			q.done(err)
			return 0, err
		}
	}
}

// ReadFrom is Read: the resolver asks for one or the other.
func (q *question) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := q.Read(b)
	return n, q.LocalAddr(), err
}

// arm is until when to wait, and whether nothing is sent after that.
func (q *question) arm() (until time.Time, final bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	until = time.Now().Add(q.wait)
	if !q.deadline.IsZero() && !until.Before(q.deadline) {
		return q.deadline, true
	}
	return until, false
}

// SetDeadline keeps until when the resolver waits.
func (q *question) SetDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	return q.SetWriteDeadline(t)
}

// SetReadDeadline is SetDeadline for reading.
func (q *question) SetReadDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	return nil
}

func (q *question) known(from netip.AddrPort) bool {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return slices.Contains(q.servers, from)
}

// done notes, once, that the question is answered or given up.
func (q *question) done(err error) {
	q.mu.Lock()
	trying := q.trying
	q.mu.Unlock()
	if trying != nil {
		q.answered.Do(func() { q.evidence.dialed(trying, err) })
	}
}

// Close ends the question.
func (q *question) Close() error {
	q.done(net.ErrClosed)
	q.stop()
	return q.UDPConn.Close()
}
