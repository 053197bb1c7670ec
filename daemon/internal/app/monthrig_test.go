package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/path"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// monthRig is the daemon with its real packet filter, routes and dialler in a
// network namespace, and a carrier in another one in which server, bank,
// orchestrator and name server are reached. The card's peers are the fakes, behind
// sockets of the carrier's namespace.
type monthRig struct {
	*world
	carrier *netrig.Space
	paths   *path.Paths
	via     model.Path
	trust   *x509.CertPool
	ca      string // file
	host    tls.Certificate
	router  tls.Certificate
}

// Ports of the carrier's host 10.1.0.2.
const (
	portServerPlain, portServerTLS = 9997, 9998
	portBankPlain, portBankTLS     = 9989, 9999
	portHTTP, portHTTPS, portMTLS  = 5080, 5443, 5444
	portLean                       = 5445
)

func newMonthRig(t *testing.T) *monthRig {
	w := newWorld(t)
	r := &monthRig{world: w, paths: path.New(path.Options{}), via: model.Path{Link: "iot", Number: 1, Device: "wwan1", DNS: []netip.Addr{netip.MustParseAddr("10.1.0.2")}}}
	r.carrier = netrig.New(t, "carrier")
	netrig.Wire(t, nil, "wwan1", r.carrier, "up0")
	// Segments are not put together, so that counters see what a carrier sees.
	netrig.Run(t, "ip addr add 10.1.0.1/24 dev wwan1\nip addr add fd00:1::1/64 dev wwan1 nodad\nip link set dev wwan1 gso_max_segs 1")
	r.carrier.Run("ip addr add 10.1.0.2/24 dev up0\nip addr add fd00:1::2/64 dev up0 nodad\nip link set dev up0 gso_max_segs 1")
	r.certificates()
	r.names()
	r.relay(portServerPlain, w.server.Port(), nil)
	r.relay(portServerTLS, w.server.Port(), r.tls(false))
	r.relay(portBankPlain, w.bank.Port(), nil)
	r.relay(portBankTLS, w.bank.Port(), r.tls(false))
	r.web(portHTTP, nil)
	r.web(portHTTPS, r.tls(false))
	r.web(portMTLS, r.tls(true))
	r.lean()
	n, err := netifdfake.Start(w.broker.Path())
	require.NoError(t, err)
	t.Cleanup(n.Close)
	require.NoError(t, n.Add(netifdfake.Config{Name: "wwan1", Proto: "dhcp", Device: "wwan1", L3: "wwan1",
		Addresses: []string{"10.1.0.1/24"}, Gateway: "10.1.0.2", DNS: []string{"10.1.0.2"}}))
	n.SetAvailable("wwan1", true)
	return r
}

// certificates are ECDSA P-256: an authority, a leaf for the carrier's host, and
// one for this router.
func (r *monthRig) certificates() {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(r, err)
		return k
	}
	base := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	}
	make := func(c, parent *x509.Certificate, k, signer *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, signer)
		require.NoError(r, err)
		return der
	}
	rootKey, midKey := key(), key()
	root := base("Example root")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	rootDER := make(root, root, rootKey, rootKey)
	mid := base("Example issuing CA")
	mid.IsCA, mid.BasicConstraintsValid, mid.KeyUsage = true, true, x509.KeyUsageCertSign
	midDER := make(mid, root, midKey, rootKey)
	leaf := func(name string, ips ...net.IP) tls.Certificate {
		k, c := key(), base(name)
		c.DNSNames, c.IPAddresses = []string{name}, ips
		return tls.Certificate{Certificate: [][]byte{make(c, mid, k, midKey), midDER}, PrivateKey: k}
	}
	r.host, r.router = leaf("bank.example.com", net.IPv4(10, 1, 0, 2)), leaf("router-1.example.com")
	parsed, err := x509.ParseCertificate(rootDER)
	require.NoError(r, err)
	r.trust = x509.NewCertPool()
	r.trust.AddCert(parsed)
	r.ca = filepath.Join(r.dir, "ca.pem")
	require.NoError(r, os.WriteFile(r.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), 0o600))
}

// tls is the carrier's side; mutual asks for the router's certificate.
func (r *monthRig) tls(mutual bool) *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{r.host}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true}
	if mutual {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, r.trust
	}
	return c
}

// quiet is a listener without TCP keep-alives: Go's default of 15 s would be 18 MB
// a month on a connection that idles, and stock peers send none.
type quiet struct{ net.Listener }

func (l quiet) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		err = t.SetKeepAlive(false)
	}
	return c, err
}

// listen listens at the carrier's host, in its namespace.
func (r *monthRig) listen(port int, cfg *tls.Config) net.Listener {
	var l net.Listener = quiet{r.carrier.Listen("tcp", fmt.Sprintf("10.1.0.2:%d", port))}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	r.Cleanup(func() { _ = l.Close() })
	return l
}

// serve hands each connection to fn until the test ends.
func (r *monthRig) serve(l net.Listener, fn func(c net.Conn)) {
	var wg sync.WaitGroup
	r.Cleanup(wg.Wait)
	r.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	r.Cleanup(cancel)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			wg.Go(func() { defer c.Close(); defer stop(); fn(c) })
		}
	})
}

// relay carries connections to a fake on this side's loopback.
func (r *monthRig) relay(port int, to uint16, cfg *tls.Config) {
	r.serve(r.listen(port, cfg), func(c net.Conn) {
		peer, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(peer, c); _ = peer.Close() })
		_, _ = io.Copy(c, peer)
		_, _ = c.Close(), peer.Close()
		wg.Wait()
	})
}

// The least body of a beat and its answer, as the original project has them.
const (
	beatBody   = `{"client_id":"router-1","status":"ok","stats":{}}`
	beatAnswer = `{"status":"ok","next_heartbeat_interval":300}`
)

// web answers beats over REST.
func (r *monthRig) web(port int, cfg *tls.Config) {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, beatAnswer)
	})}
	l := r.listen(port, cfg)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	r.Cleanup(func() { _ = s.Close(); wg.Wait() })
}

// lean answers each frame of 24 bytes with one of 8.
func (r *monthRig) lean() {
	r.serve(r.listen(portLean, r.tls(true)), func(c net.Conn) {
		b := make([]byte, 24)
		for {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if _, err := c.Write(b[:8]); err != nil {
				return
			}
		}
	})
}

// names is the carrier's name server: every name has the address of its host.
func (r *monthRig) names() {
	pc := r.carrier.ListenPacket("udp", "10.1.0.2:53")
	var wg sync.WaitGroup
	r.Cleanup(wg.Wait)
	r.Cleanup(func() { _ = pc.Close() })
	wg.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(nameAnswer(b[:n]), from)
		}
	})
}

// nameAnswer is RFC 1035 §4: the question again, and an address if one of IPv4 was
// asked for.
func nameAnswer(q []byte) []byte {
	end := 12 + strings.IndexByte(string(q[12:]), 0) + 5
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if binary.BigEndian.Uint16(q[end-4:]) == 1 {
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 10, 1, 0, 2)
	}
	return out
}

// dial opens a connection as the daemon does.
func (r *monthRig) dial(port int, cfg *tls.Config) net.Conn {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	c, err := r.paths.Dial(ctx, r.via, model.PurposeOrchestrator, "tcp", fmt.Sprintf("10.1.0.2:%d", port))
	require.NoError(r, err)
	if cfg == nil {
		return c
	}
	s := tls.Client(c, cfg)
	require.NoError(r, s.HandshakeContext(ctx))
	return s
}

// ours is the router's side of TLS; mutual shows its certificate.
func (r *monthRig) ours(mutual bool) *tls.Config {
	c := &tls.Config{RootCAs: r.trust, ServerName: "bank.example.com"}
	if mutual {
		c.Certificates = []tls.Certificate{r.router}
	}
	return c
}

// counted are the bytes of a purpose once nothing flows any more: acknowledgements
// wait for up to 40 ms.
func (r *monthRig) counted() map[string]int64 {
	k := meter.NewSystem()
	var last map[string]int64
	for since := time.Now(); time.Since(since) < bound; {
		reading, err := k.Read(context.Background())
		require.NoError(r, err)
		now := reading.Counts[0].Purposes
		if last != nil && reflect.DeepEqual(now, last) {
			return now
		}
		last = now
		<-time.After(80 * time.Millisecond)
	}
	r.Fatal("something flows all the time")
	return nil
}
