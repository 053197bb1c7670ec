// Package peertls opens TLS connections to peers that a configuration names, and
// says in words why one cannot be had. It dials nothing itself and keeps nothing:
// files are read for every connection, as a certificate is renewed by replacing
// its file.
package peertls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Config reads the files for a connection to host.
func Config(host string, files model.TLSFiles) (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12,
		DynamicRecordSizingDisabled: true, // one message is one record
	}
	if files.CA != "" {
		pem, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, fmt.Errorf("read CA certificate: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA certificate %s: no certificate in it", files.CA)
		}
	}
	if files.Cert != "" || files.Key != "" {
		cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate %s and key: %w", files.Cert, err)
		}
		// Not Certificates: that holds a certificate back whose authority the
		// peer does not name, and the peer then says that there was none.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return cfg, nil
}

// DialFault tells why a peer cannot be reached; limit is how long an answer was
// waited for.
func DialFault(address string, err error, limit time.Duration) (code, text string) {
	var dns *net.DNSError
	var why string
	code = model.PeerConnectTimeout
	switch {
	case errors.As(err, &dns):
		code, why = model.PeerDNSFailed, fmt.Sprintf("the name %s cannot be resolved: %s", dns.Name, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		code, why = model.PeerConnectRefused, "connection refused"
	case IsTimeout(err):
		why = fmt.Sprintf("no answer for %v", limit)
	default:
		why = Bare(err).Error()
	}
	return code, fmt.Sprintf("connect to %s: %s", address, why)
}

// IsTimeout tells whether an error is about time.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// Bare is the error without the addresses that package net puts before it.
func Bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// Fault tells why no TLS connection came about, or was ended by the peer. limit
// is how long an answer was waited for.
func Fault(address string, err error, now time.Time, limit time.Duration) (code, text string) {
	code, why := model.PeerTLSFailed, strings.TrimPrefix(err.Error(), "tls: ")
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		header    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		code, why = expiry(invalid.Cert, now)
	case errors.As(err, &invalid):
		code, why = model.PeerCertificateUntrusted, invalid.Error()
	case errors.As(err, &authority):
		code, why = model.PeerCertificateUntrusted, "its certificate is signed by an authority that is not trusted here"
	case errors.As(err, &host):
		code, why = model.PeerCertificateUntrusted, strings.TrimPrefix(host.Error(), "x509: ")
	case Alert(err) != "":
		why = refusal(Alert(err))
	case errors.As(err, &header):
		why = "it does not speak TLS"
	case IsTimeout(err):
		why = fmt.Sprintf("no answer for %v", limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		why = "it closed the connection during the handshake; it may not speak TLS"
	}
	return code, fmt.Sprintf("TLS with %s: %s", address, why)
}

// Alert is the alert that the peer sent, "" if err is none. With TLS 1.3 the
// peer judges our certificate when we are done already, so an alert may come
// instead of the first message.
func Alert(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" && op.Err != nil {
		return strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// refusal puts an alert into words.
func refusal(alert string) string {
	switch {
	case alert == "certificate required":
		return "it wants a client certificate, and none is configured"
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "access denied"):
		return "it refuses our client certificate: " + alert
	}
	return "it refuses: " + alert
}

// expiry tells which end of its life a certificate is beyond. A router without a
// clock of its own starts in the past.
func expiry(cert *x509.Certificate, now time.Time) (code, why string) {
	const day = "2006-01-02 15:04"
	if cert != nil && now.Before(cert.NotBefore) {
		return model.PeerCertificateNotYetValid, fmt.Sprintf("its certificate is valid from %s on, and the clock here says %s", cert.NotBefore.UTC().Format(day), now.UTC().Format(day))
	}
	if cert == nil {
		return model.PeerCertificateExpired, "its certificate has expired"
	}
	return model.PeerCertificateExpired, fmt.Sprintf("its certificate has expired on %s, and the clock here says %s", cert.NotAfter.UTC().Format(day), now.UTC().Format(day))
}
