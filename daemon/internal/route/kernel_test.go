package route_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// carriers are two networks with the same hosts, 192.0.2.1 and 2001:db8::1, that
// say which network it is. Main prefers a.
func carriers(t *testing.T) (a, b model.RouteLink) {
	for n, name := range []string{"a", "b"} {
		n++
		space, device := netrig.New(t, name), "wan"+name
		netrig.Wire(t, nil, device, space, "eth0")
		netrig.Run(t, fmt.Sprintf(`ip addr add 10.0.%[1]d.2/24 dev %[2]s
			ip addr add fd00:%[1]d::2/64 dev %[2]s nodad
			ip route add default via 10.0.%[1]d.1 dev %[2]s metric %[1]d
			ip route add default via fd00:%[1]d::1 dev %[2]s metric %[1]d`, n, device))
		space.Run(fmt.Sprintf(`ip addr add 10.0.%[1]d.1/24 dev eth0
			ip addr add fd00:%[1]d::1/64 dev eth0 nodad
			ip addr add 192.0.2.1/32 dev lo
			ip addr add 2001:db8::1/128 dev lo nodad`, n))
		say(t, space.Listen("tcp", ":7"), name)
		link := model.RouteLink{
			Name: name, Number: n, Device: device,
			Gateway4: netip.AddrFrom4([4]byte{10, 0, byte(n), 1}), Gateway6: netip.MustParseAddr(fmt.Sprintf("fd00:%d::1", n)),
			Sources: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.2/24", n)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::2/64", n))},
		}
		if n == 1 {
			a = link
		} else {
			b = link
		}
	}
	return a, b
}

// say says a word to every connection.
func say(t *testing.T, l net.Listener, word string) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(word))
			_ = c.Close()
		}
	})
}

// way is how a socket asks for a link.
type way struct {
	mark   uint32
	device string
	from   string
}

func (w way) dial(t *testing.T, address string) (string, error) {
	t.Helper()
	d := net.Dialer{Timeout: bound, Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) {
			if w.mark != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(int32(w.mark)))
			}
			if w.device != "" && err == nil {
				err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, w.device)
			}
		})
		if err == nil {
			err = e
		}
		return err
	}}
	if w.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(w.from)}
	}
	c, err := d.Dial("tcp", net.JoinHostPort(address, "7"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(bound)))
	b, err := io.ReadAll(c)
	return string(b), err
}

func TestKernelSendsWhereThePlanSays(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, b := carriers(t)
	netrig.Run(t, "ip link add lan0 type veth peer name lan1\nip link set lan0 up\nip link set lan1 up\nip addr add 192.168.1.1/24 dev lan0")
	k, err := route.OpenKernel()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	nowhere := b
	nowhere.Gateway4, nowhere.Gateway6 = netip.Addr{}, netip.Addr{}
	bank := func(n int) way { return way{mark: model.Mark(n, model.PurposeBank)} }
	both := []model.RouteLink{a, b}
	for _, tt := range []struct {
		name string
		plan model.RoutePlan
		way  way
		want string // "": unreachable, at once
	}{
		{"a mark of link 1", model.RoutePlan{Known: true, Links: both}, bank(1), "a"},
		{"a mark of link 2", model.RoutePlan{Known: true, Links: both}, bank(2), "b"},
		{"a mark of ours beside one of somebody else's", model.RoutePlan{Known: true, Links: both}, way{mark: model.Mark(2, model.PurposeDNS) | 0x3f00}, "b"},
		{"bound to b", model.RoutePlan{Known: true, Links: both}, way{device: "wanb"}, "b"},
		{"from b's address", model.RoutePlan{Known: true, Links: both}, way{from: "b"}, "b"},
		{"user traffic, left to main", model.RoutePlan{Known: true, Links: both}, way{}, "a"},
		{"user traffic on b", model.RoutePlan{Known: true, Links: both, Data: "b"}, way{}, "b"},
		{"user traffic on b, control on a", model.RoutePlan{Known: true, Links: both, Data: "b"}, bank(1), "a"},
		{"user traffic that another program decides", model.RoutePlan{Known: true, Links: both, Data: "b", LeaveData: true}, way{}, "a"},
		{"a link that leads nowhere: no leak by mark", model.RoutePlan{Known: true, Links: []model.RouteLink{a, nowhere}}, bank(2), ""},
		{"a link that leads nowhere: no leak by source", model.RoutePlan{Known: true, Links: []model.RouteLink{a, nowhere}}, way{from: "b"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := drive(t, &realDesk{t, k}, tt.plan)
			r.until("applied", func() bool { c := r.routes(); return c != nil && c.Applied })
			for _, host := range []string{"192.0.2.1", "2001:db8::1"} {
				w := tt.way
				if w.from == "b" {
					w.from = map[bool]string{true: "10.0.2.2", false: "fd00:2::2"}[host == "192.0.2.1"]
				}
				got, err := w.dial(t, host)
				if tt.want == "" {
					require.Condition(t, func() bool { return isUnreachable(err) }, "%v", err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, tt.want, got, host)
			}
			require.Contains(t, netrig.Output(t, "ip route get 192.168.1.50 from 10.0.1.2"), "dev lan0", "the LAN still reaches the address of the WAN")
		})
	}
	_, err = route.Cleanup(k)
	require.NoError(t, err)
	require.NotContains(t, netrig.Output(t, "ip rule")+netrig.Output(t, "ip -6 rule"), "172")
	require.Empty(t, netrig.Output(t, "ip route show table all proto 173")+netrig.Output(t, "ip -6 route show table all proto 173"))
}

func isUnreachable(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH)
}

// TestKernelForgetsStrandedConnections: real connection tracking, both families.
func TestKernelForgetsStrandedConnections(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	netrig.Need(t, "nft")
	a, b := carriers(t)
	netrig.Run(t, "nft add table inet track\nnft add chain inet track out { type filter hook output priority 0 ; }\nnft add rule inet track out ct state new counter")
	k, err := route.OpenKernel()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	plan := model.RoutePlan{Known: true, Links: []model.RouteLink{a, b}, Data: "a"}
	r := drive(t, &realDesk{t, k}, plan)
	r.until("applied", func() bool { c := r.routes(); return c != nil && c.Applied })
	for _, w := range []way{{device: "wana"}, {device: "wanb"}} {
		for _, host := range []string{"192.0.2.1", "2001:db8::1"} {
			_, err := w.dial(t, host)
			require.NoError(t, err)
		}
	}
	require.Equal(t, map[string]int{"10.0.1.2": 1, "fd00:1::2": 1, "10.0.2.2": 1, "fd00:2::2": 1}, flows(t, k))
	plan.Data, plan.Flush, plan.FlushDevices = "b", 1, []string{"wana"}
	r.plan.Set(plan)
	r.until("they are forgotten", func() bool { return len(flows(t, k)) == 2 })
	require.Equal(t, map[string]int{"10.0.2.2": 1, "fd00:2::2": 1}, flows(t, k))
}

// flows counts the tracked connections by source.
func flows(t *testing.T, k route.Kernel) map[string]int {
	t.Helper()
	count := make(map[string]int)
	_, err := k.Forget(func(f route.Flow) bool {
		count[f.Source.String()]++
		return false
	})
	require.NoError(t, err)
	return count
}

// TestKernelTellsOfDevices: carrier and addresses, without asking again and again.
func TestKernelTellsOfDevices(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	k, err := route.OpenKernel()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	space := netrig.New(t, "far")
	netrig.Wire(t, nil, "wwan0", space, "eth0")
	r := drive(t, &realDesk{t, k}, model.RoutePlan{})
	r.until("it is there", func() bool { c := r.device("wwan0"); return c != nil && c.Carrier })
	space.Run("ip link set dev eth0 down")
	r.until("its carrier is gone", func() bool { return !r.device("wwan0").Carrier })
	space.Run("ip link set dev eth0 up")
	r.until("its carrier is back", func() bool { return r.device("wwan0").Carrier })
	netrig.Run(t, "ip link del wwan0")
	r.until("it is gone", func() bool { return !r.device("wwan0").Present })
}
