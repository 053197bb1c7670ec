package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Probe tests the way to an endpoint, step by step: name, TCP connection, TLS.
// It says nothing on the connection and closes it: a second registration would be
// refused, and a bank has few connections to give. dial nil is a plain dialer, which
// knows no paths.
func Probe(ctx context.Context, peer model.PeerKind, ep model.Endpoint, via model.Path, dial DialFunc) []model.Step {
	if dial == nil {
		dial = dialAnywhere
	}
	d := dialer{open: dial, via: via, purpose: purposeOf(peer)}
	var p probe
	// Over a path with name servers of its own, the step after this one resolves.
	if len(via.DNS) == 0 && !p.step("resolve", func() (string, error) { return resolve(ctx, ep.Host) }) {
		return p.steps
	}
	var nc net.Conn
	if !p.step("tcp", func() (text string, err error) {
		nc, text, err = reach(ctx, d, &ep)
		return text, err
	}) {
		return p.steps
	}
	defer func() { _ = nc.Close() }()
	if ep.TLS != nil {
		p.step("tls", func() (text string, err error) {
			nc, text, err = secure(ctx, nc, &ep)
			return text, err
		})
	}
	return p.steps
}

type probe struct{ steps []model.Step }

func (p *probe) step(name string, do func() (string, error)) bool {
	begin := time.Now()
	text, err := do()
	if err != nil {
		text = err.Error()
	}
	p.steps = append(p.steps, model.Step{Name: name, OK: err == nil, MS: float64(time.Since(begin)) / float64(time.Millisecond), Text: text})
	return err == nil
}

func resolve(ctx context.Context, host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String() + " is an address", nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", dialFault(host, err)
	}
	return fmt.Sprintf("%s is %s", host, strings.Join(addrs, ", ")), nil
}

func reach(ctx context.Context, d dialer, ep *model.Endpoint) (net.Conn, string, error) {
	nc, err := dial(ctx, d, ep)
	if err != nil {
		return nil, "", err
	}
	return nc, fmt.Sprintf("connected to %v from %v", nc.RemoteAddr(), nc.LocalAddr()), nil
}

// secure returns nc itself when it fails, closed.
func secure(ctx context.Context, nc net.Conn, ep *model.Endpoint) (net.Conn, string, error) {
	cfg, err := tlsConfig(ep)
	if err != nil {
		return nc, "", err
	}
	t, err := handshake(ctx, nc, ep, cfg)
	if err != nil {
		return nc, "", err
	}
	state := t.ConnectionState()
	peer := state.PeerCertificates[0]
	return t, fmt.Sprintf("%s, certificate of %s until %s", tls.VersionName(state.Version), printable(peer.Subject.String()), peer.NotAfter.UTC().Format(time.DateOnly)), nil
}

// Ping measures the round trip over the live connection to a peer, in a PING that
// does not count as keep-alive.
func (s *Session) Ping(ctx context.Context, peer model.PeerKind) (time.Duration, error) {
	l := s.server
	if peer == model.PeerBankd {
		l = s.bank
	}
	l.mu.Lock()
	c := l.live
	l.mu.Unlock()
	if c == nil {
		return 0, fmt.Errorf("ping the %s: there is no connection", peer)
	}
	done := make(chan time.Duration, 1)
	if err := c.sendPing(done); err != nil {
		return 0, fmt.Errorf("ping the %s: %w", peer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pongTimeout)
	defer cancel()
	select {
	case d := <-done:
		return d, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("ping the %s: no PONG: %w", peer, ctx.Err())
	}
}
