package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// tlsConfig reads the files of an endpoint. They are read for every connection:
// a certificate is renewed by replacing its file.
func tlsConfig(ep *model.Endpoint) (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName: ep.Host, MinVersion: tls.VersionTLS12,
		DynamicRecordSizingDisabled: true, // one frame is one record
	}
	if ep.TLS.CA != "" {
		pem, err := os.ReadFile(ep.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("read CA certificate: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA certificate %s: no certificate in it", ep.TLS.CA)
		}
	}
	if ep.TLS.Cert != "" || ep.TLS.Key != "" {
		cert, err := tls.LoadX509KeyPair(ep.TLS.Cert, ep.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate %s and key: %w", ep.TLS.Cert, err)
		}
		// Not Certificates: that holds a certificate back whose authority the
		// peer does not name, and the peer then says that there was none.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return cfg, nil
}

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
