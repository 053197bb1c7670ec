package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

// authority signs certificates, all in one folder.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	CA   string
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.CA = a.sign(name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}).Cert
	return a
}

// sign makes a certificate and key for 127.0.0.1 and localhost; change may make
// something else of it.
func (a *authority) sign(name string, change func(*x509.Certificate)) model.TLSFiles {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(a.t, err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	change(c)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	if a.cert == nil {
		a.cert, err = x509.ParseCertificate(der)
		require.NoError(a.t, err)
		a.key = key
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	f := model.TLSFiles{CA: a.CA, Cert: filepath.Join(a.dir, name+".crt"), Key: filepath.Join(a.dir, name+".key")}
	require.NoError(a.t, os.WriteFile(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(a.t, os.WriteFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return f
}

func plain(*x509.Certificate) {}

// listenTLS is the configuration of a listener with these files; with a CA it
// wants client certificates.
func listenTLS(t testing.TB, f model.TLSFiles, clientCA string) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	if clientCA != "" {
		b, err := os.ReadFile(clientCA)
		require.NoError(t, err)
		cfg.ClientCAs = x509.NewCertPool()
		require.True(t, cfg.ClientCAs.AppendCertsFromPEM(b))
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg
}

func TestWhyTLSFails(t *testing.T) {
	ours, other := newAuthority(t, "our CA"), newAuthority(t, "other CA")
	good := ours.sign("client", plain)
	server := ours.sign("server", plain)
	past, future := time.Now().Add(-2*time.Hour), time.Now().Add(24*time.Hour)
	for name, c := range map[string]struct {
		server model.TLSFiles
		client model.TLSFiles
		code   string
		text   string
	}{
		"expired": {ours.sign("expired", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = past.Add(-time.Hour), past }), good,
			model.PeerCertificateExpired, "its certificate has expired on " + past.UTC().Format("2006-01-02 15:04")},
		"not yet valid": {ours.sign("future", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = future, future.Add(time.Hour) }), good,
			model.PeerCertificateNotYetValid, "its certificate is valid from " + future.UTC().Format("2006-01-02 15:04") + " on, and the clock here says"},
		"other authority": {other.sign("server", plain), good, model.PeerCertificateUntrusted, "signed by an authority that is not trusted here"},
		"other host": {ours.sign("elsewhere", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }), good,
			model.PeerCertificateUntrusted, "certificate is valid for 192.0.2.1, not 127.0.0.1"},
		"no client certificate":    {server, model.TLSFiles{CA: ours.CA}, model.PeerTLSFailed, "it wants a client certificate, and none is configured"},
		"other client certificate": {server, model.TLSFiles{CA: ours.CA, Cert: other.sign("client", plain).Cert, Key: filepath.Join(other.dir, "client.key")}, model.PeerTLSFailed, "it refuses our client certificate: unknown certificate authority"},
		"no such file":             {server, model.TLSFiles{CA: "/nonexistent/ca.pem"}, model.PeerTLSFailed, "read CA certificate: open /nonexistent/ca.pem: no such file or directory"},
		"no certificate in file":   {server, model.TLSFiles{CA: good.Key}, model.PeerTLSFailed, "no certificate in it"},
		"key of another":           {server, model.TLSFiles{CA: ours.CA, Cert: good.Cert, Key: server.Key}, model.PeerTLSFailed, "read client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTLSWorld(t, listenTLS(t, c.server, ours.CA))
			p := w.byServer()
			p.Servers[0].TLS = &c.client
			w.run(p)
			f := w.fails(model.PeerServer, c.code)
			require.True(t, f.TLS)
			require.Contains(t, f.Reason, c.text)
			w.fails(model.PeerServer, c.code) // and it goes on trying
		})
	}
	t.Run("no TLS there", func(t *testing.T) {
		w := newWorld(t)
		p := w.byServer()
		p.Servers[0].TLS = &good
		w.run(p)
		require.Contains(t, w.fails(model.PeerServer, model.PeerTLSFailed).Reason, "TLS with "+w.server.Addr()+": it closed the connection during the handshake; it may not speak TLS")
	})
	t.Run("TLS where none is expected", func(t *testing.T) {
		w := newTLSWorld(t, listenTLS(t, server, ""))
		w.run(w.byServer())
		w.events.await(t, "a failure", func(e model.Event) bool {
			p, ok := e.(model.PeerChanged)
			return ok && (p.Code == model.PeerGarbage || p.Code == model.PeerClosed)
		})
	})
}

// newTLSWorld is a world whose server and bank speak TLS themselves.
func newTLSWorld(t testing.TB, cfg *tls.Config) *world {
	t.Helper()
	w := &world{t: t, trace: newFeed[string](), events: newFeed[model.Event](), ear: ear{newFeed[said]()}}
	var err error
	w.server, err = rsprofake.StartServer(rsprofake.ServerConfig{Trace: w.trace.add, TLS: cfg})
	require.NoError(t, err)
	t.Cleanup(w.server.Close)
	w.bank, err = rsprofake.StartBank(rsprofake.BankConfig{ID: 1, Slots: 4, Trace: w.trace.add, TLS: cfg})
	require.NoError(t, err)
	t.Cleanup(w.bank.Close)
	w.bank.Insert(0, &softCard{atr: atr0})
	w.bank.Map(0, client1)
	return w
}

func TestTLSToServerAndBankWithClientCertificate(t *testing.T) {
	ours := newAuthority(t, "our CA")
	files := ours.sign("client", plain)
	w := newTLSWorld(t, listenTLS(t, ours.sign("server", plain), ours.CA))
	p := w.byServer()
	p.Servers[0].TLS, p.Servers[0].Host = &files, "localhost"
	p.Bank = &model.BankAssignment{Slot: slot0, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: w.bank.Port(), TLS: &files}, By: "config"}
	w.run(p)
	w.peer(model.PeerServer, model.ConnConnected)
	b := w.up()
	for i := range 100 {
		w.exchange(b, byte(i))
	}
	require.NoError(t, w.server.SendConfig(client1, slot0, net.IPv4(127, 0, 0, 1), 1))
	w.awaitTrace("configClientBankRes ok")
	for range 3 { // resumed handshakes
		b.Drop(io.EOF)
		w.ear.hears(t, "down")
		b = w.up()
		w.exchange(b, 1)
	}
	require.Empty(t, w.bank.Wrongs())

	steps := client.Probe(t.Context(), model.PeerServer, p.Servers[0], model.Path{}, nil)
	require.Len(t, steps, 3, "%+v", steps)
	require.Equal(t, "tls", steps[2].Name)
	require.True(t, steps[2].OK)
	require.Contains(t, steps[2].Text, "TLS 1.3, certificate of CN=server until ")
	require.Contains(t, steps[0].Text, "localhost is ")
	require.Contains(t, steps[1].Text, "connected to 127.0.0.1:")
}

func TestProbeStopsAtTheFirstStepThatFails(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, []string{"resolve ok", "tcp ok"}, outcome(client.Probe(t.Context(), model.PeerServer, endpoint(w.server.Port()), model.Path{}, nil)))
	require.Empty(t, w.server.Clients(), "nothing is said")
	withTLS := endpoint(w.server.Port())
	withTLS.TLS = &model.TLSFiles{}
	require.Equal(t, []string{"resolve ok", "tcp ok", "tls TLS with " + w.server.Addr() + ": it closed the connection during the handshake; it may not speak TLS"}, outcome(client.Probe(t.Context(), model.PeerServer, withTLS, model.Path{}, nil)))
	w.server.Stop()
	require.Equal(t, []string{"resolve ok", "tcp connect to " + w.server.Addr() + ": connection refused"}, outcome(client.Probe(t.Context(), model.PeerServer, endpoint(w.server.Port()), model.Path{}, nil)))
	require.False(t, client.Probe(t.Context(), model.PeerServer, model.Endpoint{Host: "no such name.invalid", Port: 1}, model.Path{}, nil)[0].OK)
}

func outcome(steps []model.Step) (out []string) {
	for _, s := range steps {
		if s.OK {
			s.Text = "ok"
		}
		out = append(out, s.Name+" "+s.Text)
	}
	return out
}

// TestThroughStunnel puts Debian's stunnel before a server and a bank that know
// no TLS, as operators do.
func TestThroughStunnel(t *testing.T) {
	program, err := exec.LookPath("stunnel4")
	if err != nil {
		need(t, "stunnel4: apt-get install stunnel4")
	}
	ours, other := newAuthority(t, "our CA"), newAuthority(t, "other CA")
	files, stranger := ours.sign("client", plain), other.sign("client", plain)
	stranger.CA = ours.CA
	w := newWorld(t)
	serverPort, bankPort := freePort(t), freePort(t)
	startStunnel(t, program, ours, map[uint16]string{serverPort: w.server.Addr(), bankPort: w.bank.Addr()})

	p := w.byServer()
	p.Servers = []model.Endpoint{{Host: "localhost", Port: serverPort, TLS: &stranger, Ping: 30 * time.Second}}
	p.Corrections = map[uint16]model.Endpoint{1: {Port: bankPort, TLS: &files}}
	require.NoError(t, w.server.AddMap(slot0, client1))
	w.run(p)
	f := w.fails(model.PeerServer, model.PeerTLSFailed)
	require.Contains(t, f.Reason, "it refuses our client certificate: unknown certificate authority")

	p.Servers = []model.Endpoint{{Host: "localhost", Port: serverPort, TLS: &files, Ping: 30 * time.Second}}
	w.plan.Set(p)
	require.True(t, w.peer(model.PeerServer, model.ConnConnected).TLS)
	require.True(t, w.peer(model.PeerBankd, model.ConnConnected).TLS)
	b := w.up()
	for i := range 300 {
		w.exchange(b, make([]byte, i%256)...)
	}
	// The card goes with the client: FIN comes through.
	w.stop()
	w.awaitTrace("ends: EOF")
	require.Empty(t, w.bank.Wrongs(), "every frame came in one piece")
	require.Empty(t, w.server.Wrongs())
}

func freePort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// startStunnel runs stunnel with client certificates required, until the test
// ends.
func startStunnel(t *testing.T, program string, a *authority, from map[uint16]string) {
	t.Helper()
	server := a.sign("stunnel", plain)
	conf := "foreground = yes\npid =\ndebug = notice\nsyslog = no\n"
	for port, to := range from {
		conf += fmt.Sprintf("[p%d]\naccept = 127.0.0.1:%d\nconnect = %s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\n", port, port, to, server.Cert, server.Key, a.CA)
	}
	path := filepath.Join(t.TempDir(), "stunnel.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf), 0o600))
	cmd := exec.Command(program, path)
	log, err := os.Create(filepath.Join(t.TempDir(), "stunnel.log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("stunnel, the end of its log:\n%s", b[max(0, len(b)-2000):])
		}
		_ = log.Close()
	})
	for port := range from {
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		}, patience, 10*time.Millisecond)
	}
}
