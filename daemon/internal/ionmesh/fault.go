package ionmesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/peertls"
)

// Fault is why an exchange with the orchestrator did not go well.
type Fault struct {
	Code    string // finding code without "ionmesh-"
	Text    string
	Refused bool          // the orchestrator answered, and said no
	Status  int           // of HTTP; 0: there was no answer
	After   time.Duration // Retry-After; 0: none
	cause   error
}

// Error is the text.
func (f *Fault) Error() string { return f.Text }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.cause }

func faultf(code string, cause error, format string, args ...any) *Fault {
	return &Fault{Code: code, Text: fmt.Sprintf(format, args...), cause: cause}
}

// errMoved ends an exchange whose path carries nothing any more.
var errMoved = errors.New("its path is lost, it is tried again over another")

// exchangeFault tells why no answer came. Faults of dialling come as they are.
func exchangeFault(ctx context.Context, address string, err error, now time.Time, limit time.Duration) *Fault {
	var f *Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(context.Cause(ctx), errMoved):
		return faultf(model.PeerClosed, errMoved, "%s: %v", address, errMoved)
	case peertls.Alert(err) != "":
		code, text := peertls.Fault(address, err, now, limit)
		return &Fault{Code: code, Text: text, cause: err}
	case peertls.IsTimeout(err):
		return faultf(model.MeshTimeout, err, "%s: no whole answer within %v", address, limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return faultf(model.PeerClosed, err, "%s closed the connection before its answer was whole", address)
	}
	return faultf(model.MeshBadAnswer, err, "%s: %s", address, printable(peertls.Bare(err).Error(), 200))
}

// statusFault tells what an HTTP status other than 200 means. registering: the
// question was for a card.
func statusFault(address string, r *http.Response, body []byte, registering bool) *Fault {
	message, stated := decodeError(body)
	f := &Fault{Status: r.StatusCode, After: retryAfter(r.Header.Get("Retry-After"), r.Header.Get("Date"))}
	said := message
	if said == "" {
		said = http.StatusText(r.StatusCode)
	}
	say := func(code, what string) *Fault {
		f.Code, f.Text = code, fmt.Sprintf("%s %s (%d: %s)", address, what, r.StatusCode, said)
		return f
	}
	switch s := r.StatusCode; {
	case s >= 300 && s < 400:
		return say(model.MeshRedirected, "sends us elsewhere, which is refused: "+printable(r.Header.Get("Location"), 100))
	case s == 502 || s == 504:
		return say(model.MeshBusy, "cannot be reached behind its proxy")
	case s == 407 || s == 511 || !stated && s != 401 && s != 403 && s != 429 && s != 503:
		return say(model.MeshBadAnswer, "does not answer as an orchestrator does: "+contentOf(r))
	}
	f.Refused = true
	switch s := r.StatusCode; {
	case s == 401 || s == 403:
		return say(model.MeshKeyRefused, "refuses our API key or certificate")
	case s == 429:
		return say(model.MeshBusy, "has had too many requests")
	case s == 404 && registering && strings.Contains(strings.ToLower(message), "tenant"):
		return say(model.MeshTenantUnknown, "does not know the tenant")
	case s == 404 && registering, s == 503 && registering && stated:
		return say(model.MeshPoolExhausted, "has no card for us")
	case s == 409:
		return say(model.MeshNoSlot, "has no free slot")
	case s == 503:
		f.Refused = stated
		return say(model.MeshBusy, "cannot serve now")
	}
	return say(model.MeshRequest, "refuses the request")
}

// contentOf says what came instead of an answer.
func contentOf(r *http.Response) string {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch kind {
	case "":
		return "something without a type"
	case "text/html":
		return "a web page, as of a proxy or a captive portal"
	}
	return printable(kind, 60)
}

// bodyFault tells what is wrong with the body of an answer with status 200.
func bodyFault(address string, r *http.Response, err error) *Fault {
	var stated *statedError
	if errors.As(err, &stated) {
		f := faultf(model.MeshRequest, err, "%s refuses the request (%v)", address, stated)
		f.Refused, f.Status = true, r.StatusCode
		return f
	}
	f := faultf(model.MeshBadAnswer, err, "%s does not answer as an orchestrator does: %v", address, err)
	if kind := r.Header.Get("Content-Type"); kind != "" && !strings.Contains(kind, "json") {
		f.Text = fmt.Sprintf("%s does not answer as an orchestrator does: %s", address, contentOf(r))
	}
	f.Status = r.StatusCode
	return f
}

// maxRetryAfter bounds what a Retry-After can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header: seconds, or a date (RFC 9110 §10.2.3) against the
// date of the same answer, as our own clock may be anywhere.
func retryAfter(value, date string) time.Duration {
	if value == "" {
		return 0
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(maxRetryAfter, time.Duration(n)*time.Second)
	}
	until, err1 := http.ParseTime(value)
	now, err2 := http.ParseTime(date)
	if err1 != nil || err2 != nil {
		return 0
	}
	return min(maxRetryAfter, max(0, until.Sub(now)))
}
