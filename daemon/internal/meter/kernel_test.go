package meter_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// realWorld is the world on the kernel: a namespace as router, one as carrier,
// one as LAN.
type realWorld struct {
	t       *testing.T
	system  *meter.System
	carrier *netrig.Space
	lan     *netrig.Space
	far     net.PacketConn            // where the carrier listens
	flows   map[string]net.PacketConn // the router's sockets
	seen    map[string]net.Addr       // where the carrier saw them
}

func newRealWorld(t *testing.T, v6 bool) *realWorld {
	w := &realWorld{t: t, system: meter.NewSystem(), flows: make(map[string]net.PacketConn), seen: make(map[string]net.Addr)}
	w.carrier, w.lan = join(t, "wwan1", 1, v6), join(t, "lan", 2, v6)
	w.far = w.listen(w.carrier, "10.1.0.2:7000")
	sh(t, "echo 1 > /proc/sys/net/ipv4/ip_forward")
	t.Cleanup(func() {
		for _, c := range w.flows {
			_ = c.Close()
		}
		sh(t, "nft flush ruleset; ip link del wwan1; ip link del lan")
	})
	return w
}

func sh(t *testing.T, command string) {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	require.NoError(t, err, string(out))
}

// join makes a device to a new namespace: 10.N.0.1 and fd00:N::1 are the test's
// end, …2 the other. Segments are not put together, so that counters see what a
// carrier sees. Without v6 nothing is on the device but what the test sends.
func join(t *testing.T, device string, number int, v6 bool) *netrig.Space {
	s := netrig.New(t, device+"-peer")
	if !v6 {
		quiet := func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o600) }
		require.NoError(t, quiet())
		require.NoError(t, s.Do(quiet))
	}
	netrig.Wire(t, nil, device, s, "up0")
	netrig.Run(t, fmt.Sprintf("ip addr add 10.%[2]d.0.1/24 dev %[1]s\nip link set dev %[1]s gso_max_segs 1", device, number))
	s.Run(fmt.Sprintf("ip addr add 10.%[1]d.0.2/24 dev up0\nip link set dev up0 gso_max_segs 1\nip route add default via 10.%[1]d.0.1", number))
	if v6 {
		netrig.Run(t, fmt.Sprintf("ip addr add fd00:%[2]d::1/64 dev %[1]s nodad", device, number))
		s.Run(fmt.Sprintf("ip addr add fd00:%d::2/64 dev up0 nodad", number))
	}
	return s
}

// listen listens in a namespace until the test ends.
func (w *realWorld) listen(s *netrig.Space, address string) net.PacketConn {
	c := s.ListenPacket("udp", address)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *realWorld) kernel() meter.Kernel { return w.system }

// received waits for a datagram.
func received(c net.PacketConn, wait time.Duration) (net.Addr, bool) {
	_ = c.SetReadDeadline(time.Now().Add(wait))
	_, from, err := c.ReadFrom(make([]byte, 2048))
	return from, err == nil
}

const (
	soon  = 10 * time.Second       // for what has to arrive
	never = 300 * time.Millisecond // for what must not: a veth delivers at once
)

func (w *realWorld) out(flow string, mark uint32) bool {
	c := w.flows[flow]
	if c == nil {
		var err error
		c, err = net.ListenPacket("udp", "10.1.0.1:0")
		require.NoError(w.t, err)
		w.flows[flow] = c
	}
	setMark(w.t, c, mark)
	if _, err := c.WriteTo(make([]byte, datagram-28), w.far.LocalAddr()); err != nil {
		require.ErrorIs(w.t, err, syscall.EPERM)
		return false
	}
	from, ok := received(w.far, soon)
	w.seen[flow] = from
	return ok
}

func setMark(t *testing.T, c net.PacketConn, mark uint32) {
	raw, err := c.(*net.UDPConn).SyscallConn()
	require.NoError(t, err)
	var inner error
	require.NoError(t, raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark)))
	}))
	require.NoError(t, inner)
}

func (w *realWorld) back(flow string) bool {
	_, err := w.far.WriteTo(make([]byte, datagram-28), w.seen[flow])
	require.NoError(w.t, err)
	_, ok := received(w.flows[flow], soon)
	return ok
}

// at sends one datagram from one socket to another.
func (w *realWorld) at(from, to net.PacketConn, wait time.Duration) bool {
	_, err := from.WriteTo(make([]byte, datagram-28), to.LocalAddr())
	if err != nil {
		require.ErrorIs(w.t, err, syscall.EPERM)
		return false
	}
	_, ok := received(to, wait)
	return ok
}

// wait is how long to wait for what is not ours: briefly if the table drops it.
func (w *realWorld) wait() time.Duration {
	out, err := exec.Command("/usr/sbin/nft", "list", "table", "inet", "remsim").CombinedOutput()
	require.NoError(w.t, err, string(out))
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "p0_iot") && strings.Contains(line, "drop") {
			return never // a fence, or a limit for user traffic
		}
	}
	return soon
}

func (w *realWorld) unasked() bool {
	near, err := net.ListenPacket("udp", "10.1.0.1:0")
	require.NoError(w.t, err)
	defer near.Close()
	return w.at(w.far, near, w.wait())
}

func (w *realWorld) forward() bool {
	return w.at(w.listen(w.lan, "10.2.0.2:0"), w.far, w.wait())
}

func (w *realWorld) dhcp(offer bool) bool {
	near, err := net.ListenPacket("udp", "10.1.0.1:68")
	require.NoError(w.t, err)
	defer near.Close()
	far := w.carrier.ListenPacket("udp", "10.1.0.2:67")
	defer far.Close()
	if offer {
		return w.at(far, near, soon)
	}
	return w.at(near, far, soon)
}

func TestTableOnTheKernel(t *testing.T) {
	netrig.Need(t, "nft")
	if !netrig.Alone(t) {
		return
	}
	runTable(t, func(t *testing.T) world { return newRealWorld(t, false) })
}

// IPv6 neighbours are found through a fence, and TCP, whose last segments come
// from sockets that are gone, passes whole.
func TestFenceOnTheKernelWithIPv6AndTCP(t *testing.T) {
	netrig.Need(t, "nft")
	if !netrig.Alone(t) {
		return
	}
	w := newRealWorld(t, true)
	require.NoError(t, w.system.Apply(t.Context(), link(nil)))
	l := w.carrier.Listen("tcp", "[fd00:1::2]:7001")
	defer l.Close()
	d := net.Dialer{Timeout: soon, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark(model.PurposeBank))))
		})
	}}
	near, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, near.(*net.TCPConn).SetLinger(0))
	require.NoError(t, near.Close(), "a reset is sent")
	_, err = far.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	// A router advertisement would come by multicast: the solicitation of it leaves.
	r, err := w.system.Read(t.Context())
	require.NoError(t, err)
	c := r.Counts[0]
	// SYN 80, SYN-ACK 80, ACK 72, RST 60 or 72 with time stamps.
	require.InDelta(t, 80+80+72+66, c.Purposes["bank"], 6)
	require.Positive(t, c.Purposes["other"], "neighbour discovery")
	require.Equal(t, c.Rx+c.Tx, c.Purposes["bank"]+c.Purposes["other"])
	require.Zero(t, c.Unasked)
}

// A firewall that loads its rules anew, as fw4 does, leaves the table; one that
// flushes everything is noticed at once and the table made again.
func TestTableSurvivesTheFirewall(t *testing.T) {
	netrig.Need(t, "nft")
	if !netrig.Alone(t) {
		return
	}
	w := newRealWorld(t, false)
	fw4 := "table inet fw4\nflush table inet fw4\ntable inet fw4 { chain output { type filter hook output priority filter; policy accept; udp dport 7000 counter accept; }\n" +
		"chain input { type filter hook input priority filter; policy drop; ct state established,related accept; }\n}\n"
	nft := func(text string) {
		cmd := exec.Command("/usr/sbin/nft", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	plan := planCell(link(nil))
	events := make(chan model.Metered, 64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- meter.New(meter.Options{Kernel: w.system, Plan: plan, Events: func(ev model.Event) { events <- ev.(model.Metered) }}).Run(ctx)
	}()
	first := next(t, events)
	require.Empty(t, first.Reason)
	nft(fw4)
	require.False(t, w.out("ntp", 0), "fw4 accepts it, the fence still drops it")
	require.True(t, w.out("bank", mark(model.PurposeBank)))
	require.True(t, w.back("bank"), "fw4's input rules accept the answer")
	nft(fw4)
	nft("delete table inet fw4\n")
	nft(fw4 + "table inet fw4 { chain late { type filter hook output priority 5; udp dport 7000 drop; }\n}\n")
	require.False(t, w.out("bank", mark(model.PurposeBank)), "what fw4 drops stays dropped")
	r, err := w.system.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, first.Epoch, r.Epoch)
	require.Equal(t, []model.MeterCount{count{rx: 1, tx: 1, dropped: 1, purposes: map[string]int64{"bank": 2}}.of("iot")}, r.Counts)

	nft("flush ruleset\n")
	for again := next(t, events); again.Epoch == first.Epoch; again = next(t, events) {
	}
	require.False(t, w.out("ntp", 0), "fenced again")
	cancel()
	require.NoError(t, <-ended)
	require.False(t, w.out("ntp", 0), "the table outlives the driver")
	_, err = w.system.Remove(t.Context())
	require.NoError(t, err)
	require.True(t, w.out("ntp", 0))
}

func next(t *testing.T, events <-chan model.Metered) model.Metered {
	t.Helper()
	select {
	case m := <-events:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("no reading")
		return model.Metered{}
	}
}

// A table of the same name with another layout is an older version's: it is
// made anew.
func TestForeignLayoutIsReplaced(t *testing.T) {
	netrig.Need(t, "nft")
	if !netrig.Alone(t) {
		return
	}
	sh(t, "nft add table inet remsim; nft add counter inet remsim epoch0_abc; nft add counter inet remsim rx_iot; nft 'add chain inet remsim old { type filter hook output priority 0; policy drop; }'")
	s := meter.NewSystem()
	require.NoError(t, s.Apply(t.Context(), link(nil)))
	out, err := exec.Command("/usr/sbin/nft", "list", "table", "inet", "remsim").CombinedOutput()
	require.NoError(t, err)
	require.NotContains(t, string(out), "old")
	// Applied twice, nothing changes.
	require.NoError(t, s.Apply(t.Context(), link(nil)))
	again, err := exec.Command("/usr/sbin/nft", "list", "table", "inet", "remsim").CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, string(out), string(again))
}
