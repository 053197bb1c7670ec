// Package netrig makes network namespaces for tests, wires them together and runs
// programs and listeners in them. A namespace has no name in /run and lives as long
// as its thread: whatever happens to the test, nothing stays behind. It needs root
// and the `ip` command.
package netrig

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside names, in the environment of a test that was started again, the test.
const inside = "REMSIM_NETNS_TEST"

// Alone has the calling test run in a process of its own whose network namespace
// holds nothing but a loopback device: all goroutines are in it. There it returns
// true. Outside it returns false, after the test ran inside: return then.
//
// (setns moves one thread only, and goroutines move between threads.)
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		Run(t, "ip link set lo up")
		return true
	}
	Need(t)
	args := []string{"-test.v", "-test.count=1", "-test.run=" + exactly(t.Name())}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("in a network namespace: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		t.Skipf("in a network namespace:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Fatalf("in a network namespace the test did not run:\n%s", out)
	}
	t.Logf("in a network namespace:\n%s", out)
	return false
}

// exactly matches a test and nothing else.
func exactly(name string) string {
	return "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
}

// Need skips the test where it cannot have namespaces; in CI that fails.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, p := range append([]string{"ip"}, programs...) {
		if _, err := exec.LookPath(p); err != nil && missing == "" {
			missing = p + " (tests/packages.txt)"
		}
	}
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s: network namespaces", missing)
	default:
		t.Skipf("needs %s: network namespaces", missing)
	}
}

// Run runs commands, one a line, words apart by blanks, in the namespace of the
// test itself.
func Run(t testing.TB, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
}

// Output is what a command of the namespace of the test itself prints.
func Output(t testing.TB, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// Space is a network namespace, held by one locked thread.
type Space struct {
	Name string
	tb   testing.TB
	tid  int
	todo chan func()
}

// New makes a namespace with a loopback device that is up. It ends with the test.
func New(tb testing.TB, name string) *Space {
	tb.Helper()
	s := &Space{Name: name, tb: tb, todo: make(chan func())}
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends, and its namespace
		s.tid = unix.Gettid()
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range s.todo {
			f()
		}
	}()
	err := <-ready
	tb.Cleanup(func() {
		close(s.todo)
		<-done
	})
	if err != nil {
		tb.Fatalf("make the network namespace %s: %v", name, err)
	}
	s.Run("ip link set lo up")
	return s
}

// Do runs f on the thread of the namespace: sockets that f makes and programs that
// it starts belong to it.
func (s *Space) Do(f func() error) error {
	result := make(chan error, 1)
	s.todo <- func() { result <- f() }
	return <-result
}

// Run runs commands, one a line, words apart by blanks.
func (s *Space) Run(lines string) {
	s.tb.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			s.Output(line)
		}
	}
}

// Output is what a command prints.
func (s *Space) Output(line string) string {
	s.tb.Helper()
	out, err := s.try(line)
	if err != nil {
		s.tb.Fatalf("%s: %s: %v: %s", s.Name, line, err, out)
	}
	return out
}

func (s *Space) try(line string) (string, error) {
	words := strings.Fields(line)
	var out []byte
	err := s.Do(func() (err error) {
		out, err = exec.Command(words[0], words[1:]...).CombinedOutput()
		return err
	})
	return string(out), err
}

// File is the namespace as nsenter takes it. It is there as long as the Space.
func (s *Space) File() string { return fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), s.tid) }

// Set sets a value below /proc/sys/net.
func (s *Space) Set(name, value string) {
	s.tb.Helper()
	if err := s.Do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) }); err != nil {
		s.tb.Fatalf("%s: %v", s.Name, err)
	}
}

// Nft gives a script to nft.
func (s *Space) Nft(script string) {
	s.tb.Helper()
	var out []byte
	err := s.Do(func() (err error) {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(script)
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		s.tb.Fatalf("%s: nft: %v: %s\n%s", s.Name, err, out, script)
	}
}

// Listen listens in the namespace. Whoever calls closes it.
func (s *Space) Listen(network, address string) net.Listener {
	s.tb.Helper()
	var l net.Listener
	if err := s.Do(func() (err error) {
		l, err = net.Listen(network, address)
		return err
	}); err != nil {
		s.tb.Fatalf("%s: %v", s.Name, err)
	}
	return l
}

// ListenPacket listens for datagrams in the namespace.
func (s *Space) ListenPacket(network, address string) net.PacketConn {
	s.tb.Helper()
	var c net.PacketConn
	if err := s.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	}); err != nil {
		s.tb.Fatalf("%s: %v", s.Name, err)
	}
	return c
}

// Wire lays a cable between two namespaces and switches it on. A nil Space is the
// namespace of the test itself. Give IPv6 addresses `nodad`, or they come late.
func Wire(t testing.TB, a *Space, deviceA string, b *Space, deviceB string) {
	t.Helper()
	runIn(t, a, fmt.Sprintf("ip link add %s type veth peer name %s netns %s", deviceA, deviceB, b.id()))
	for _, end := range []struct {
		s      *Space
		device string
	}{{a, deviceA}, {b, deviceB}} {
		runIn(t, end.s, "ip link set dev "+end.device+" up")
	}
}

// id is how `ip` names the namespace.
func (s *Space) id() string {
	if s == nil {
		return strconv.Itoa(os.Getpid())
	}
	return strconv.Itoa(s.tid)
}

func runIn(t testing.TB, s *Space, line string) {
	t.Helper()
	if s == nil {
		Run(t, line)
		return
	}
	s.Run(line)
}
