// Package meterrig gives a test the real packet filter: it runs the test again
// in a network namespace of its own, and joins it to further namespaces that
// play a carrier or a LAN. It touches nothing outside of them, and no program
// for the router contains it.
package meterrig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inside = "REMSIM_METERRIG"

// Inside tells that the test runs in a namespace of its own. Where it does not
// yet, the test is run there, in a process of its own with its failures and
// output, and false comes back.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	for _, program := range []string{"/usr/sbin/nft", "/usr/sbin/ip"} {
		if _, err := os.Stat(program); err != nil {
			missing(t, "needs nftables and iproute2: %v", err)
		}
	}
	if os.Getuid() != 0 {
		missing(t, "needs root: it makes network namespaces")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	// The process dies with the thread that made it: this one has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("the test did not run in the namespace:\n%s", out)
	}
	t.Logf("%s", out)
	return false
}

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Peer is a namespace at the other end of a device of the test's namespace.
type Peer struct {
	t    *testing.T
	ns   *os.File
	work chan func()
}

// Join makes a device to a new peer: 10.N.0.1 and fd00:N::1 are the test's end,
// …2 the peer's. Segments are not put together, so that counters see what a
// carrier sees. Without v6 nothing is on the device but what the test sends.
func Join(t *testing.T, device string, number int, v6 bool) *Peer {
	t.Helper()
	p := &Peer{t: t, work: make(chan func())}
	ready := make(chan error)
	go p.serve(ready)
	if err := <-ready; err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() { close(p.work); _ = p.ns.Close() })
	if !v6 {
		withoutV6(t)
		p.Do(func() { withoutV6(t) })
	}
	run(t, "ip", "link", "add", device, "gso_max_segs", "1", "type", "veth",
		"peer", "name", "up0", "gso_max_segs", "1", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.ns.Fd()))
	near, far := ends(number, v6)
	setUp(t, device, near)
	p.Do(func() {
		setUp(t, "lo", nil)
		setUp(t, "up0", far)
		run(t, "ip", "route", "add", "default", "via", strings.TrimSuffix(near[0], "/24"))
		if v6 {
			run(t, "ip", "-6", "route", "add", "default", "via", strings.TrimSuffix(near[1], "/64"))
		}
	})
	return p
}

func ends(number int, v6 bool) (near, far []string) {
	near, far = []string{fmt.Sprintf("10.%d.0.1/24", number)}, []string{fmt.Sprintf("10.%d.0.2/24", number)}
	if v6 {
		near, far = append(near, fmt.Sprintf("fd00:%d::1/64", number)), append(far, fmt.Sprintf("fd00:%d::2/64", number))
	}
	return near, far
}

// withoutV6 keeps devices made from now on from speaking IPv6 by themselves.
func withoutV6(t *testing.T) {
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o600); err != nil {
		t.Error(err)
	}
}

func setUp(t *testing.T, device string, addresses []string) {
	run(t, "ip", "link", "set", device, "up")
	for _, a := range addresses {
		args := []string{"addr", "add", a, "dev", device}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		run(t, "ip", args...)
	}
}

// serve runs what it is given in the namespace. Its thread ends with it.
func (p *Peer) serve(ready chan<- error) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		p.ns, err = os.Open("/proc/thread-self/ns/net")
	}
	ready <- err
	for fn := range p.work {
		fn()
	}
}

// Do runs fn in the namespace of the peer: sockets that it opens and programs
// that it starts belong there.
func (p *Peer) Do(fn func()) {
	done := make(chan struct{})
	p.work <- func() { defer close(done); fn() }
	<-done
}

// Run starts a program in the namespace and waits for it.
func (p *Peer) Run(name string, args ...string) {
	p.t.Helper()
	p.Do(func() { run(p.t, name, args...) })
}

// Listen listens in the namespace.
func (p *Peer) Listen(address string) net.Listener {
	p.t.Helper()
	var l net.Listener
	var err error
	p.Do(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = l.Close() })
	return l
}

// ListenPacket listens for datagrams in the namespace.
func (p *Peer) ListenPacket(address string) net.PacketConn {
	p.t.Helper()
	var c net.PacketConn
	var err error
	p.Do(func() { c, err = net.ListenPacket("udp", address) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// run starts a program in the namespace of this thread and waits for it. It is
// called from goroutines whose failures end the test through Error.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
