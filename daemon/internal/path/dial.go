package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// RFC 8305: how long a family that answered first waits for the other one, and
// how long an attempt is alone.
const (
	resolutionDelay = 50 * time.Millisecond
	attemptDelay    = 250 * time.Millisecond
)

// maxAddresses bounds how many addresses of one name are tried.
const maxAddresses = 8

// attempt is one Dial.
type attempt struct {
	paths   *Paths
	via     model.Path
	purpose model.Purpose
	network string
	port    string
}

// connect opens one connection to one address.
func (d *attempt) connect(ctx context.Context, ip netip.Addr) (net.Conn, error) {
	if ip.IsLinkLocalUnicast() && ip.Is6() && ip.Zone() == "" {
		ip = ip.WithZone(d.via.Device)
	}
	address := net.JoinHostPort(ip.String(), d.port)
	dialer := net.Dialer{KeepAlive: -1, ControlContext: d.paths.control(d.via, d.purpose)}
	e := d.paths.of(d.via.Link)
	trying := e.dial()
	c, err := dialer.DialContext(ctx, d.network, address)
	e.dialed(trying, err)
	if err != nil {
		return nil, err
	}
	return watched(c, e), nil
}

// found is what one family of a name came to.
type found struct {
	ips []netip.Addr
	err error
}

// tried is how one attempt ended.
type tried struct {
	conn net.Conn
	err  error
}

// race asks for the addresses of both families at once and tries them, one
// after the other, until one connects. It leaves nothing running.
func (d *attempt) race(ctx context.Context, host string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &racing{d: d, ctx: ctx, found: make(chan found, 2), tried: make(chan tried, maxAddresses)}
	defer r.finish(cancel)
	for _, family := range d.families() {
		r.asking++
		go func() {
			ips, err := d.lookup(ctx, family, host)
			r.found <- found{ips, err}
		}()
	}
	return r.run(host)
}

// families are those in which to look for addresses.
func (d *attempt) families() []string {
	switch {
	case strings.HasSuffix(d.network, "4"):
		return []string{"ip4"}
	case strings.HasSuffix(d.network, "6"):
		return []string{"ip6"}
	}
	return []string{"ip6", "ip4"}
}

// racing is the state of one race; only its goroutine touches it.
type racing struct {
	d     *attempt
	ctx   context.Context // of this one call; ends what it started
	found chan found
	tried chan tried

	asking  int // families without answer
	running int // attempts
	begun   int
	six     []netip.Addr // not yet tried
	four    []netip.Addr
	last6   bool // the newest attempt was IPv6
	errs    []error
}

// run waits for whatever comes next: addresses, the end of an attempt, or the
// time of the next one.
func (r *racing) run(host string) (net.Conn, error) {
	next := time.NewTimer(time.Hour)
	next.Stop()
	defer next.Stop()
	for {
		select {
		case f := <-r.found:
			r.take(f)
			switch {
			case r.running > 0: // its turn comes with the timer
			case r.asking == 0 || len(r.six) > 0:
				r.start(next)
			case len(r.four) > 0:
				next.Reset(resolutionDelay)
			}
		case t := <-r.tried:
			r.running--
			if t.err == nil {
				return t.conn, nil
			}
			r.errs = append(r.errs, t.err)
			r.start(next)
		case <-next.C:
			r.start(next)
		case <-r.ctx.Done():
			return nil, fmt.Errorf("dial %s: %w", host, r.fault(r.ctx.Err()))
		}
		if r.asking == 0 && r.running == 0 && len(r.six)+len(r.four) == 0 {
			return nil, fmt.Errorf("dial %s: %w", host, r.fault(nil))
		}
	}
}

// take adds the addresses of a family. That a name has none in one family is no
// error if it has some in the other.
func (r *racing) take(f found) {
	r.asking--
	for _, ip := range f.ips {
		if ip = ip.Unmap(); ip.Is4() {
			r.four = append(r.four, ip)
		} else {
			r.six = append(r.six, ip)
		}
	}
	if f.err != nil {
		r.errs = append(r.errs, f.err)
	}
}

// start begins the next attempt, the families in turn, IPv6 first.
func (r *racing) start(next *time.Timer) {
	from := &r.six
	if len(r.six) == 0 || r.last6 && len(r.four) > 0 {
		from = &r.four
	}
	if len(*from) == 0 || r.begun == maxAddresses {
		r.six, r.four = nil, nil
		return
	}
	ip := (*from)[0]
	*from, r.last6 = (*from)[1:], from == &r.six
	r.begun++
	r.running++
	go func() {
		c, err := r.d.connect(r.ctx, ip)
		r.tried <- tried{c, err}
	}()
	next.Reset(attemptDelay)
}

// fault is everything that went wrong, each thing once: a name that does not exist
// is missing in both families.
func (r *racing) fault(last error) (err error) {
	texts := make(map[string]bool)
	for _, e := range append(r.errs, last) {
		switch {
		case e == nil || texts[e.Error()]:
		case err == nil:
			err = e
		default:
			err = fmt.Errorf("%w; %w", err, e)
		}
		if e != nil {
			texts[e.Error()] = true
		}
	}
	if err == nil {
		err = errors.New("no address")
	}
	return err
}

// finish ends what still runs and closes what comes too late.
func (r *racing) finish(cancel context.CancelFunc) {
	cancel()
	for ; r.running > 0; r.running-- {
		if t := <-r.tried; t.conn != nil {
			_ = t.conn.Close()
		}
	}
	for ; r.asking > 0; r.asking-- {
		<-r.found
	}
}
