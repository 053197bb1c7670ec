package path

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// bound is how long a test waits for what must come.
const bound = 20 * time.Second

// carrier is a network behind one device of the router: a host that says the
// carrier's name to whoever connects, and a DNS server.
type carrier struct {
	*netrig.Space
	device string
	path   model.Path

	mu    sync.Mutex
	names map[string][]netip.Addr
	mute  map[uint16]bool // types that get no answer
	asked int
}

// world is a router (the test's own namespace) between two carriers. Both have
// the host 192.0.2.1 and 2001:db8::1.
func world(t *testing.T) (a, b *carrier) {
	a, b = newCarrier(t, "a", 1), newCarrier(t, "b", 2)
	return a, b
}

func newCarrier(t *testing.T, name string, number int) *carrier {
	c := &carrier{Space: netrig.New(t, name), device: "wan" + name, names: map[string][]netip.Addr{}, mute: map[uint16]bool{}}
	netrig.Wire(t, nil, c.device, c.Space, "eth0")
	netrig.Run(t, fmt.Sprintf(`ip addr add 10.0.%[1]d.2/24 dev %[2]s
		ip addr add fd00:%[1]d::2/64 dev %[2]s nodad
		ip route add default via 10.0.%[1]d.1 dev %[2]s metric %[1]d
		ip route add default via fd00:%[1]d::1 dev %[2]s metric %[1]d`, number, c.device))
	c.Run(fmt.Sprintf(`ip addr add 10.0.%[1]d.1/24 dev eth0
		ip addr add fd00:%[1]d::1/64 dev eth0 nodad
		ip addr add 192.0.2.1/32 dev lo
		ip addr add 2001:db8::1/128 dev lo nodad
		ip addr add 198.51.100.%[1]d/32 dev lo`, number))
	c.path = model.Path{Link: name, Number: number, Device: c.device, DNS: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(number), 1})}}
	c.serve(t)
	c.serveNames(t)
	return c
}

// serve says the carrier's name to every connection, then echoes.
func (c *carrier) serve(t *testing.T) {
	l := c.Listen("tcp", ":7")
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			wg.Go(func() {
				_, _ = conn.Write([]byte(c.Name))
				b := make([]byte, 64)
				for {
					n, err := conn.Read(b)
					if err != nil {
						return
					}
					_, _ = conn.Write(b[:n])
				}
			})
		}
	})
}

// serveNames is the carrier's DNS server, on every address.
func (c *carrier) serveNames(t *testing.T) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	for _, address := range []string{c.gateway(), "[::1]:53"} {
		pc := c.ListenPacket("udp", address)
		t.Cleanup(func() { _ = pc.Close() })
		wg.Go(func() {
			b := make([]byte, 1500)
			for {
				n, from, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				if answer := c.answer(b[:n]); answer != nil {
					_, _ = pc.WriteTo(answer, from)
				}
			}
		})
	}
}

func (c *carrier) gateway() string { return net.JoinHostPort(c.path.DNS[0].String(), "53") }

// answer answers one DNS question: a name and a type, RFC 1035 section 4.
func (c *carrier) answer(q []byte) []byte {
	name, rest := "", q[12:]
	for rest[0] != 0 {
		name += string(rest[1:1+rest[0]]) + "."
		rest = rest[1+rest[0]:]
	}
	typ := binary.BigEndian.Uint16(rest[1:])
	question := q[12 : len(q)-len(rest)+5]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.mute[typ] {
		return nil
	}
	ips, known := c.names[name]
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if !known {
		out[3] |= 3 // NXDOMAIN
	}
	for _, ip := range ips {
		if (typ == 1) != ip.Is4() {
			continue
		}
		out[7]++
		out = append(out, 0xc0, 12, byte(typ>>8), byte(typ), 0, 1, 0, 0, 0, 60, 0, byte(len(ip.AsSlice())))
		out = append(out, ip.AsSlice()...)
	}
	return out
}

// name gives a name addresses.
func (c *carrier) name(name string, ips ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[name+"."] = nil
	for _, ip := range ips {
		c.names[name+"."] = append(c.names[name+"."], netip.MustParseAddr(ip))
	}
}

func (c *carrier) silent(typ uint16, mute bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute[typ] = mute
}

// read reads n bytes.
func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(bound)))
	b := make([]byte, n)
	for got := 0; got < n; {
		m, err := c.Read(b[got:])
		require.NoError(t, err)
		got += m
	}
	return string(b)
}

// eventually asks until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	require.Eventually(t, so, bound, 20*time.Millisecond, what)
}
