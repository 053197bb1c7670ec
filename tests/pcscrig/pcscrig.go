// Package pcscrig starts Debian's pcscd with vsmartcard-vpcd beside whatever else
// runs on the machine, and drives PC/SC programs against it. It is for tests, both
// beside the code and in tests/, and knows nothing of remsim.
//
// Nothing of the system's own pcscd is touched. Its socket's path is compiled in,
// so the rig makes the listening socket itself and hands it over as systemd would
// (LISTEN_FDS); programs find it by PCSCLITE_CSOCK_NAME. Its pid file is compiled in as
// well, so pcscd runs in a mount namespace with a /run of its own where the machine
// allows that.
//
// vpcd listens on every address of the machine; its ports are free ones.
package pcscrig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// driver is where vsmartcard-vpcd installs its library.
const driver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"

// slotsPerReader is how many ports vpcd opens for each entry of reader.conf, from
// the configured one upwards.
const slotsPerReader = 2

// stopTime is how long pcscd gets to end after SIGTERM.
const stopTime = 10 * time.Second

// Rig is a running pcscd.
type Rig struct {
	tb      testing.TB
	dir     string
	socket  string
	ports   []int
	private bool // a mount namespace can be had

	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	log  logBuffer
}

// Start starts pcscd with this many readers, and stops it when the test ends. Without
// Debian's packages the test is skipped, or fails if CI=true.
func Start(tb testing.TB, readers int) *Rig {
	tb.Helper()
	Need(tb, "pcscd", python)
	if exec.Command(python, "-c", "import smartcard").Run() != nil {
		Missing(tb, "python3-pyscard", "the Python module smartcard")
	}
	library, err := os.ReadFile(driver)
	if errors.Is(err, os.ErrNotExist) {
		Missing(tb, "vsmartcard-vpcd", driver)
	}
	if err != nil {
		tb.Fatalf("read vpcd's library: %v", err)
	}
	r := &Rig{tb: tb, dir: shortTempDir(tb), private: canUnshare()}
	r.socket = filepath.Join(r.dir, "pcscd.comm")
	tb.Cleanup(r.Stop)
	// Between choosing ports and vpcd's bind somebody may take them.
	for attempt := 1; ; attempt++ {
		r.ports = freePorts(tb, readers)
		r.configure(library)
		r.Run()
		missing := r.missing()
		if missing == "" {
			return r
		}
		r.Stop()
		if attempt == 5 {
			tb.Fatalf("pcscd has no reader %q; its log:\n%s", missing, r.log.String())
		}
	}
}

// Need skips the test (fails it if CI=true) unless these programs are there.
func Need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Missing(tb, p, "the program "+p)
		}
	}
}

// Missing skips the test, or fails it if CI=true, for want of a Debian package.
func Missing(tb testing.TB, pkg, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("needs %s: %s is not there", pkg, what)
	}
	tb.Skipf("needs %s: %s is not there", pkg, what)
}

// Device is where reader i waits for its card, "127.0.0.1:port".
func (r *Rig) Device(i int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.ports[i]))
}

// Reader is the name of reader i in PC/SC.
func (r *Rig) Reader(i int) string { return fmt.Sprintf("remsim%c 00 00", 'A'+i) }

// Env is the environment in which a PC/SC program finds this pcscd.
func (r *Rig) Env() []string {
	return append(os.Environ(), "PCSCLITE_CSOCK_NAME="+r.socket)
}

// Command prepares a PC/SC program.
func (r *Rig) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = r.Env()
	cmd.WaitDelay = stopTime
	return cmd
}

// Log is what pcscd has said so far.
func (r *Rig) Log() string { return r.log.String() }

// Run starts pcscd again after Stop, with the same readers on the same ports.
func (r *Rig) Run() {
	r.tb.Helper()
	// The path stays; the socket is new, as after a restart of the service.
	if err := os.Remove(r.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.tb.Fatalf("remove pcscd's old socket: %v", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.socket, Net: "unix"})
	if err != nil {
		r.tb.Fatalf("listen for pcscd: %v", err)
	}
	ln.SetUnlinkOnClose(false)
	defer ln.Close()
	file, err := ln.File() // a copy, which pcscd inherits
	if err != nil {
		r.tb.Fatalf("listen for pcscd: %v", err)
	}
	defer file.Close()

	script := `LISTEN_PID=$$ LISTEN_FDS=1 exec pcscd --foreground --info --config "$0"`
	args := []string{"sh", "-c", script, filepath.Join(r.dir, "reader.conf.d")}
	if r.private {
		args[2] = "mount -t tmpfs none /run && " + script
		args = append(unshare(), args...)
	}
	r.cmd = exec.Command(args[0], args[1:]...)
	r.cmd.ExtraFiles = []*os.File{file} // descriptor 3, where systemd's protocol has it
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	// A test that is killed must not leave pcscd behind.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	r.done = done
	cmd := r.cmd
	go func() {
		// Pdeathsig means the thread that started the child: this goroutine keeps
		// its thread until the child has ended.
		lockThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is told to end by a signal
		}
	}()
	if err := <-started; err != nil {
		r.tb.Fatalf("start pcscd: %v", err)
	}
}

// Stop ends pcscd. Stopping one that has ended is no error.
func (r *Rig) Stop() {
	if r.cmd == nil || r.cmd.Process == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		_ = r.cmd.Process.Kill()
		<-r.done
	}
	r.cmd = nil
}

// missing asks pcscd for its readers and names the first one that is not there.
func (r *Rig) missing() string {
	c := r.Client(0)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	names, err := c.Readers(ctx)
	if err != nil {
		r.tb.Fatalf("ask pcscd for its readers: %v; its log:\n%s", err, r.log.String())
	}
	for i := range r.ports {
		if !bytes.Contains([]byte(strings.Join(names, "\n")), []byte(r.Reader(i))) {
			return r.Reader(i)
		}
	}
	return ""
}

// configure writes reader.conf.d. Each reader gets a copy of the library: vpcd
// keeps its state in globals, so pcscd serializes all readers of one library.
func (r *Rig) configure(library []byte) {
	r.tb.Helper()
	conf := filepath.Join(r.dir, "reader.conf.d")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		r.tb.Fatal(err)
	}
	var b strings.Builder
	for i, port := range r.ports {
		lib := filepath.Join(r.dir, fmt.Sprintf("libifdvpcd%d.so", i))
		if err := os.WriteFile(lib, library, 0o755); err != nil {
			r.tb.Fatal(err)
		}
		fmt.Fprintf(&b, "FRIENDLYNAME \"remsim%c\"\nDEVICENAME /dev/null:%d\nLIBPATH %s\nCHANNELID %d\n\n", 'A'+i, port, lib, port)
	}
	if err := os.WriteFile(filepath.Join(conf, "vpcd"), []byte(b.String()), 0o644); err != nil {
		r.tb.Fatal(err)
	}
}

// freePorts finds for each reader a port that is free together with those above it
// that vpcd takes as well.
func freePorts(tb testing.TB, readers int) []int {
	tb.Helper()
	var held []io.Closer
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	var ports []int
	for attempt := 0; len(ports) < readers; attempt++ {
		if attempt == 1000 {
			tb.Fatalf("no %d free ports in a row", slotsPerReader)
		}
		first, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			tb.Fatal(err)
		}
		held = append(held, first)
		port := first.Addr().(*net.TCPAddr).Port
		ok := true
		for i := 1; ok && i < slotsPerReader; i++ {
			l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port+i))
			if ok = err == nil; ok {
				held = append(held, l)
			}
		}
		if ok {
			ports = append(ports, port)
		}
	}
	return ports
}

// unshare is the command that gives what follows a mount namespace, as root or as a
// user who becomes root in a namespace.
func unshare() []string {
	if os.Geteuid() == 0 {
		return []string{"unshare", "--mount"}
	}
	return []string{"unshare", "--map-root-user", "--mount"}
}

func canUnshare() bool {
	args := append(unshare(), "sh", "-c", "mount -t tmpfs none /run")
	return exec.Command(args[0], args[1:]...).Run() == nil
}

// shortTempDir is like tb.TempDir, but short enough for a socket in it (108 bytes).
func shortTempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pcsc")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// logBuffer is pcscd's output.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
