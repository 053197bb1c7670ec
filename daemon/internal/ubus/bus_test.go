package ubus_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

// patience bounds every wait; it is long because the tests share slow cores.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startBroker(t testing.TB) *ubusfake.Broker {
	t.Helper()
	dir, err := os.MkdirTemp("", "ubus") // t.TempDir can be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := ubusfake.Start(filepath.Join(dir, "sock"))
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, b *ubusfake.Broker, opt ubus.Options) *ubus.Conn {
	t.Helper()
	c, err := ubus.DialWith(bounded(t), b.Path(), opt)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// serve publishes one object with one method on a connection of its own.
func serve(t testing.TB, b *ubusfake.Broker, opt ubus.Options, handler func(context.Context, *ubus.Request)) *ubus.Conn {
	t.Helper()
	c := connect(t, b, opt)
	require.NoError(t, c.AddObject(bounded(t), &ubus.Object{
		Path: "demo", Methods: []ubus.Method{{Name: "do", Handler: handler}},
	}))
	return c
}

// run starts a client and ends it with the test.
func run(t testing.TB, c *ubus.Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	return stop
}

func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came", what)
		panic("unreachable")
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patience, 2*time.Millisecond, what)
}

func at0(int) time.Duration { return time.Millisecond }

// wire is a bare connection, for what no client of ours would send.
type wire struct {
	net.Conn
	*ubus.Reader
	id uint32
}

func bare(t testing.TB, b *ubusfake.Broker) *wire {
	t.Helper()
	nc, err := net.Dial("unix", b.Path())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	w := &wire{nc, ubus.NewReader(nc, ubus.MaxMessage), 0}
	hello, err := w.Next()
	require.NoError(t, err)
	w.id = hello.Peer
	return w
}
