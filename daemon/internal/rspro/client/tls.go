package client

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/peertls"
)

// tlsConfig reads the files of an endpoint.
func tlsConfig(ep *model.Endpoint) (*tls.Config, error) { return peertls.Config(ep.Host, *ep.TLS) }

// dialer is how the connections of one link are opened.
type dialer struct {
	open    DialFunc
	via     model.Path
	purpose model.Purpose
}

// purposeOf is what the bytes to a peer are for.
func purposeOf(kind model.PeerKind) model.Purpose {
	if kind == model.PeerBankd {
		return model.PurposeBank
	}
	return model.PurposeServer
}

// open connects to an endpoint: name, TCP, and TLS if it is wanted.
func open(ctx context.Context, d dialer, ep *model.Endpoint, tickets tls.ClientSessionCache) (net.Conn, error) {
	var cfg *tls.Config
	if ep.TLS != nil {
		var err error
		if cfg, err = tlsConfig(ep); err != nil {
			return nil, &fault{code: model.PeerTLSFailed, text: err.Error(), cause: err}
		}
		cfg.ClientSessionCache = tickets
	}
	nc, err := dial(ctx, d, ep)
	if err != nil || cfg == nil {
		return nc, err
	}
	t, err := handshake(ctx, nc, ep, cfg)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// dial opens the TCP connection.
func dial(ctx context.Context, d dialer, ep *model.Endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	nc, err := d.open(ctx, d.via, d.purpose, "tcp", address(ep))
	if err != nil {
		return nil, dialFault(address(ep), err)
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)    // one frame is one segment
		_ = tcp.SetKeepAlive(false) // on a metered link nobody pays for it unasked
	}
	return nc, nil
}

// handshake makes nc a TLS connection, or closes it.
func handshake(ctx context.Context, nc net.Conn, ep *model.Endpoint, cfg *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	t := tls.Client(nc, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, tlsFault(address(ep), err, time.Now())
	}
	return t, nil
}
