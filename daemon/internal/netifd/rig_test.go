package netifd_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

// patience bounds every wait; it is long because the tests share slow cores.
const patience = 30 * time.Second

const sysfs = "/sys/devices/platform/soc/11200000.usb/usb2/2-1"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a bus with a netifd on it that has wan (up) and wwan0 (a modem's).
type rig struct {
	socket string
	// available says whether the modem is there; fail has setups end with an
	// error and a block, "" mends that.
	available func(yes bool)
	fail      func(code string)
	// die and revive are netifd's end and start; restartBus is ubusd's.
	die, revive, restartBus func()
	fake                    *netifdfake.Fake // nil with the real one
}

var rigs = []struct {
	name  string
	start func(t *testing.T) rig
}{
	{"fake on ubusfake", func(t *testing.T) rig {
		b, err := ubusfake.Start(socketPath(t))
		require.NoError(t, err)
		t.Cleanup(func() { b.Close() })
		r := startFake(t, b.Path())
		r.restartBus = func() { require.NoError(t, b.Restart()) }
		return r
	}},
	{"fake on ubusd", func(t *testing.T) rig {
		u := startUbusd(t)
		r := startFake(t, u.socket)
		r.restartBus = u.restart
		return r
	}},
	{"netifd on ubusd", startReal},
}

func onEach(t *testing.T, test func(t *testing.T, r rig)) {
	for _, r := range rigs {
		t.Run(r.name, func(t *testing.T) { test(t, r.start(t)) })
	}
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "netifd") // t.TempDir can be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sock")
}

func startFake(t *testing.T, socket string) rig {
	f, err := netifdfake.Start(socket)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	select {
	case <-f.Ready():
	case <-time.After(patience):
		require.Fail(t, "the fake is not on the bus")
	}
	require.NoError(t, f.Add(netifdfake.Config{Name: "wan", Device: "eth1", L3: "eth1", Addresses: []string{"203.0.113.5/24"},
		Gateway: "203.0.113.1", DNS: []string{"203.0.113.53"}}))
	require.NoError(t, f.Add(netifdfake.Config{Name: "wwan0", Proto: "modemmanager", L3: "wwan0", Metric: 20,
		Options:   map[string]string{"device": sysfs, "apn": "internet", "pincode": "4711"},
		Addresses: []string{"10.64.0.2/30"}, Gateway: "10.64.0.1", DNS: []string{"10.64.0.53"}}))
	return rig{
		socket: socket, fake: f,
		available: func(yes bool) { f.SetAvailable("wwan0", yes) },
		fail:      func(code string) { f.Fail("wwan0", code, true) },
		die:       func() { require.NoError(t, f.Vanish()) },
		revive:    func() { require.NoError(t, f.Return()) },
	}
}

// ubusd is the real one.
type ubusd struct {
	t      *testing.T
	socket string
	cmd    *exec.Cmd
}

func startUbusd(t *testing.T) *ubusd {
	t.Helper()
	if _, err := exec.LookPath("ubusd"); err != nil {
		t.Skip("needs ubusd: no Debian package has it; build openwrt/ubus and put it on the PATH")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: ubusd lets nobody else publish or call without access lists owned by root")
	}
	u := &ubusd{t: t, socket: socketPath(t)}
	u.start()
	t.Cleanup(u.stop)
	return u
}

func (u *ubusd) start() {
	u.cmd = exec.Command("ubusd", "-s", u.socket, "-A", filepath.Dir(u.socket))
	require.NoError(u.t, u.cmd.Start())
	require.Eventually(u.t, func() bool {
		nc, err := net.Dial("unix", u.socket)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond, "ubusd does not listen")
}

func (u *ubusd) stop() {
	_ = u.cmd.Process.Kill()
	_ = u.cmd.Wait() // "signal: killed"
}

func (u *ubusd) restart() {
	u.stop()
	u.start()
}

// startReal starts a netifd that was built with -DDUMMY_MODE=1, so that it
// changes nothing of this machine. Its protocol handler is testdata/modemmanager.sh.
func startReal(t *testing.T) rig {
	program := os.Getenv("REMSIM_NETIFD_DUMMY")
	if program == "" {
		t.Skip("needs REMSIM_NETIFD_DUMMY, the path of a netifd built with -DDUMMY_MODE=1: no Debian package has it, and any other would reconfigure this machine")
	}
	u := startUbusd(t)
	dir := filepath.Dir(u.socket)
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	script, err := os.ReadFile("testdata/modemmanager.sh")
	require.NoError(t, err)
	write("main/proto/modemmanager.sh", string(script), 0o755)
	write("config/network", fmt.Sprintf("config interface wan\n\toption proto static\n\toption device eth1\n\toption ipaddr 203.0.113.5\n\toption netmask 255.255.255.0\n"+
		"\toption gateway 203.0.113.1\n\toption dns 203.0.113.53\n\nconfig interface wwan0\n\toption proto modemmanager\n\toption device %s\n\toption metric 20\n", sysfs), 0o644)
	write("resolv.conf", "", 0o644)
	var cmd *exec.Cmd
	start := func() {
		cmd = exec.Command(program, "-s", u.socket, "-p", filepath.Join(dir, "main"), "-c", filepath.Join(dir, "config"), "-h", "/bin/true",
			"-r", filepath.Join(dir, "resolv.conf"), "-l", "0")
		cmd.Env = append(os.Environ(), "RIG="+dir)
		require.NoError(t, cmd.Start())
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	start()
	t.Cleanup(func() { stop() })
	notify := func(args map[string]any) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := ubus.Dial(ctx, u.socket)
		require.NoError(t, err)
		defer conn.Close()
		require.Eventually(t, func() bool {
			_, err := conn.Call(ctx, "network.interface", "notify_proto", args)
			return err == nil
		}, patience, 20*time.Millisecond)
	}
	return rig{
		socket: u.socket,
		available: func(yes bool) {
			notify(map[string]any{"action": 5, "interface": "wwan0", "available": yes})
		},
		fail: func(code string) {
			path := filepath.Join(dir, "fail")
			if code == "" {
				require.NoError(t, os.Remove(path))
				return
			}
			require.NoError(t, os.WriteFile(path, []byte(code), 0o644))
		},
		die: stop, revive: start, restartBus: u.restart,
	}
}
