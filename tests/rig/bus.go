package rig

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Bus is a running ubus broker.
type Bus struct {
	Socket string
	// Restart ends the broker and starts it anew on the same socket. All its
	// clients lose their connections.
	Restart func()
}

// BusKind is a kind of broker.
type BusKind struct {
	Name  string
	Start func(tb testing.TB, p *Peers) *Bus
}

// BusKinds are the brokers that the same tests are run on: ours, and OpenWrt's where it
// is on the PATH.
func BusKinds() []BusKind {
	return []BusKind{{"ubusfake", fakeBus}, {"ubusd", RealBus}}
}

func fakeBus(_ testing.TB, p *Peers) *Bus {
	return &Bus{Socket: p.Ubus, Restart: func() { p.Do("broker restart") }}
}

// RealBus starts OpenWrt's ubusd, or skips the test.
func RealBus(tb testing.TB, _ *Peers) *Bus {
	tb.Helper()
	program := Find(tb, "ubusd", "OpenWrt")
	b := &Bus{Socket: filepath.Join(Dir(tb), "ubus.sock")}
	start := func() *Process {
		proc := Start(tb, Options{}, program, "-s", b.Socket)
		Until(tb, "ubusd takes connections", func() bool {
			conn, err := net.DialTimeout("unix", b.Socket, time.Second)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
		return proc
	}
	proc := start()
	b.Restart = func() {
		proc.Signal(syscall.SIGTERM)
		proc.Wait()
		proc = start()
	}
	return b
}

// Until asks again and again until something is so, for what gives no sign of its
// own.
func Until(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	timer := time.NewTimer(Bound)
	defer timer.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-timer.C:
			tb.Fatalf("not so within %s: %s", Bound, what)
		}
	}
}
