package uimremotefake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// Proxy plays libqmi's qmi-proxy or libmbim's mbim-proxy in front of a modem: it listens
// on a socket, and what its clients leave behind stays with the modem until they come
// back or the modem restarts.
type Proxy struct {
	modem *Modem
	mbim  bool
	ln    net.Listener
	tasks sync.WaitGroup

	mu     sync.Mutex
	wires  map[*wire]bool
	closed bool
}

// ServeQMI plays qmi-proxy on a unix socket, "@qmi-proxy" in a router.
func (m *Modem) ServeQMI(address string) (*Proxy, error) { return m.serve(address, false) }

// ServeMBIM plays mbim-proxy on a unix socket, "@mbim-proxy" in a router.
func (m *Modem) ServeMBIM(address string) (*Proxy, error) { return m.serve(address, true) }

func (m *Modem) serve(address string, mbim bool) (*Proxy, error) {
	ln, err := net.Listen("unix", address)
	if err != nil {
		return nil, fmt.Errorf("open fake proxy: %w", err)
	}
	p := &Proxy{modem: m, mbim: mbim, ln: ln, wires: make(map[*wire]bool)}
	p.tasks.Go(p.accept)
	return p, nil
}

// Close is a proxy that is killed: its clients are cut off, and what they had of the
// modem stays allocated.
func (p *Proxy) Close() error {
	err := p.ln.Close()
	p.Cut()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
	p.tasks.Wait()
	return err
}

// Cut closes every client's connection, as a proxy does when the port goes away.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		_ = w.conn.Close()
	}
}

// Garbage sends bytes to every client as they are.
func (p *Proxy) Garbage(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		w.write(b)
	}
}

// String says what it is and who is connected.
func (p *Proxy) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := "qmi-proxy"
	if p.mbim {
		name = "mbim-proxy"
	}
	return fmt.Sprintf("%s on %s: %d clients", name, p.ln.Addr(), len(p.wires))
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		w := &wire{conn: c, mbim: p.mbim, proxy: true}
		p.mu.Lock()
		if p.closed {
			_ = c.Close()
		}
		p.wires[w] = true
		p.mu.Unlock()
		p.tasks.Go(func() {
			p.modem.attach(w)
			p.mu.Lock()
			delete(p.wires, w)
			p.mu.Unlock()
		})
	}
}

// ServePort is the modem's control port itself, for a real proxy that opens it: it
// returns when the port is closed.
func (m *Modem) ServePort(port io.ReadWriteCloser, mbim bool) {
	m.attach(&wire{conn: port, mbim: mbim})
}

// attach serves one wire until it ends.
func (m *Modem) attach(w *wire) {
	defer w.conn.Close()
	next := readQMI
	if w.mbim {
		next = readMBIM
	}
	for {
		b, err := next(w.conn)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
				m.log("wire ended: %v", err)
			}
			break
		}
		if w.mbim {
			m.fromMBIM(w, b)
		} else {
			m.fromQMI(w, b, func(answer []byte) { w.write(answer) })
		}
	}
	m.detach(w)
}

func readQMI(r io.Reader) ([]byte, error) {
	b := make([]byte, 3, 512)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n := 1 + int(b[1]) + int(b[2])<<8
	if b[0] != 1 || n < 12 {
		return nil, fmt.Errorf("%w: % X", errBad, b)
	}
	b = append(b, make([]byte, n-3)...)
	_, err := io.ReadFull(r, b[3:])
	return b, err
}

func readMBIM(r io.Reader) ([]byte, error) {
	b := make([]byte, 12, 512)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n < 12 || n > 4096 {
		return nil, fmt.Errorf("%w: % X", errBad, b)
	}
	b = append(b, make([]byte, n-12)...)
	_, err := io.ReadFull(r, b[12:])
	return b, err
}

// fromMBIM answers one MBIM message. A proxy's CONFIGURATION is the proxy's to answer;
// the rest a modem answers too.
func (m *Modem) fromMBIM(w *wire, b []byte) {
	le := binary.LittleEndian
	typ, txn := le.Uint32(b), le.Uint32(b[8:])
	switch {
	case typ == 1:
		w.write(mbimFrame(0x80000001, txn, uint32(0)))
		return
	case typ == 2:
		w.write(mbimFrame(0x80000002, txn, uint32(0)))
		return
	case typ != 3 || len(b) < 48 || le.Uint32(b[12:]) != 1 || int(le.Uint32(b[44:])) != len(b)-48:
		m.log("MBIM message %08X not understood", typ)
		w.write(mbimFrame(0x80000004, txn, uint32(6))) // unknown
		return
	}
	service, cid, info := [16]byte(b[20:36]), le.Uint32(b[36:]), b[48:]
	done := func(status uint32, info []byte) { w.write(mbimDone(txn, service, cid, status, info)) }
	switch {
	case service == mbimProxy && cid == 1 && w.proxy:
		w.mu.Lock()
		w.device = utf16Text(info, 0)
		w.mu.Unlock()
		m.log("mbim-proxy opens %s", w.device)
		done(0, nil)
	case service == mbimBasic && cid == 19:
		done(0, info)
	case service == mbimQMI && cid == 1:
		if m.options.NoPassthrough {
			done(9, nil) // no device support
			return
		}
		m.fromQMI(w, info, func(answer []byte) { done(0, answer) })
	default:
		done(9, nil)
	}
}
