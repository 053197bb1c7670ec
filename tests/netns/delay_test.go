package netns_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// delay holds packets back in a carrier: netem in a program, for kernels without. It
// is two tun devices whose packets this program passes from one to the other, late.
// They carry nothing until switched on.
type delay struct {
	space *netrig.Space
	by    time.Duration
}

// Interfaces of the tun devices, and the tables that lead into them.
const (
	tunOut, tunIn = "late-out", "late-in" // towards the net, towards the router
	tableOut      = 51
	tableIn       = 52
)

// newDelay makes the devices in a carrier.
func newDelay(t testing.TB, s *netrig.Space, by time.Duration) *delay {
	t.Helper()
	out, in := openTun(t, s, tunOut), openTun(t, s, tunIn)
	s.Run(fmt.Sprintf(`ip link set dev %[1]s up
		ip link set dev %[2]s up
		ip route add default dev %[1]s table %[3]d
		ip route add default dev %[2]s table %[4]d
		ip -6 route add default dev %[1]s table %[3]d
		ip -6 route add default dev %[2]s table %[4]d`, tunOut, tunIn, tableOut, tableIn))
	var wg sync.WaitGroup
	// What is routed into one device comes out of the other one.
	wg.Go(func() { carry(out, in, by) })
	wg.Go(func() { carry(in, out, by) })
	t.Cleanup(func() {
		_ = out.Close()
		_ = in.Close()
		wg.Wait()
	})
	return &delay{space: s, by: by}
}

// openTun opens a tun device of the namespace.
func openTun(t testing.TB, s *netrig.Space, name string) (f *os.File) {
	t.Helper()
	err := s.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			_ = unix.Close(fd)
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: tun device %s: %v", s.Name, name, err)
	}
	return f
}

// carry passes packets on, each by later than it came, until from is closed.
func carry(from, to *os.File, by time.Duration) {
	type packet struct {
		due  time.Time
		data []byte
	}
	queue := make(chan packet, 4096)
	var wg sync.WaitGroup
	wg.Go(func() {
		for p := range queue {
			time.Sleep(time.Until(p.due)) // this is the delay itself
			_, _ = to.Write(p.data)
		}
	})
	b := make([]byte, 65536)
	for {
		n, err := from.Read(b)
		if err != nil {
			break
		}
		select {
		case queue <- packet{time.Now().Add(by), append([]byte(nil), b[:n]...)}:
		default: // a full queue drops, as a router does
		}
	}
	close(queue)
	wg.Wait()
}

// set switches the delay on or off. Packets that are late already still come.
func (d *delay) set(on bool) {
	verb := "del"
	if on {
		verb = "add"
	}
	for _, family := range []string{"-4", "-6"} {
		d.space.Run(fmt.Sprintf("ip %[1]s rule %[2]s pref 51 iif in table %[3]d\nip %[1]s rule %[2]s pref 52 iif out table %[4]d", family, verb, tableOut, tableIn))
	}
}
