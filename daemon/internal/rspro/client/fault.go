package client

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
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// fault is why a connection could not be had, or ended.
type fault struct {
	code    string // model.Peer…, "" for none
	text    string
	refused bool // the peer answered with a result that is not ok
	cause   error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

func faultf(code, format string, args ...any) *fault {
	return &fault{code: code, text: fmt.Sprintf(format, args...)}
}

// Why we end a connection ourselves.
var (
	errMoved = errors.New("another peer is wanted")
	// errStranded ends a connection whose path carries nothing any more.
	errStranded = errors.New("its path is lost, the connection is made over another")
	errStopping = errors.New("the daemon stops or the session is switched off")
	errClosed   = errors.New("the connection to the bank is closed")
)

// asFault makes a fault of any error.
func asFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	return &fault{text: err.Error(), cause: err}
}

// dialFault tells why a peer cannot be reached.
func dialFault(address string, err error) *fault {
	var dns *net.DNSError
	code, why := model.PeerConnectTimeout, err.Error()
	switch {
	case errors.As(err, &dns):
		code, why = model.PeerDNSFailed, fmt.Sprintf("the name %s cannot be resolved: %s", dns.Name, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		code, why = model.PeerConnectRefused, "connection refused"
	case isTimeout(err):
		why = fmt.Sprintf("no answer for %v", connectTimeout)
	default:
		var op *net.OpError
		if errors.As(err, &op) && op.Err != nil {
			why = op.Err.Error() // without the addresses, which stand before it
		}
	}
	return &fault{code: code, text: fmt.Sprintf("connect to %s: %s", address, why), cause: err}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// tlsFault tells why no TLS connection came about, or was ended by the peer.
func tlsFault(address string, err error, now time.Time) *fault {
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
	case alertOf(err) != "":
		why = refusal(alertOf(err))
	case errors.As(err, &header):
		why = "it does not speak TLS"
	case isTimeout(err):
		why = fmt.Sprintf("no answer for %v", tlsTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		why = "it closed the connection during the handshake; it may not speak TLS"
	}
	return &fault{code: code, text: fmt.Sprintf("TLS with %s: %s", address, why), cause: err}
}

// alertOf is the alert that the peer sent, "" if err is none. With TLS 1.3 the
// peer judges our certificate when we are done already, so an alert may come
// instead of the first message.
func alertOf(err error) string {
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

// readFault tells why a connection ended while reading.
func readFault(who, address string, err error) *fault {
	switch {
	case errors.Is(err, rspro.ErrNotRSPRO):
		return &fault{code: model.PeerGarbage, text: fmt.Sprintf("%s at %s is no RSPRO peer: %v", who, address, err), cause: err}
	case alertOf(err) != "":
		return tlsFault(address, err, time.Now())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &fault{code: model.PeerClosed, text: fmt.Sprintf("%s closed the connection in the middle of a message: %v", who, err), cause: err}
	case errors.Is(err, io.EOF):
		return &fault{code: model.PeerClosed, text: who + " closed the connection", cause: err}
	case errors.Is(err, syscall.ECONNRESET):
		return &fault{code: model.PeerClosed, text: who + " reset the connection", cause: err}
	}
	return &fault{code: model.PeerClosed, text: fmt.Sprintf("connection to %s: %v", who, bare(err)), cause: err}
}

// writeFault tells why a connection ended while writing.
func writeFault(who string, err error) *fault {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &fault{code: model.PeerWriteTimeout, text: fmt.Sprintf("%s took no data for more than %v", who, writeTimeout), cause: err}
	}
	return &fault{code: model.PeerClosed, text: fmt.Sprintf("write to %s: %v", who, bare(err)), cause: err}
}

// bare is the error without the addresses that package net puts before it.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// resultFault tells why the peer refuses us.
func resultFault(who string, client rspro.ClientSlot, r rspro.ResultCode) *fault {
	f := &fault{code: model.PeerRefused, refused: true, text: fmt.Sprintf("%s refused %s: %v", who, client, r)}
	switch r {
	case rspro.ResultIdentityInUse:
		f.code = model.PeerIdentityInUse
		f.text = fmt.Sprintf("%s says that another client is connected as %s (identityInUse)", who, client)
	case rspro.ResultCardNotPresent:
		f.code = model.PeerNoCard
		f.text = fmt.Sprintf("%s has no card for %s: no map, no card in the slot, or another client holds it (cardNotPresent)", who, client)
	}
	return f
}
