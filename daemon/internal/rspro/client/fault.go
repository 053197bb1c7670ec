package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/peertls"
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
	code, text := peertls.DialFault(address, err, connectTimeout)
	return &fault{code: code, text: text, cause: err}
}

// tlsFault tells why no TLS connection came about, or was ended by the peer.
func tlsFault(address string, err error, now time.Time) *fault {
	code, text := peertls.Fault(address, err, now, tlsTimeout)
	return &fault{code: code, text: text, cause: err}
}

// readFault tells why a connection ended while reading.
func readFault(who, address string, err error) *fault {
	switch {
	case errors.Is(err, rspro.ErrNotRSPRO):
		return &fault{code: model.PeerGarbage, text: fmt.Sprintf("%s at %s is no RSPRO peer: %v", who, address, err), cause: err}
	case peertls.Alert(err) != "":
		return tlsFault(address, err, time.Now())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &fault{code: model.PeerClosed, text: fmt.Sprintf("%s closed the connection in the middle of a message: %v", who, err), cause: err}
	case errors.Is(err, io.EOF):
		return &fault{code: model.PeerClosed, text: who + " closed the connection", cause: err}
	case errors.Is(err, syscall.ECONNRESET):
		return &fault{code: model.PeerClosed, text: who + " reset the connection", cause: err}
	}
	return &fault{code: model.PeerClosed, text: fmt.Sprintf("connection to %s: %v", who, peertls.Bare(err)), cause: err}
}

// writeFault tells why a connection ended while writing.
func writeFault(who string, err error) *fault {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &fault{code: model.PeerWriteTimeout, text: fmt.Sprintf("%s took no data for more than %v", who, writeTimeout), cause: err}
	}
	return &fault{code: model.PeerClosed, text: fmt.Sprintf("write to %s: %v", who, peertls.Bare(err)), cause: err}
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
