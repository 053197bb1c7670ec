package ubusfake_test

import (
	"context"
	"net"
	"os"
	"os/exec"
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

// broker is a bus under test: ours, or the real one.
type broker struct {
	name  string
	start func(t testing.TB, socket string) (restart func())
}

var brokers = []broker{{"ubusfake", startFake}, {"ubusd", startReal}}

// onEach runs one test against ubusfake and, where it is installed, the real ubusd.
func onEach(t *testing.T, test func(t *testing.T, socket string)) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			socket := socketPath(t)
			b.start(t, socket)
			test(t, socket)
		})
	}
}

func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ubus") // t.TempDir can be too long for a socket
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) // for clients that are somebody else
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sock")
}

func startFake(t testing.TB, socket string) (restart func()) {
	t.Helper()
	b, err := ubusfake.Start(socket)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return func() { require.NoError(t, b.Restart()) }
}

// startReal starts ubusd. It wants root: only root passes its access checks
// without files that root owns.
func startReal(t testing.TB, socket string) (restart func()) {
	t.Helper()
	program, err := exec.LookPath("ubusd")
	if err != nil {
		t.Skip("needs ubusd: no Debian package has it; build openwrt/ubus and put it on the PATH")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: ubusd lets nobody else publish or call without access lists owned by root")
	}
	var cmd *exec.Cmd
	start := func() {
		cmd = exec.Command(program, "-s", socket, "-A", filepath.Dir(socket))
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			nc, err := net.Dial("unix", socket)
			if err == nil {
				nc.Close()
			}
			return err == nil
		}, patience, 5*time.Millisecond, "ubusd does not listen")
	}
	stop := func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	start()
	t.Cleanup(func() { stop() })
	return func() {
		stop()
		start()
	}
}

func dial(t testing.TB, socket string) *ubus.Conn {
	t.Helper()
	c, err := ubus.Dial(bounded(t), socket)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came", what)
		panic("unreachable")
	}
}
