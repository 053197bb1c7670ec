package path

import (
	"io"
	"net"
	"sync"
)

// tcpConn is a watched TCP connection. What *net.TCPConn can do it can, save
// that bytes pass by Read and Write only.
type tcpConn struct {
	*net.TCPConn
	watch *watch
	gone  sync.Once
}

// udpConn is a watched, connected UDP socket.
type udpConn struct {
	*net.UDPConn
	watch *watch
	gone  sync.Once
}

// watched wraps a connection for the evidence of its link.
func watched(c net.Conn, e *evidence) net.Conn {
	raw := rawOf(c)
	if raw == nil {
		return c
	}
	switch c := c.(type) {
	case *net.TCPConn:
		w := &watch{evidence: e, raw: raw, stream: true}
		w.base, _ = arrived(raw)
		e.add(w)
		return &tcpConn{TCPConn: c, watch: w}
	case *net.UDPConn:
		w := &watch{evidence: e, raw: raw}
		e.add(w)
		return &udpConn{UDPConn: c, watch: w}
	}
	return c
}

// Read reads and notes that the peer was heard.
func (c *tcpConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.watch.read(n)
	c.watch.failed(err)
	return n, err
}

// Write writes and notes that an answer is owed.
func (c *tcpConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.watch.wrote(n)
	c.watch.failed(err)
	return n, err
}

// ReadFrom copies by Write.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// WriteTo copies by Read.
func (c *tcpConn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// Close closes; what it still owed is no evidence any more.
func (c *tcpConn) Close() error {
	c.gone.Do(func() { c.watch.evidence.drop(c.watch) })
	return c.TCPConn.Close()
}

// Read reads and notes that the peer was heard.
func (c *udpConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	c.watch.read(n)
	c.watch.failed(err)
	return n, err
}

// Write writes and notes that an answer is owed.
func (c *udpConn) Write(b []byte) (int, error) {
	n, err := c.UDPConn.Write(b)
	c.watch.wrote(n)
	c.watch.failed(err)
	return n, err
}

// Close closes; what it still owed is no evidence any more.
func (c *udpConn) Close() error {
	c.gone.Do(func() { c.watch.evidence.drop(c.watch) })
	return c.UDPConn.Close()
}
