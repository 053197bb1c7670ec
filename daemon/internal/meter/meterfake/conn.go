package meterfake

import (
	"fmt"
	"net"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// overhead of one segment at the IP layer: IPv4 20, TCP 20, time stamps 12.
const overhead = 52

// Conn sends what passes over c through the packet filter, as the connection of
// a purpose over a path. What the filter stops is lost without a word, as it is on
// a real link; there are no repetitions.
func (f *Fake) Conn(c net.Conn, via model.Path, purpose model.Purpose) net.Conn {
	return &conn{Conn: c, filter: f, packet: Packet{
		Device: via.Device, Mark: model.Mark(via.Number, purpose), Flow: fmt.Sprintf("%s %s", c.LocalAddr(), c.RemoteAddr()),
	}}
}

type conn struct {
	net.Conn
	filter *Fake
	packet Packet
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	p := c.packet
	p.Way, p.Bytes = Out, int64(len(b))+overhead
	if !c.filter.Pass(p) {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		p := c.packet
		p.Way, p.Bytes = In, int64(n)+overhead
		if err != nil || c.filter.Pass(p) {
			return n, err
		}
	}
}

// CloseWrite ends the sending side, where the connection can do that: a FIN is no
// payload, and passes.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
