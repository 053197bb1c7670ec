package path

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDialsOverTheRightCarrier: both carriers have the same host; which one
// answers shows the way that was taken.
func TestDialsOverTheRightCarrier(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, b := world(t)
	a.name("bank.example", "192.0.2.1", "2001:db8::1")
	b.name("bank.example", "192.0.2.1", "2001:db8::1")
	a.name("only4.example", "192.0.2.1")
	b.name("only6.example", "2001:db8::1")
	a.name("elsewhere.example", "203.0.113.9")
	b.name("elsewhere.example", "192.0.2.1")
	paths := New(Options{})
	for _, tt := range []struct {
		name, network, address string
		via                    model.Path
		want                   string
	}{
		{"a number, carrier a", "tcp", "192.0.2.1:7", a.path, "a"},
		{"a number, carrier b", "tcp", "192.0.2.1:7", b.path, "b"},
		{"an IPv6 number", "tcp", "[2001:db8::1]:7", b.path, "b"},
		{"a name", "tcp", "bank.example:7", a.path, "a"},
		{"the same name on the other carrier", "tcp", "bank.example:7", b.path, "b"},
		{"the same name, IPv4 wanted", "tcp4", "bank.example:7", b.path, "b"},
		{"the same name, IPv6 wanted", "tcp6", "bank.example:7", b.path, "b"},
		{"a name with IPv4 only", "tcp", "only4.example:7", a.path, "a"},
		{"a name with IPv6 only", "tcp", "only6.example:7", b.path, "b"},
		{"a name that the carrier's own server knows otherwise", "tcp", "elsewhere.example:7", b.path, "b"},
		{"no path: the kernel's best route", "tcp", "192.0.2.1:7", model.Path{}, "a"},
		{"a name of /etc/hosts", "tcp", "localhost:7", model.Path{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			c, err := paths.Dial(ctx, tt.via, model.PurposeBank, tt.network, tt.address)
			if tt.want == "" { // nobody listens here, but the name was found
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
				return
			}
			require.NoError(t, err)
			defer c.Close()
			require.Equal(t, tt.want, read(t, c, 1))
			require.Equal(t, tt.via.Device, option(t, c, unix.SO_BINDTODEVICE))
			require.Equal(t, model.Mark(tt.via.Number, model.PurposeBank), uint32(number(t, c, unix.SOL_SOCKET, unix.SO_MARK)))
			require.Zero(t, number(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE), "keep-alives have one owner")
			require.Equal(t, 300_000, number(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))
		})
	}
}

// TestNamesAndAddressesThatFail: what goes wrong is said, in one line.
func TestNamesAndAddressesThatFail(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, _ := world(t)
	a.name("closed.example", "192.0.2.1")
	gone := a.path
	gone.Device = "wwan9"
	paths := New(Options{})
	for _, tt := range []struct {
		name, address string
		via           model.Path
		want          string
		is            error
	}{
		{"no such name", "missing.example:7", a.path, "no such host", nil},
		{"refused", "closed.example:9", a.path, "refused", syscall.ECONNREFUSED},
		{"device away", "192.0.2.1:7", gone, "there is no device wwan9", syscall.ENODEV},
		{"device away, by name", "closed.example:7", gone, "there is no device wwan9", syscall.ENODEV},
		{"no port", "192.0.2.1", a.path, "missing port", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			_, err := paths.Dial(ctx, tt.via, model.PurposeServer, "tcp", tt.address)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, 1, strings.Count(err.Error(), tt.want), err)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
		})
	}
}

// TestSurvivesBadFamiliesAndServers: one family that is silent, one address that
// is, one DNS server that is away.
func TestSurvivesBadFamiliesAndServers(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, _ := world(t)
	a.name("bank.example", "192.0.2.1", "2001:db8::1")
	a.name("black.example", "2001:db8:dead::1", "192.0.2.1")
	a.Run("ip -6 route add 2001:db8:dead::/48 dev lo") // accepts, and answers nothing
	a.Run("ip -6 addr add fd00:1::99/64 dev eth0 nodad")
	twoServers := a.path
	twoServers.DNS = []netip.Addr{netip.MustParseAddr("10.0.1.77"), a.path.DNS[0]}
	for _, tt := range []struct {
		name, address string
		via           model.Path
		mute          uint16
	}{
		{"no answer to AAAA", "bank.example:7", a.path, 28},
		{"no answer to A", "bank.example:7", a.path, 1},
		{"an IPv6 address that is silent", "black.example:7", a.path, 0},
		{"a DNS server that is away", "bank.example:7", twoServers, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a.silent(tt.mute, true)
			defer a.silent(tt.mute, false)
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			begun := time.Now()
			c, err := New(Options{}).Dial(ctx, tt.via, model.PurposeServer, "tcp", tt.address)
			require.NoError(t, err)
			defer c.Close()
			require.Equal(t, "a", read(t, c, 1))
			// The resolver's own patience is 2 times 5 s and more.
			require.Less(t, time.Since(begun), 4500*time.Millisecond)
		})
	}
}

// TestEvidence: what flows tells how the link does.
func TestEvidence(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	netrig.Need(t, "nft")
	a, b := world(t)
	paths := New(Options{})
	told := make(chan string, 16)
	stop := paths.Subscribe(func(link string) { told <- link })
	defer stop()
	require.Zero(t, paths.Heard("a"))
	require.Zero(t, paths.Unanswered("a"))

	before := time.Now()
	c, err := paths.Dial(t.Context(), a.path, model.PurposeBank, "tcp", "192.0.2.1:7")
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, "a", read(t, c, 1))
	require.False(t, paths.Heard("a").Before(before.Add(-time.Millisecond)), "the handshake was heard")
	require.Zero(t, paths.Unanswered("a"))
	require.Zero(t, paths.Heard("b"), "the other link was not")
	require.Equal(t, "a", <-told, "a packet was sent")

	// Acknowledged is answered, though the peer's program says nothing.
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	eventually(t, "the byte arrives", func() bool { return paths.Unanswered("a").IsZero() })
	drain(told)

	// Cut: what is written stays unanswered, from the first byte on.
	a.Nft("add table inet cut\nadd chain inet cut in { type filter hook input priority 0; policy drop; }")
	drain(told)
	cut := time.Now()
	_, err = c.Write([]byte("y"))
	require.NoError(t, err)
	require.Equal(t, "a", <-told)
	eventually(t, "something is owed", func() bool { return !paths.Unanswered("a").IsZero() })
	since := paths.Unanswered("a")
	require.False(t, since.Before(cut))
	_, err = c.Write([]byte("z"))
	require.NoError(t, err)
	require.Equal(t, since, paths.Unanswered("a"), "the oldest counts")
	require.Empty(t, told, "told once")
	heard := paths.Heard("a")
	require.True(t, heard.Before(cut.Add(time.Second)), heard)

	// A dial is a question too.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = paths.Dial(ctx, b.path, model.PurposeBank, "tcp", "203.0.113.9:7")
	require.Error(t, err)
	require.Zero(t, paths.Unanswered("b"), "nobody waits any more")

	// Healed: the kernel sends again, and all is answered.
	a.Nft("delete table inet cut")
	eventually(t, "the rest arrives", func() bool { return paths.Unanswered("a").IsZero() })
	require.True(t, paths.Heard("a").After(heard))
	require.NoError(t, c.Close())
	require.True(t, paths.Heard("a").After(heard), "a connection that ended was heard all the same")
}

// TestDatagramsAreEvidence: UDP has no acknowledgements; an answer is one.
func TestDatagramsAreEvidence(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, _ := world(t)
	pc := a.ListenPacket("udp", "192.0.2.1:99")
	defer pc.Close()
	paths := New(Options{})
	c, err := paths.Dial(t.Context(), a.path, model.PurposeProbe, "udp", "192.0.2.1:99")
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("?"))
	require.NoError(t, err)
	require.NotZero(t, paths.Unanswered("a"))
	b := make([]byte, 8)
	require.NoError(t, pc.SetDeadline(time.Now().Add(bound)))
	_, from, err := pc.ReadFrom(b)
	require.NoError(t, err)
	_, err = pc.WriteTo([]byte("!"), from)
	require.NoError(t, err)
	require.Equal(t, "!", read(t, c, 1))
	require.Zero(t, paths.Unanswered("a"))
}

// TestDialLeavesNothingBehind: a dial that is given up ends at once, though the
// resolver would wait on.
func TestDialLeavesNothingBehind(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, _ := world(t)
	a.silent(1, true)
	a.silent(28, true)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	paths := New(Options{})
	wg.Go(func() {
		_, err := paths.Dial(ctx, a.path, model.PurposeBank, "tcp", "bank.example:7")
		require.ErrorIs(t, err, context.Canceled)
	})
	eventually(t, "a question is out", func() bool { return !paths.Unanswered("a").IsZero() })
	cancel()
	wg.Wait()
	eventually(t, "nobody asks any more", func() bool { return paths.Unanswered("a").IsZero() })
}

// TestWithoutRights: an unprivileged process cannot mark. Without a device that
// costs the count only; with one the connection would go astray.
func TestWithoutRights(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var log bytes.Buffer
	paths := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends without its rights
		assert.NoError(t, dropRights())
		for range 2 {
			c, err := paths.Dial(t.Context(), model.Path{Link: "wan", Number: 1}, model.PurposeBank, "tcp", l.Addr().String())
			if assert.NoError(t, err) {
				assert.NoError(t, c.Close())
			}
		}
		_, err := paths.Dial(t.Context(), model.Path{Link: "wan", Number: 1, Device: "lo"}, model.PurposeBank, "tcp", l.Addr().String())
		assert.ErrorIs(t, err, ErrNotAllowed)
	})
	wg.Wait()
	require.Equal(t, 1, strings.Count(log.String(), "not marked"), log.String())
}

// dropRights takes the capabilities of this thread away.
func dropRights() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&hdr, &none[0])
}

func drain(c chan string) {
	for {
		select {
		case <-c:
		default:
			return
		}
	}
}

func option(t *testing.T, c net.Conn, name int) (value string) {
	t.Helper()
	require.NoError(t, rawOf(c).Control(func(fd uintptr) {
		value, _ = unix.GetsockoptString(int(fd), unix.SOL_SOCKET, name)
	}))
	return strings.TrimRight(value, "\x00")
}

func number(t *testing.T, c net.Conn, level, name int) (value int) {
	t.Helper()
	require.NoError(t, rawOf(c).Control(func(fd uintptr) {
		value, _ = unix.GetsockoptInt(int(fd), level, name)
	}))
	return value
}
