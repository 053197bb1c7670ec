package ionmesh_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// costDoc is what this test makes, with updateCost set: it runs in a process of its
// own, which flags do not reach.
const (
	costDoc    = "../../../docs/COST.md"
	updateCost = "REMSIM_UPDATE"
)

// month is 30 days in seconds.
const month = 30 * 24 * 3600

// way is one way of beating, as measured.
type way struct {
	name      string
	perBeat   float64 // bytes at the IP layer, both directions
	handshake float64 // bytes of one new connection
	perDay    float64 // new connections a day besides
}

func (w way) mb(interval int) float64 {
	return (w.perBeat*month/float64(interval) + w.handshake*w.perDay*30) / 1e6
}

// TestCost measures what a beat costs with the kernel's counters of a device
// between two network namespaces, and holds docs/COST.md and `remsim config check`
// to it.
func TestCost(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	netrig.Need(t, "ip")
	ways := []way{
		{name: "REST, a new connection per beat", perBeat: measure(t, ionmeshfake.Options{NoKeepAlive: true}, false).perBeat},
		{name: "REST, a new connection per beat, client certificate", perBeat: measure(t, ionmeshfake.Options{NoKeepAlive: true}, true).perBeat},
		{name: "REST, one connection kept", perBeat: measure(t, ionmeshfake.Options{}, true).perBeat},
		measure(t, ionmeshfake.Options{Capabilities: []string{"lean-beat", "lease"}}, true),
	}
	require.LessOrEqual(t, ways[3].mb(300), 2.5, "the contract's limit")
	text := costTable(ways)
	t.Log("\n" + text)
	if os.Getenv(updateCost) != "" {
		require.NoError(t, os.WriteFile(costDoc, []byte(text), 0o644))
	}
	holdsDoc(t, ways)
	holdsConfig(t, ways)
}

// measure lets a router beat, with a client certificate if mutual, and counts.
func measure(t *testing.T, o ionmeshfake.Options, mutual bool) (w way) {
	router, far := netrig.New(t, "router"), netrig.New(t, "far")
	netrig.Wire(t, router, "wwan0", far, "eth0")
	router.Run("ip addr add 198.18.0.2/24 dev wwan0\nip link set wwan0 up")
	far.Run("ip addr add 198.18.0.1/24 dev eth0\nip link set eth0 up")
	a := newAuthority(t, "authority")
	clientCA, files := "", model.TLSFiles{CA: a.CA}
	if mutual {
		clientCA, files = a.CA, a.sign("client", plain)
	}
	o.TLS, o.Interval = listenTLS(t, a.sign("server", plain), clientCA), time.Second
	o.Listen = func() (net.Listener, error) { return far.Listen("tcp", "198.18.0.1:5000"), nil }
	fake, err := ionmeshfake.Start(o)
	require.NoError(t, err)
	defer fake.Close()
	fake.Add(ionmeshfake.Card{Bank: 1, Slot: 0, Endpoint: "198.18.0.1:9999"})
	p := plan(fake.URL())
	p.TLS = &files
	defer beatOver(t, p, router)()
	lean := len(o.Capabilities) > 0
	await(t, fake, func(v ionmeshfake.View) bool { return v.Beats >= 2 && v.Lean == lean })

	const beats = 20
	start, from := beatsOf(fake), counted(t, router)
	await(t, fake, func(v ionmeshfake.View) bool { return v.Beats >= start+beats })
	settle(t, router)
	w.perBeat = (counted(t, router) - from) / float64(beatsOf(fake)-start)
	if !lean {
		return w
	}
	w.name, w.perDay = "lean beat, one new connection a day", 1
	start, from = beatsOf(fake), counted(t, router)
	fake.CutLean()
	require.Eventually(t, func() bool { return fake.Requests()["hello"] == 2 }, patience, 5*time.Millisecond)
	await(t, fake, func(v ionmeshfake.View) bool { return v.Lean && v.Beats > start })
	settle(t, router)
	w.handshake = counted(t, router) - from - w.perBeat*float64(beatsOf(fake)-start)
	return w
}

// beatOver runs a client whose connections leave from a namespace.
func beatOver(t *testing.T, p model.IonMeshPlan, from *netrig.Space) (stop func()) {
	clock, err := ionmesh.NewClock()
	require.NoError(t, err)
	c := ionmesh.New(ionmesh.Config{
		Plan:   cell.New(p, func(a, b model.IonMeshPlan) bool { return a.URL == b.URL }),
		Events: func(model.Event) {}, Clock: clock, Store: ionmesh.NewStore(t.TempDir(), t.TempDir()),
		Chance: func() float64 { return 0 },
		Dial: func(ctx context.Context, _ model.Path, _ model.Purpose, network, address string) (c net.Conn, err error) {
			err = from.Do(func() error {
				c, err = (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
				return err
			})
			return c, err
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func await(t *testing.T, fake *ionmeshfake.Fake, so func(v ionmeshfake.View) bool) {
	t.Helper()
	require.Eventually(t, func() bool { v, ok := fake.Client("router"); return ok && so(v) }, 2*patience, 5*time.Millisecond, fake)
}

func beatsOf(fake *ionmeshfake.Fake) int {
	v, _ := fake.Client("router")
	return v.Beats
}

// settle waits until what belongs to the last beat has passed: no byte within the
// time that a delayed acknowledgement takes.
func settle(t *testing.T, s *netrig.Space) {
	last := counted(t, s)
	for range 100 {
		<-time.After(150 * time.Millisecond)
		now := counted(t, s)
		if now == last {
			return
		}
		last = now
	}
	t.Fatal("the device never rests")
}

var devLine = regexp.MustCompile(`(?m)^\s*wwan0:\s*(\d+)\s+(\d+)\s+\d+\s+\d+\s+\d+\s+\d+\s+\d+\s+\d+\s+(\d+)\s+(\d+)`)

// counted is what has passed the device, without the Ethernet header of each
// frame: what a carrier counts.
func counted(t *testing.T, s *netrig.Space) float64 {
	m := devLine.FindStringSubmatch(s.Output("cat /proc/net/dev"))
	require.Len(t, m, 5)
	var n [4]float64
	for i := range n {
		var err error
		n[i], err = strconv.ParseFloat(m[i+1], 64)
		require.NoError(t, err)
	}
	return n[0] + n[2] - 14*(n[1]+n[3])
}

// costTable is docs/COST.md.
func costTable(ways []way) string {
	var b strings.Builder
	b.WriteString("# What the orchestrator costs\n\nMade by `REMSIM_UPDATE=1 go test ./daemon/internal/ionmesh -run TestCost` (as root): a router and an orchestrator in two network namespaces, TLS 1.3,\n" +
		"certificates with ECDSA P-256 and no intermediate one, the client's too but for the first line, 20 beats counted by the kernel at the device between them, at the IP layer, both directions. A month has 30 days. Carriers may round up.\n\n" +
		"| way | bytes per beat | MB a month at 60 s | at 300 s |\n|---|---|---|---|\n")
	for _, w := range ways {
		fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.2f |\n", w.name, w.perBeat, w.mb(60), w.mb(300))
	}
	fmt.Fprintf(&b, "\nA new lean connection costs %.0f bytes. Beats send no protocol pings and no TCP keep-alives.\n", ways[3].handshake)
	return b.String()
}

// tolerance of a measurement against what is written down: certificates differ by
// some bytes, and an acknowledgement may travel alone.
const tolerance = 0.1

func holdsDoc(t *testing.T, ways []way) {
	b, err := os.ReadFile(filepath.FromSlash(costDoc))
	require.NoError(t, err)
	for _, w := range ways {
		m := regexp.MustCompile(`\| ` + regexp.QuoteMeta(w.name) + ` \| (\d+) \|`).FindStringSubmatch(string(b))
		require.Len(t, m, 2, "docs/COST.md has no line for %s", w.name)
		written, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		require.InEpsilon(t, written, w.perBeat, tolerance, "docs/COST.md: %s", w.name)
	}
}

// holdsConfig compares with what `remsim config check` shows.
func holdsConfig(t *testing.T, ways []way) {
	text := "config ionmesh 'ionmesh'\n\toption enabled '1'\n\toption url 'https://h'\n\toption client_cert '/c'\n\toption client_key '/k'\n"
	cfg, _, err := config.Parse("remsim", []byte(text))
	require.NoError(t, err)
	var shown []float64
	for _, c := range cfg.Costs() {
		if strings.HasPrefix(c.Setting, "ionmesh.heartbeat_interval=300") {
			shown = append(shown, c.MBMonth)
		}
	}
	require.Len(t, shown, 3)
	for i, w := range []way{ways[3], ways[2], ways[1]} {
		require.InEpsilon(t, w.mb(300), shown[i], tolerance, w.name)
	}
}
