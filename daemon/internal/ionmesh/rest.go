package ionmesh

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/peertls"
)

// apiPath is where the original project's API lies under the URL.
const apiPath = "/api/backend/v1/remsim/"

// DialFunc opens a TCP connection over a path, for a purpose. It resolves names
// itself.
type DialFunc func(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error)

// dialAnywhere leaves the way to the kernel. Without TCP keep-alives: a metered
// link cannot pay for them.
func dialAnywhere(ctx context.Context, _ model.Path, _ model.Purpose, network, address string) (net.Conn, error) {
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
}

// rest speaks HTTP/1.1 with one orchestrator over connections that it keeps.
type rest struct {
	dial DialFunc
	now  func() time.Time // for certificates
	http *http.Transport
	// tickets resume TLS sessions, but only without a client certificate: with
	// one the ticket holds the whole chain, and resuming costs more than anew.
	tickets tls.ClientSessionCache

	mu   sync.Mutex
	plan model.IonMeshPlan
	base *url.URL
}

func newRest(dial DialFunc, now func() time.Time) *rest {
	if dial == nil {
		dial = dialAnywhere
	}
	r := &rest{dial: dial, now: now, tickets: tls.NewLRUClientSessionCache(1)}
	r.http = &http.Transport{
		DialContext: r.connect, DialTLSContext: r.connect,
		DisableCompression: true, // an answer is small, and what unpacks to a gigabyte is not welcome
		MaxIdleConns:       1, MaxIdleConnsPerHost: 1,
		MaxResponseHeaderBytes: 16 << 10,
	}
	return r
}

// use takes over a plan. Connections of another one are given up.
func (r *rest) use(p model.IonMeshPlan) {
	r.mu.Lock()
	moved := !sameWay(r.plan, p)
	r.plan = p
	r.base, _ = url.Parse(p.URL) // the configuration was checked; nil is a fault of each request
	r.mu.Unlock()
	if moved {
		r.http.CloseIdleConnections()
	}
}

// sameWay tells whether connections of one plan serve the other.
func sameWay(a, b model.IonMeshPlan) bool {
	return a.URL == b.URL && a.Path.Same(b.Path) && a.KeyFile == b.KeyFile && sameTLS(a.TLS, b.TLS)
}

func sameTLS(a, b *model.TLSFiles) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (r *rest) current() (model.IonMeshPlan, *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plan, r.base
}

// address is host and port of the orchestrator, for words and for dialling.
func address(u *url.URL) string {
	if u == nil {
		return "the orchestrator"
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// connect opens a connection for the plan: TCP, and TLS if it is wanted.
func (r *rest) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	p, base := r.current()
	// The transport lets a dial go on when its request has given up.
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if base == nil || base.Host == "" {
		return nil, faultf(model.MeshBadAnswer, nil, "the URL of the orchestrator cannot be read")
	}
	where := address(base)
	if p.TLS == nil && !p.AllowInsecure && !loopback(base.Hostname()) {
		return nil, faultf(model.MeshClearText, nil, "clear text to %s is refused: write https://", where)
	}
	var cfg *tls.Config
	if p.TLS != nil {
		var err error
		if cfg, err = peertls.Config(base.Hostname(), *p.TLS); err != nil {
			return nil, faultf(model.PeerTLSFailed, err, "TLS with %s: %v", where, err)
		}
		cfg.Time = r.now
		if p.TLS.Cert == "" {
			cfg.ClientSessionCache = r.tickets
		}
	}
	nc, err := r.dial(ctx, p.Path, model.PurposeOrchestrator, "tcp", where)
	if err != nil {
		code, text := peertls.DialFault(where, err, p.Timeout)
		return nil, &Fault{Code: code, Text: text, cause: err}
	}
	if cfg == nil {
		return nc, nil
	}
	t := tls.Client(nc, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		code, text := peertls.Fault(where, err, r.now(), p.Timeout)
		return nil, &Fault{Code: code, Text: text, cause: err}
	}
	return t, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// call makes one request and returns the body of an answer with status 200.
func (r *rest) call(ctx context.Context, method, path string, body any) (*http.Response, []byte, *Fault) {
	p, base := r.current()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	req, fault := r.request(ctx, p, base, method, path, body)
	if fault != nil {
		return nil, nil, fault
	}
	where := address(base)
	res, err := r.http.RoundTrip(req)
	if err != nil {
		return nil, nil, exchangeFault(ctx, where, err, r.now(), p.Timeout)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, nil, exchangeFault(ctx, where, err, r.now(), p.Timeout)
	case len(answer) > maxBody:
		return nil, nil, faultf(model.MeshBadAnswer, nil, "%s sent more than %d bytes", where, maxBody)
	case res.StatusCode != http.StatusOK:
		return nil, nil, statusFault(where, res, answer, strings.HasSuffix(path, "register-client"))
	}
	return res, answer, nil
}

func (r *rest) request(ctx context.Context, p model.IonMeshPlan, base *url.URL, method, path string, body any) (*http.Request, *Fault) {
	key, err := readKey(p.KeyFile)
	if err != nil {
		return nil, faultf(model.MeshKeyFile, err, "API key: %v", err)
	}
	if base == nil {
		return nil, faultf(model.MeshBadAnswer, nil, "the URL of the orchestrator cannot be read")
	}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, faultf(model.MeshRequest, err, "write the request: %v", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base.String(), "/")+apiPath+path, content)
	if err != nil {
		return nil, faultf(model.MeshBadAnswer, err, "the URL of the orchestrator cannot be used")
	}
	req.Header["User-Agent"] = nil // each byte counts
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	// Everything here may be said twice: a kept connection that its other end has
	// closed meanwhile costs a second try, not a fault. Empty, it is not sent.
	req.Header["X-Idempotency-Key"] = []string{}
	return req, nil
}

// Bounds of an API key.
const maxKey = 4096

// readKey reads the API key from its file, which must be private. It never stands
// in an error.
func readKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("file %s has mode %04o: others can read it; set it to 0600", path, info.Mode().Perm())
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxKey) {
		return "", fmt.Errorf("file %s is no file of at most %d bytes", path, maxKey)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fmt.Errorf("read file %s: %w", path, err)
	}
	key := strings.TrimSpace(string(b))
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", fmt.Errorf("file %s holds more than one printable word", path)
		}
	}
	if key == "" {
		return "", fmt.Errorf("file %s is empty", path)
	}
	return key, nil
}

// register asks for a card.
func (r *rest) register(ctx context.Context, client string) (Answer, *Fault) {
	p, base := r.current()
	res, body, fault := r.call(ctx, http.MethodPost, "register-client", registration{client, p.Mode, p.MCCMNC, p.TenantID})
	if fault != nil {
		return Answer{}, fault
	}
	a, err := DecodeRegistered(body)
	if err != nil {
		return a, bodyFault(address(base), res, err)
	}
	return a, nil
}

// beat tells that a client lives.
func (r *rest) beat(ctx context.Context, client, status string, s Stats) (Answer, *Fault) {
	_, base := r.current()
	res, body, fault := r.call(ctx, http.MethodPost, "heartbeat", beat{client, status, s})
	if fault != nil {
		return Answer{}, fault
	}
	a, err := DecodeBeat(body)
	if err != nil {
		return a, bodyFault(address(base), res, err)
	}
	return a, nil
}

// result tells what came of a command.
func (r *rest) result(ctx context.Context, client string, res Result) *Fault {
	_, _, fault := r.call(ctx, http.MethodPost, "command-result", struct {
		ClientID string `json:"client_id"`
		Result
	}{client, res})
	return fault
}

// discover asks what the orchestrator can do. One that does not know the question
// is an old one and can nothing more.
func (r *rest) discover(ctx context.Context) (Discovered, *Fault) {
	_, base := r.current()
	res, body, fault := r.call(ctx, http.MethodGet, "discover", nil)
	if fault != nil && fault.Status == http.StatusNotFound {
		return Discovered{}, nil
	}
	if fault != nil {
		return Discovered{}, fault
	}
	d, err := DecodeDiscovered(body)
	if err != nil {
		return d, bodyFault(address(base), res, err)
	}
	return d, nil
}

// unregister gives everything back. A client that is not known is no fault.
func (r *rest) unregister(ctx context.Context, client string) *Fault {
	_, _, fault := r.call(ctx, http.MethodDelete, "unregister/"+url.PathEscape(client), nil)
	if fault != nil && fault.Status == http.StatusNotFound && fault.Refused {
		return nil
	}
	return fault
}
