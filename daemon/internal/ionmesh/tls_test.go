package ionmesh_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// patience bounds the wait for anything on a real network of a machine that is
// busy with other tests.
const patience = 30 * time.Second

// secret is the API key that must appear nowhere.
const secret = "k3y-C4n4ry-0f-the-t3st"

// realWorld is an orchestrator and a router on the loopback device.
type realWorld struct {
	t    *testing.T
	fake *ionmeshfake.Fake
	plan model.IonMeshPlan
	set  setup
	*router
}

func newReal(t *testing.T, o ionmeshfake.Options) *realWorld {
	t.Helper()
	w := &realWorld{t: t}
	var err error
	w.fake, err = ionmeshfake.Start(o)
	require.NoError(t, err)
	t.Cleanup(w.fake.Close)
	w.fake.Add(ionmeshfake.Card{Bank: 1, Slot: 0, Endpoint: "http://127.0.0.1:9999"})
	w.plan = plan(w.fake.URL())
	clock, err := ionmesh.NewClock()
	require.NoError(t, err)
	w.set = setup{clock: clock, store: ionmesh.NewStore(t.TempDir(), t.TempDir())}
	return w
}

func (w *realWorld) begin() {
	w.set.plan = w.plan
	w.router = start(w.t, w.set)
	w.t.Cleanup(w.stop)
}

func (w *realWorld) await(what string, so func() bool) {
	w.t.Helper()
	require.Eventually(w.t, so, patience, 10*time.Millisecond, what)
}

// fails waits for a fault with this code and returns its words.
func (w *realWorld) fails(code string) string {
	w.t.Helper()
	var ev model.IonMeshChanged
	require.Eventually(w.t, func() bool { ev, _ = w.now("primary"); return ev.Code != "" }, patience, 10*time.Millisecond)
	require.Equal(w.t, code, ev.Code, ev.Reason)
	return ev.Reason
}

func (w *realWorld) keyFile(mode os.FileMode) string {
	path := filepath.Join(w.t.TempDir(), "key")
	require.NoError(w.t, os.WriteFile(path, []byte(secret+"\n"), 0o600))
	require.NoError(w.t, os.Chmod(path, mode))
	return path
}

func TestMutualTLSWithKey(t *testing.T) {
	a := newAuthority(t, "our CA")
	o := lean()
	o.TLS, o.APIKey, o.Interval = listenTLS(t, a.sign("server", plain), a.CA), secret, time.Second
	w := newReal(t, o)
	files := a.sign("client", plain)
	w.plan.TLS, w.plan.KeyFile = &files, w.keyFile(0o600)
	w.begin()
	w.await("lean beats", func() bool { v, ok := w.fake.Client("router"); return ok && v.Lean && v.Beats > 1 })
	require.Equal(t, 0, w.slot())
	steps := w.client.Test(t.Context())
	require.Len(t, steps, 3)
	require.Contains(t, steps[1].Text, "TLS 1.3, certificate of CN=server")
	require.NoError(t, ionmesh.Unregister(t.Context(), w.plan, nil))
	_, ok := w.fake.Client("router")
	require.False(t, ok)
	require.NoError(t, ionmesh.Unregister(t.Context(), w.plan, nil), "twice is no fault")
}

func TestWhyTLSFails(t *testing.T) {
	ours, other := newAuthority(t, "our CA"), newAuthority(t, "other CA")
	good, server := ours.sign("client", plain), ours.sign("server", plain)
	stranger := other.sign("client", plain)
	past, future := time.Now().Add(-2*time.Hour), time.Now().Add(24*time.Hour)
	for name, c := range map[string]struct {
		server, client model.TLSFiles
		code, text     string
	}{
		"expired": {ours.sign("expired", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = past.Add(-time.Hour), past }), good,
			model.PeerCertificateExpired, "its certificate has expired on " + past.UTC().Format("2006-01-02 15:04")},
		"not yet valid": {ours.sign("future", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = future, future.Add(time.Hour) }), good,
			model.PeerCertificateNotYetValid, "and the clock here says"},
		"other authority": {other.sign("server", plain), good, model.PeerCertificateUntrusted, "signed by an authority that is not trusted here"},
		"other host": {ours.sign("elsewhere", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }), good,
			model.PeerCertificateUntrusted, "certificate is valid for 192.0.2.1, not 127.0.0.1"},
		"no client certificate":    {server, model.TLSFiles{CA: ours.CA}, model.PeerTLSFailed, "it wants a client certificate, and none is configured"},
		"other client certificate": {server, model.TLSFiles{CA: ours.CA, Cert: stranger.Cert, Key: stranger.Key}, model.PeerTLSFailed, "it refuses our client certificate"},
		"no such file":             {server, model.TLSFiles{CA: "/nonexistent/ca.pem"}, model.PeerTLSFailed, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			o := modern()
			o.TLS = listenTLS(t, c.server, ours.CA)
			w := newReal(t, o)
			w.plan.TLS = &c.client
			w.begin()
			require.Contains(t, w.fails(c.code), c.text)
			require.Equal(t, -1, w.slot())
		})
	}
	t.Run("no TLS there", func(t *testing.T) {
		w := newReal(t, modern())
		w.plan.URL, w.plan.TLS = "https"+strings.TrimPrefix(w.plan.URL, "http"), &good
		w.begin()
		require.Contains(t, w.fails(model.PeerTLSFailed), "does not speak TLS")
	})
}

func TestClockOf1970(t *testing.T) {
	a := newAuthority(t, "our CA")
	o := modern()
	o.TLS = listenTLS(t, a.sign("server", plain), "")
	w := newReal(t, o)
	w.plan.TLS = &model.TLSFiles{CA: a.CA}
	c := newClock()
	c.wall, c.trusted = time.Until(time.Unix(300, 0)), false
	w.set.clock = c
	w.begin()
	require.Contains(t, w.fails(model.PeerCertificateNotYetValid), "and the clock here says 1970-01-01 00:05")
	c.mu.Lock()
	c.wall = 0
	c.mu.Unlock()
	w.await("the clock was set", func() bool { return w.slot() == 0 })
}

func TestWhatIsNotEvenTried(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(w *realWorld)
		code, text string
	}{
		"a key that others can read": {func(w *realWorld) { w.plan.KeyFile = w.keyFile(0o640) }, model.MeshKeyFile, "has mode 0640: others can read it; set it to 0600"},
		"a key that is not there":    {func(w *realWorld) { w.plan.KeyFile = "/nonexistent/key" }, model.MeshKeyFile, "no such file"},
		"clear text off loopback":    {func(w *realWorld) { w.plan.URL = "http://192.0.2.1:5000" }, model.MeshClearText, "clear text to 192.0.2.1:5000 is refused"},
		"the wrong key": {func(w *realWorld) {
			w.fake.Set(func(o *ionmeshfake.Options) { o.APIKey = "other" })
			w.plan.KeyFile = w.keyFile(0o600)
		}, model.MeshKeyRefused, "refuses our API key"},
		"nothing listens":     {func(w *realWorld) { w.fake.Stop() }, model.PeerConnectRefused, "connection refused"},
		"a name that is none": {func(w *realWorld) { w.plan.URL = "http://localhost.invalid:1"; w.plan.AllowInsecure = true }, model.PeerDNSFailed, "cannot be resolved"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newReal(t, modern())
			c.change(w)
			w.begin()
			require.Contains(t, w.fails(c.code), c.text)
		})
	}
}

// TestSecretsStayInside looks for the key, and for the card's numbers, in
// everything that goes out and everything that is kept.
func TestSecretsStayInside(t *testing.T) {
	o := lean()
	o.APIKey, o.Interval = "other", time.Second
	w := newReal(t, o)
	w.fake.Misbehave(ionmeshfake.Fault{Kind: ionmeshfake.Answer, Status: 400, Times: 1, Body: `{"status":"error","message":"line\nbreak \u001b[31m"}`})
	w.plan.KeyFile = w.keyFile(0o600)
	w.begin()
	w.await("the key is refused", func() bool { s, _ := w.now("primary"); return s.Code == model.MeshKeyRefused })
	w.fake.Set(func(o *ionmeshfake.Options) { o.APIKey = secret })
	w.await("lean beats", func() bool { v, ok := w.fake.Client("router"); return ok && v.Lean })
	state, l := w.now("primary")
	kept, err := w.set.store.Load()
	require.NoError(t, err)
	text, err := json.Marshal([]any{state, l, w.client.Test(t.Context()), kept, w.plan.KeyFile})
	require.NoError(t, err)
	for _, s := range []string{string(text), fmt.Sprintf("%+v %+v %+v", state, l, w.plan)} {
		require.NotContains(t, s, secret)
		require.NotContains(t, s, "\x1b")
	}
}

// TestBehindRealProxies puts programs of Debian between: what ends TLS there is
// what most orchestrators have in front.
func TestBehindRealProxies(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, a *authority, port int, to string){"stunnel4": startStunnel, "nginx": startNginx} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("needs %s: %v", name, err)
				}
				t.Skipf("needs %s: %v", name, err)
			}
			a := newAuthority(t, "our CA")
			o := lean()
			o.Interval = time.Second
			w := newReal(t, o)
			port := freePort(t)
			start(t, a, port, w.fake.Address())
			files := a.sign("client", plain)
			w.plan.URL, w.plan.TLS = fmt.Sprintf("https://127.0.0.1:%d", port), &files
			w.begin()
			w.await("lean beats through it", func() bool { v, ok := w.fake.Client("router"); return ok && v.Lean && v.Beats > 1 })
			w.fake.Stop()
			w.await("an outage behind it", func() bool { s, _ := w.now("primary"); return s.State == model.MeshSilent })
			require.Equal(t, 0, w.slot())
			s, _ := w.now("primary")
			t.Logf("%s: %s", s.Code, s.Reason)
			require.NoError(t, w.fake.Resume())
			w.await("and back", func() bool { s, _ := w.now("primary"); return s.State == model.MeshRegistered })
		})
	}
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startStunnel(t *testing.T, a *authority, port int, to string) {
	server := a.sign("stunnel", plain)
	conf := fmt.Sprintf("foreground = yes\npid =\ndebug = notice\nsyslog = no\n[s]\naccept = 127.0.0.1:%d\nconnect = %s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\n",
		port, to, server.Cert, server.Key, a.CA)
	path := filepath.Join(t.TempDir(), "stunnel.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf), 0o600))
	run(t, port, "stunnel4", path)
}

func startNginx(t *testing.T, a *authority, port int, to string) {
	server, dir := a.sign("nginx", plain), t.TempDir()
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; worker_processes 1;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]d ssl;
		ssl_certificate "%[3]s"; ssl_certificate_key "%[4]s"; ssl_client_certificate "%[5]s"; ssl_verify_client on;
		location / {
			proxy_pass http://%[6]s; proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
		}
	}
}
`, dir, port, server.Cert, server.Key, a.CA, to)
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf), 0o600))
	run(t, port, "nginx", "-p", dir, "-c", path)
}

// run keeps a program running until the test ends, and waits until it listens.
func run(t *testing.T, port int, program string, args ...string) {
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // nginx takes its worker with it
		_ = cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("%s, the end of its log:\n%s", program, b[max(0, len(b)-2000):])
		}
		_ = log.Close()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
}
