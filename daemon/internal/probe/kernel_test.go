package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/path"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// bound is how long a test on the real kernel waits for what must come.
const bound = 30 * time.Second

// carrier is a real network behind the device wwan0 of this namespace.
type carrier struct {
	*netrig.Space
	t     *testing.T
	paths *path.Paths
	world probe.World
	via   model.Path
}

func newCarrier(t *testing.T) *carrier {
	c := &carrier{Space: netrig.New(t, "carrier"), t: t, paths: path.New(path.Options{})}
	c.world = probe.System(sysfs(t), c.paths.Lookup)
	c.via = model.Path{Link: "iot", Number: 1, Device: "wwan0"}
	netrig.Wire(t, nil, "wwan0", c.Space, "eth0")
	netrig.Run(t, `ip addr add 10.0.1.2/24 dev wwan0
		ip addr add fd00:1::2/64 dev wwan0 nodad`)
	c.Run(`ip addr add 10.0.1.1/24 dev eth0
		ip addr add fd00:1::1/64 dev eth0 nodad
		ip addr add ` + server4 + `/32 dev lo
		ip addr add ` + deaf4 + `/32 dev lo
		ip addr add ` + dns4 + `/32 dev lo
		ip addr add ` + server6 + `/128 dev lo nodad`)
	// Only its own address is on the cable: without a gateway nothing is reached.
	require.NoError(t, c.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("1"), 0o644) }))
	c.route()
	c.Nft("table inet deaf { chain in { type filter hook input priority 0; ip daddr " + deaf4 + " icmp type echo-request drop; }; }")
	c.serve("tcp", ":9998")
	c.serveDNS()
	return c
}

// sysfs is that of this network namespace. It is mounted nowhere for longer than
// it takes to open it: the mounts are those of the whole machine.
func sysfs(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, unix.Mount("none", dir, "sysfs", 0, ""))
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

func (c *carrier) route() {
	netrig.Run(c.t, `ip route replace default via 10.0.1.1 dev wwan0
		ip route replace default via fd00:1::1 dev wwan0`)
}

// serve echoes what connections send.
func (c *carrier) serve(network, address string) {
	l := c.Listen(network, address)
	var wg sync.WaitGroup
	c.t.Cleanup(wg.Wait)
	c.t.Cleanup(func() { _ = l.Close() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.t.Cleanup(func() { _ = conn.Close() })
			wg.Go(func() {
				b := make([]byte, 64)
				for {
					n, err := conn.Read(b)
					if err != nil {
						return
					}
					_, _ = conn.Write(b[:n])
				}
			})
		}
	})
}

// serveDNS refuses every question.
func (c *carrier) serveDNS() {
	pc := c.ListenPacket("udp", dns4+":53")
	var wg sync.WaitGroup
	c.t.Cleanup(wg.Wait)
	c.t.Cleanup(func() { _ = pc.Close() })
	wg.Go(func() {
		b := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			b[2], b[3] = 0x81, 0x85
			_, _ = pc.WriteTo(b[:n], from)
		}
	})
}

// shoot sends one probe that waits for at most a time.
func (c *carrier) shoot(k probe.Kind, to string, wait time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), wait)
	defer cancel()
	return c.world.Shoot(ctx, probe.Shot{Via: c.via, Kind: k, To: netip.MustParseAddrPort(to)})
}

// TestShotsOnTheKernel: each kind of probe in both families, from ping sockets and
// from raw ones, bound and marked.
func TestShotsOnTheKernel(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	netrig.Need(t, "nft")
	c := newCarrier(t)
	netrig.Run(t, `nft add table inet m
		nft add counter inet m marked
		nft add counter inet m other
		nft add chain inet m out { type filter hook output priority 0 ; }
		nft add rule inet m out oif wwan0 meta mark 0x15000000 counter name marked accept
		nft add rule inet m out oif wwan0 icmpv6 type { 133, 134, 135, 136, 143 } accept
		nft add rule inet m out oif wwan0 counter name other`)
	for _, groups := range []string{"1 0", "0 2147483647"} {
		require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(groups), 0o644))
		for _, tc := range []struct {
			kind probe.Kind
			to   string
			err  error
		}{
			{probe.Echo, server4 + ":0", nil},
			{probe.Echo, "[" + server6 + "]:0", nil},
			{probe.Connect, server4 + ":9998", nil},
			{probe.Connect, "[" + server6 + "]:9998", nil},
			{probe.Connect, server4 + ":1", nil}, // refused
			{probe.Connect, deaf4 + ":9998", nil},
			{probe.Query, dns4 + ":53", nil},
			{probe.Echo, deaf4 + ":0", probe.ErrNoAnswer},
			{probe.Query, deaf4 + ":53", probe.ErrNoAnswer}, // port unreachable
		} {
			wait := bound
			if tc.err != nil {
				wait = 200 * time.Millisecond
			}
			rtt, err := c.shoot(tc.kind, tc.to, wait)
			require.ErrorIs(t, err, tc.err, "%s %s, ping groups %s", tc.kind, tc.to, groups)
			if tc.err == nil {
				require.NoError(t, err)
				require.Positive(t, rtt)
			}
		}
	}
	counters := netrig.Output(t, "nft list counters table inet m")
	require.Regexp(t, `marked \{\s+packets [1-9]`, counters)
	require.Regexp(t, `other \{\s+packets 0 `, counters, "every probe is marked")

	netrig.Run(t, `ip route del default
		ip -6 route del default`)
	_, err := c.shoot(probe.Echo, "["+server6+"]:0", bound)
	require.ErrorIs(t, err, probe.ErrNoRoute)
	// IPv4 takes any address over a bound device for a neighbour then, and asks the
	// cable for it in vain.
	_, err = c.shoot(probe.Echo, server4+":0", 500*time.Millisecond)
	require.ErrorIs(t, err, probe.ErrNoAnswer)
	c.via.Device = "gone0"
	_, err = c.shoot(probe.Echo, server4+":0", bound)
	require.ErrorIs(t, err, probe.ErrNoRoute)
}

// TestDevicesOnTheKernel: carrier, and which counters tell of what lies beyond.
func TestDevicesOnTheKernel(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	c := newCarrier(t)
	require.True(t, c.world.Carrier("wwan0"))
	_, ok := c.world.Received("wwan0")
	require.False(t, ok, "an Ethernet device hears its neighbours too")
	netrig.Run(t, "ip link set wwan0 arp off")
	before, ok := c.world.Received("wwan0")
	require.True(t, ok)
	netrig.Run(t, "ip link set wwan0 arp on")
	_, err := c.shoot(probe.Echo, server4+":0", bound)
	require.NoError(t, err)
	netrig.Run(t, "ip link set wwan0 arp off")
	after, _ := c.world.Received("wwan0")
	require.Greater(t, after, before)
	c.Run("ip link set eth0 down")
	require.Eventually(t, func() bool { return !c.world.Carrier("wwan0") }, bound, 20*time.Millisecond)
	require.True(t, c.world.Carrier("gone0"), "of what is not there nothing is known")
}

// kernelCuts are the cuts of probe_test.go and more, made by the kernel.
var kernelCuts = []struct {
	name      string
	cut, mend func(c *carrier)
	need      string
}{
	{name: "silent drop, out", cut: drop("ingress"), mend: undrop},
	{name: "silent drop, in", cut: drop("egress"), mend: undrop},
	{name: "60 % loss", cut: func(c *carrier) {
		c.Nft("table inet cut { chain in { type filter hook input priority -300; iifname eth0 numgen random mod 100 < 60 drop; }; }")
	}, mend: undrop},
	{name: "5 s delay", need: "netem", cut: func(c *carrier) { c.Run("tc qdisc add dev eth0 root netem delay 5s") },
		mend: func(c *carrier) { c.Run("tc qdisc del dev eth0 root") }},
	{name: "gateway gone", cut: func(c *carrier) {
		netrig.Run(c.t, `ip route del default
			ip -6 route del default`)
	}, mend: (*carrier).route},
	{name: "carrier off", cut: func(c *carrier) { c.Run("ip link set eth0 down") }, mend: func(c *carrier) {
		c.Run(`ip link set eth0 up
			ip addr replace fd00:1::1/64 dev eth0 nodad`)
		c.route()
	}},
}

// drop has packets of one direction vanish.
func drop(direction string) func(c *carrier) {
	hook, dev := "input", "iifname"
	if direction == "egress" {
		hook, dev = "output", "oifname"
	}
	return func(c *carrier) {
		c.Nft(fmt.Sprintf("table inet cut { chain c { type filter hook %s priority -300; %s eth0 drop; }; }", hook, dev))
	}
}

func undrop(c *carrier) { c.Nft("delete table inet cut") }

// TestCutsOnTheKernel: the driver, the real kernel, and a connection of package
// path whose byte stays unanswered. On this machine only order is asserted; how
// long it took is logged.
func TestCutsOnTheKernel(t *testing.T) {
	for _, tc := range kernelCuts {
		t.Run(tc.name, func(t *testing.T) {
			if !netrig.Alone(t) {
				return
			}
			netrig.Need(t, "nft")
			c := newCarrier(t)
			if tc.need == "netem" {
				if out, err := exec.Command("tc", "qdisc", "add", "dev", "lo", "root", "netem").CombinedOutput(); err != nil {
					t.Skipf("needs netem in this kernel: %s", strings.TrimSpace(string(out)))
				}
			}
			judged := make(chan model.LinkJudged, 100)
			plan := cell.New(model.ProbePlan{Detect: "fast", Links: []model.ProbeLink{{Path: c.via, Metered: true, Targets: []string{server4 + ":9998"}, Carries: true}}},
				func(a, b model.ProbePlan) bool { return reflect.DeepEqual(a, b) })
			d := probe.New(probe.Options{Plan: plan, World: c.world, Heard: c.paths, Events: func(e model.Event) { judged <- e.(model.LinkJudged) }})
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { require.NoError(t, d.Run(ctx)) })
			defer wg.Wait()
			defer cancel()
			await(t, judged, true)

			conn, err := c.paths.Dial(ctx, c.via, model.PurposeServer, "tcp", server4+":9998")
			require.NoError(t, err)
			defer conn.Close()
			tc.cut(c)
			began := time.Now()
			stop := keepWriting(conn)
			defer stop()
			j := await(t, judged, false)
			t.Logf("%s: unusable after %s: %s", tc.name, time.Since(began).Round(time.Millisecond), j.Reason)
			tc.mend(c)
			began = time.Now()
			await(t, judged, true)
			t.Logf("%s: usable again after %s", tc.name, time.Since(began).Round(time.Millisecond))
		})
	}
}

// keepWriting sends control bytes, as the traffic of a link does.
func keepWriting(conn net.Conn) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			_, _ = conn.Write([]byte("?"))
			select {
			case <-t.C:
			case <-end:
				return
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// await waits for a verdict.
func await(t *testing.T, judged <-chan model.LinkJudged, usable bool) model.LinkJudged {
	t.Helper()
	for end := time.After(bound); ; {
		select {
		case j := <-judged:
			if j.Usable == usable {
				return j
			}
		case <-end:
			require.Fail(t, "no such verdict", "usable=%t", usable)
		}
	}
}
