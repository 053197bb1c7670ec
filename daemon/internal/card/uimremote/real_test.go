package uimremote_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
)

// island is a thread in a network namespace of its own: the proxies' abstract sockets
// have one fixed name in each.
type island struct {
	jobs chan func()
}

// newIsland skips the test unless it may make one.
func newIsland(t *testing.T) *island {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network namespace of its own")
	}
	i := &island{jobs: make(chan func())}
	ready := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for job := range i.jobs {
			job()
		}
	}()
	err := <-ready
	t.Cleanup(func() {
		close(i.jobs)
		<-done
	})
	if err != nil {
		t.Skipf("needs a network namespace of its own: %v", err)
	}
	return i
}

// do runs fn on the island.
func (i *island) do(fn func()) {
	done := make(chan struct{})
	i.jobs <- func() {
		defer close(done)
		fn()
	}
	<-done
}

func (i *island) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	i.do(func() { c, err = new(net.Dialer).DialContext(ctx, network, address) })
	return c, err
}

// program finds a program of a Debian package, or skips the test.
func program(t *testing.T, path, debian string) string {
	t.Helper()
	found, err := exec.LookPath(path)
	if err == nil {
		return found
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s: apt-get install %s", path, debian)
	}
	t.Skipf("needs %s: apt-get install %s", path, debian)
	return ""
}

// pollable is f in Go's poller. pty.Open leaves its files blocking: neither does Close end
// a Read or a Write of one, nor does a deadline, and a proxy that stops reading would hold
// the test for ever.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, unix.SetNonblock(fd, true))
	out := os.NewFile(uintptr(fd), f.Name())
	require.NoError(t, out.SetWriteDeadline(time.Time{}), "it can be waited for")
	return out
}

// realProxy puts one of the real proxies between the front and a modem behind a pty,
// which it takes for the control port.
func realProxy(t *testing.T, o uimremotefake.Options, name, debian, driver string, mbim bool) *world {
	t.Helper()
	path := program(t, "/usr/libexec/"+name, debian)
	i := newIsland(t)
	blocking, slave, err := pty.Open()
	require.NoError(t, err)
	master := pollable(t, blocking)
	state, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	state.Iflag, state.Oflag, state.Lflag = 0, 0, 0 // raw
	state.Cflag |= unix.CS8
	require.NoError(t, unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, state))

	w := &world{modem: uimremotefake.New(o), device: "qmi:" + slave.Name()}
	served := make(chan struct{})
	go func() {
		defer close(served)
		w.modem.ServePort(master, mbim)
	}()
	cmd := exec.Command(path, "--no-exit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	i.do(func() { err = cmd.Start() })
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = slave.Close()
		_ = master.Close()
		await(t, served)
		w.modem.Close()
	})
	require.Eventually(t, func() bool {
		c, err := i.dial(within(t), "unix", "@"+name)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, patience, 10e6, "%s does not listen", name)
	w.options = uimremote.Options{Sysfs: sysfs(t, filepath.Base(slave.Name()), driver), Dial: i.dial}.Quick(patience)
	return w
}

func realQMI(t *testing.T, o uimremotefake.Options) *world {
	return realProxy(t, o, "qmi-proxy", "libqmi-proxy", "qmi_wwan", false)
}

func realMBIM(t *testing.T, o uimremotefake.Options) *world {
	return realProxy(t, o, "mbim-proxy", "libmbim-proxy", "cdc_mbim", true)
}

// qmicli, which nobody here wrote, opens the fake as its proxy and asks it.
func TestQmicli(t *testing.T) {
	qmicli := program(t, "qmicli", "libqmi-utils")
	i := newIsland(t)
	modem := uimremotefake.New(on)
	var proxy *uimremotefake.Proxy
	var err error
	i.do(func() { proxy, err = modem.ServeQMI("@qmi-proxy") })
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	for _, x := range []struct {
		name string
		args []string
		want []string
	}{
		{"services", []string{"--get-service-version-info"}, []string{"dms (1.3)", "uim (1.3)", "(1.3)"}},
		{"CTL SYNC", []string{"--device-open-sync", "--dms-get-model"}, []string{"UIM-REMOTE-FAKE"}},
		{"DMS", []string{"--dms-get-ids"}, []string{"IMEI: '490154203237518'"}},
		{"UIM", []string{"--uim-get-card-status"}, []string{"Card state: 'absent'"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			cmd := exec.CommandContext(within(t), qmicli, append([]string{"--device=/dev/null", "--device-open-qmi", "--device-open-proxy"}, x.args...)...)
			cmd.WaitDelay = patience
			var out []byte
			i.do(func() { out, err = cmd.CombinedOutput() })
			require.NoError(t, err, string(out))
			for _, want := range x.want {
				require.Contains(t, string(out), want)
			}
		})
	}
	require.Equal(t, 1, modem.Syncs)
	require.Contains(t, modem.String(), "qmi-proxy opens /dev/null")
}
