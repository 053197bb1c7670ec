// Package mmrig runs the real ModemManager of Debian on a private bus and plays
// the modems that it talks to: AT over sockets, and MBIM and AT behind a
// made-up /sys. It is for tests only; it never touches the machine's own bus,
// its modems or its /dev.
package mmrig

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// patience bounds every wait for a program on a loaded machine.
const patience = 30 * time.Second

const (
	mmName  = "org.freedesktop.ModemManager1"
	mmPath  = dbus.ObjectPath("/org/freedesktop/ModemManager1")
	daemon  = "/usr/sbin/ModemManager"
	busTool = "dbus-daemon"
)

// Rig is a private bus, a polkit that allows everything, a ModemManager and
// played modems.
type Rig struct {
	t     testing.TB
	dir   string
	space *space // nil: no privilege needed
	// parent starts every program that needs no namespace.
	parent *thread

	mu       sync.Mutex
	bus      *exec.Cmd
	mm       *exec.Cmd
	conn     *dbus.Conn // polkit, and the voice that reports modems
	plugged  map[*Modem]*device
	shelved  map[*Modem]bool // virtual modems that are inhibited in place of being unplugged
	tasks    sync.WaitGroup
	stopping bool
}

// device is what a plugged modem occupies.
type device struct {
	stop func() // ends serving; waits
}

// Need skips the test, with the reason, when a program that Debian offers is
// missing; with CI=true it fails instead.
func Need(t testing.TB) {
	t.Helper()
	for _, tool := range []string{daemon, busTool} {
		if _, err := exec.LookPath(tool); err != nil {
			refuse(t, "needs the Debian packages modemmanager and dbus: "+err.Error())
		}
	}
}

// NeedRoot is Need for modems with devices: those want a mount and a network
// namespace.
func NeedRoot(t testing.TB) {
	t.Helper()
	Need(t)
	if os.Geteuid() != 0 {
		refuse(t, "needs root, for a private mount and network namespace")
	}
}

func refuse(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Start runs bus and ModemManager for virtual modems; no privilege is needed.
func Start(t testing.TB) *Rig {
	t.Helper()
	Need(t)
	return start(t, false)
}

// StartDevices runs them for modems with devices, in namespaces of their own.
func StartDevices(t testing.TB) *Rig {
	t.Helper()
	NeedRoot(t)
	return start(t, true)
}

func start(t testing.TB, devices bool) *Rig {
	t.Helper()
	// Socket names are limited to 107 bytes, so t.TempDir would be too long.
	dir, err := os.MkdirTemp("", "mmrig")
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{t: t, dir: dir, parent: newThread(), plugged: map[*Modem]*device{}, shelved: map[*Modem]bool{}}
	t.Cleanup(r.stop)
	if devices {
		if r.space, err = newSpace(dir); err != nil {
			refuse(t, "needs private namespaces: "+err.Error())
		}
	}
	r.StartBus()
	r.StartMM()
	return r
}

// Address is the private bus.
func (r *Rig) Address() string { return "unix:path=" + filepath.Join(r.dir, "bus") }

// Sysfs is the directory that stands for /sys.
func (r *Rig) Sysfs() string { return filepath.Join(r.dir, "sys") }

// Log returns what ModemManager has logged.
func (r *Rig) Log() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "mm.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// PID is ModemManager's process id.
func (r *Rig) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mm.Process.Pid
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
`

// StartBus starts the bus daemon, and polkit on it.
func (r *Rig) StartBus() {
	r.t.Helper()
	conf := filepath.Join(r.dir, "bus.conf")
	r.must(os.WriteFile(conf, fmt.Appendf(nil, busConfig, filepath.Join(r.dir, "bus")), 0o600))
	cmd := exec.Command(busTool, "--config-file="+conf, "--nofork", "--nosyslog", "--print-address=1")
	out, err := cmd.StdoutPipe()
	r.must(err)
	cmd.Stderr = &bytes.Buffer{}
	cmd.SysProcAttr = mortal()
	r.must(r.parent.do(cmd.Start))
	// The address is printed once the socket listens.
	if n, err := out.Read(make([]byte, 512)); n == 0 {
		r.t.Fatalf("dbus-daemon said nothing: %v %s", err, cmd.Stderr)
	}
	conn, err := dbus.Connect(r.Address(), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	r.must(err)
	r.must(servePolkit(conn))
	r.mu.Lock()
	r.bus, r.conn = cmd, conn
	r.mu.Unlock()
}

// KillBus kills the bus daemon; ModemManager ends with it.
func (r *Rig) KillBus() {
	r.mu.Lock()
	bus, conn, mm := r.bus, r.conn, r.mm
	r.bus, r.conn, r.mm, r.shelved = nil, nil, nil, map[*Modem]bool{}
	r.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
	kill(bus)
	kill(mm)
}

// StartMM starts ModemManager, waits for its name, and reports the modems that
// are plugged in, as OpenWrt's wrapper does.
func (r *Rig) StartMM() {
	r.t.Helper()
	args := []string{"--debug", "--test-enable", "--test-no-udev", "--test-no-suspend-resume", "--no-auto-scan", "--log-file=" + filepath.Join(r.dir, "mm.log")}
	cmd := exec.Command(daemon, args...)
	if r.space != nil {
		cmd = r.space.command(daemon, args...)
	}
	cmd.SysProcAttr = mortal()
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+r.Address())
	owned, stop := r.owned()
	defer stop()
	if r.space != nil {
		r.must(r.space.do(cmd.Start))
	} else {
		r.must(r.parent.do(cmd.Start))
	}
	r.mu.Lock()
	r.mm = cmd
	r.mu.Unlock()
	select {
	case <-owned:
	case <-time.After(patience):
		r.t.Fatalf("ModemManager did not take its name within %v:\n%s", patience, r.Log())
	}
	r.mu.Lock()
	var modems []*Modem
	for m := range r.plugged {
		modems = append(modems, m)
	}
	r.mu.Unlock()
	for _, m := range modems {
		r.must(r.report(m, "add"))
	}
}

// KillMM kills ModemManager as a crash does.
func (r *Rig) KillMM() {
	r.mu.Lock()
	mm := r.mm
	r.mm, r.shelved = nil, map[*Modem]bool{}
	r.mu.Unlock()
	kill(mm)
}

// Plug connects a modem and tells ModemManager.
func (r *Rig) Plug(m *Modem) {
	r.t.Helper()
	r.must(r.plug(m))
}

// Unplug takes a modem away and tells ModemManager.
func (r *Rig) Unplug(m *Modem) {
	r.t.Helper()
	r.must(r.unplug(m))
}

func (r *Rig) plug(m *Modem) error {
	serve := r.serveVirtual
	if r.space != nil {
		serve = r.serveDevice
	}
	dev, err := serve(m)
	if err != nil {
		return err
	}
	m.mu.Lock()
	// A modem that is reset leaves its ports and comes back, by itself.
	m.onReset = func() { r.restart(m) }
	m.unlocked, m.radio, m.muted = false, true, false
	m.mu.Unlock()
	r.mu.Lock()
	r.plugged[m] = dev
	r.mu.Unlock()
	return r.report(m, "add")
}

func (r *Rig) unplug(m *Modem) error {
	r.mu.Lock()
	dev := r.plugged[m]
	delete(r.plugged, m)
	r.mu.Unlock()
	if dev == nil {
		return nil
	}
	err := r.report(m, "remove")
	dev.stop()
	return err
}

// restart unplugs and plugs m from a goroutine of the rig, since the modem's
// own channels end with it.
func (r *Rig) restart(m *Modem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return
	}
	r.tasks.Go(func() {
		if r.unplug(m) == nil {
			_ = r.plug(m) // fails only when the rig ends meanwhile
		}
	})
}

// Call calls ModemManager past the product, as netifd or a person would.
func (r *Rig) Call(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	r.mu.Lock()
	conn := r.conn
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return conn.Object(mmName, path).CallWithContext(ctx, method, 0, args...)
}

func (r *Rig) stop() {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	r.tasks.Wait()
	r.KillBus()
	r.mu.Lock()
	devices := r.plugged
	r.plugged = map[*Modem]*device{}
	r.mu.Unlock()
	for _, dev := range devices {
		dev.stop()
	}
	if r.space != nil {
		r.space.close()
	}
	r.parent.close()
	if r.t.Failed() && os.Getenv("MMRIG_KEEP") != "" {
		r.t.Logf("kept %s", r.dir)
		return
	}
	_ = os.RemoveAll(r.dir)
}

// owned returns a channel that closes when ModemManager has its name.
func (r *Rig) owned() (<-chan struct{}, func()) {
	r.mu.Lock()
	conn := r.conn
	r.mu.Unlock()
	signals, done := make(chan *dbus.Signal, 16), make(chan struct{})
	rule := []dbus.MatchOption{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, mmName)}
	r.must(conn.AddMatchSignal(rule...))
	conn.Signal(signals)
	quit := make(chan struct{})
	r.tasks.Go(func() {
		for {
			select {
			case <-quit:
				return
			case s, open := <-signals:
				if !open {
					return // the bus died
				}
				if s.Name == "org.freedesktop.DBus.NameOwnerChanged" && len(s.Body) == 3 && s.Body[0] == mmName && s.Body[2] != "" {
					close(done)
					return
				}
			}
		}
	})
	return done, func() {
		conn.RemoveSignal(signals)
		close(quit)
		_ = conn.RemoveMatchSignal(rule...)
	}
}

func (r *Rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// mortal has a program die with this one, which may end by a panic.
func mortal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func kill(cmd *exec.Cmd) {
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait() // says only that it was killed
}
