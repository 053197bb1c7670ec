package cardemfake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// VHCI is where the kernel's vhci_hcd takes devices.
const VHCI = "/sys/devices/platform/vhci_hcd.0"

// The USB/IP protocol (Documentation/usb/usbip_protocol.rst); integers are big endian.
const (
	cmdSubmit  = 1
	cmdUnlink  = 2
	retSubmit  = 3
	retUnlink  = 4
	usbipLen   = 48
	speedFull  = 2
	errPipe    = -32  // the endpoint stalls
	errUnlink  = -104 // the transfer was taken back
	portIsFree = "004"
)

// address is an endpoint's, as the firmware numbers those of its first slot.
var address = [...]uint8{In: 0x85, IRQ: 0x86, Out: 0x04}

// Attachment is a device at the kernel's virtual host controller.
type Attachment struct {
	device *Device
	conn   net.Conn
	ended  chan struct{}
	traced bool

	mu      sync.Mutex // after the device's lock
	waiting [2][]submit
	halted  [3]bool
	stalls  [3]int
	out     [usbipLen]byte
}

// submit is a transfer that the kernel waits for.
type submit struct {
	seq uint32
	max int
}

// Attach plugs the device into this machine's kernel, where it is a USB device like
// any. sniffer gives it the sniffer's configuration too, as the first one, which
// the kernel then chooses. Unplug ends it, and so does Close.
func Attach(d *Device, sniffer bool) (*Attachment, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket for vhci_hcd: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "usbip"), os.NewFile(uintptr(fds[1]), "vhci")
	defer theirs.Close() // the kernel keeps it
	conn, err := net.FileConn(ours)
	_ = ours.Close() // conn has a copy
	if err != nil {
		return nil, fmt.Errorf("use the socket for vhci_hcd: %w", err)
	}
	a := &Attachment{device: d, conn: conn, ended: make(chan struct{}), traced: sniffer}
	d.run(func() { d.host = a })
	go a.serve()
	text := fmt.Sprintf("%d %d %d %d", port, theirs.Fd(), 1<<16|port+2, speedFull)
	if err := os.WriteFile(filepath.Join(VHCI, "attach"), []byte(text), 0); err != nil {
		a.Close()
		return nil, fmt.Errorf("attach to vhci_hcd: %w", err)
	}
	return a, nil
}

// freePort finds a port of the controller for a full-speed device.
func freePort() (int, error) {
	b, err := os.ReadFile(filepath.Join(VHCI, "status"))
	if err != nil {
		return 0, fmt.Errorf("look for a port of vhci_hcd: %w", err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) > 2 && f[0] == "hs" && f[2] == portIsFree {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New("every port of vhci_hcd is taken")
}

// Close unplugs the device from the kernel and waits for what served it.
func (a *Attachment) Close() {
	_ = a.conn.Close()
	<-a.ended
	a.device.run(func() {
		if a.device.host == host(a) {
			a.device.host = nil
		}
	})
}

func (a *Attachment) gone() { _ = a.conn.Close() }

func (a *Attachment) room(p cardem.Pipe) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting[p]) > 0 && !a.halted[p]
}

func (a *Attachment) deliver(p cardem.Pipe, b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.waiting[p][0]
	a.waiting[p] = a.waiting[p][1:]
	a.reply(s.seq, 0, len(b), b)
}

func (a *Attachment) stall(e Endpoint, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stalls[e] = times
	if e != Out && len(a.waiting[e]) > 0 {
		s := a.waiting[e][0]
		a.waiting[e] = a.waiting[e][1:]
		a.halt(e, s.seq)
	}
}

// halt answers a transfer with a stall. a.mu is held.
func (a *Attachment) halt(e Endpoint, seq uint32) {
	if a.stalls[e] > 0 {
		a.stalls[e]--
	}
	a.halted[e] = true
	a.reply(seq, errPipe, 0, nil)
}

// reply ends a transfer. a.mu is held. A connection that is gone is for serve to see.
func (a *Attachment) reply(seq uint32, status int32, n int, data []byte) {
	clear(a.out[:])
	binary.BigEndian.PutUint32(a.out[0:], retSubmit)
	binary.BigEndian.PutUint32(a.out[4:], seq)
	binary.BigEndian.PutUint32(a.out[20:], uint32(status))
	binary.BigEndian.PutUint32(a.out[24:], uint32(n))
	_, _ = a.conn.Write(append(a.out[:], data...))
}

// serve answers the kernel until the connection ends.
func (a *Attachment) serve() {
	defer close(a.ended)
	var h [usbipLen]byte
	for {
		if _, err := io.ReadFull(a.conn, h[:]); err != nil {
			return
		}
		seq := binary.BigEndian.Uint32(h[4:])
		switch binary.BigEndian.Uint32(h[0:]) {
		case cmdSubmit:
			n := int(binary.BigEndian.Uint32(h[24:]))
			var data []byte
			if binary.BigEndian.Uint32(h[12:]) == 0 { // towards the device
				data = make([]byte, n)
				if _, err := io.ReadFull(a.conn, data); err != nil {
					return
				}
			}
			a.submit(seq, binary.BigEndian.Uint32(h[16:]), n, [8]byte(h[40:48]), data)
		case cmdUnlink:
			a.unlink(seq, binary.BigEndian.Uint32(h[20:]))
		default:
			return
		}
	}
}

// submit takes a transfer of the kernel on endpoint number ep.
func (a *Attachment) submit(seq, ep uint32, n int, setup [8]byte, data []byte) {
	d := a.device
	d.mu.Lock()
	defer d.mu.Unlock()
	switch uint8(ep) {
	case 0:
		a.mu.Lock()
		defer a.mu.Unlock()
		answer, ok := a.control(setup)
		if !ok {
			a.reply(seq, errPipe, 0, nil)
			return
		}
		answer = answer[:min(len(answer), n)]
		a.reply(seq, 0, len(answer), answer)
	case address[Out]:
		a.mu.Lock()
		if a.halted[Out] || a.stalls[Out] > 0 {
			a.halt(Out, seq)
			a.mu.Unlock()
			return
		}
		a.reply(seq, 0, len(data), nil)
		a.mu.Unlock()
		d.take(data)
	case address[In] & 0x7f:
		a.queue(In, seq, n)
	case address[IRQ] & 0x7f:
		a.queue(IRQ, seq, n)
	}
}

// queue has a transfer wait for the firmware. d.mu is held.
func (a *Attachment) queue(e Endpoint, seq uint32, n int) {
	a.mu.Lock()
	if a.halted[e] || a.stalls[e] > 0 {
		a.halt(e, seq)
		a.mu.Unlock()
		return
	}
	a.waiting[e] = append(a.waiting[e], submit{seq, n})
	a.mu.Unlock()
	if d := a.device; d.plugged && d.host == host(a) {
		d.flush(cardem.Pipe(e))
	}
}

// unlink takes a waiting transfer back.
func (a *Attachment) unlink(seq, which uint32) {
	d := a.device
	d.mu.Lock()
	defer d.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	status := int32(0) // it had been answered
	for p := range a.waiting {
		for i, s := range a.waiting[p] {
			if s.seq == which {
				a.waiting[p] = append(a.waiting[p][:i:i], a.waiting[p][i+1:]...)
				status = errUnlink
				break
			}
		}
	}
	clear(a.out[:])
	binary.BigEndian.PutUint32(a.out[0:], retUnlink)
	binary.BigEndian.PutUint32(a.out[4:], seq)
	binary.BigEndian.PutUint32(a.out[20:], uint32(status))
	_, _ = a.conn.Write(a.out[:])
}

// control answers a request on endpoint 0 (USB 2.0 §9.4); false is a stall. a.mu is
// held.
func (a *Attachment) control(setup [8]byte) ([]byte, bool) {
	value, index := binary.LittleEndian.Uint16(setup[2:]), binary.LittleEndian.Uint16(setup[4:])
	switch setup[1] {
	case 6: // GET_DESCRIPTOR
		return a.descriptor(uint8(value>>8), uint8(value))
	case 0: // GET_STATUS
		return []byte{0, 0}, true
	case 1: // CLEAR_FEATURE, of an endpoint: HALT
		for e, addr := range address {
			if uint8(index) == addr {
				a.halted[e] = false
			}
		}
		return nil, true
	case 9, 11: // SET_CONFIGURATION, SET_INTERFACE
		a.halted = [3]bool{}
		return nil, true
	}
	return nil, false
}

// descriptor is what the device says of itself.
func (a *Attachment) descriptor(kind, index uint8) ([]byte, bool) {
	d := a.device
	switch kind {
	case 1:
		b := []byte{18, 1, 0, 2, 0, 0, 0, 64, 0x50, 0x1d, 0, 0, 2, 0, 1, 2, 3, 1}
		binary.LittleEndian.PutUint16(b[10:], d.board.Product)
		if a.traced {
			b[17] = 2
		}
		return b, true
	case 2:
		sniffer, emulator := configuration(1, 1), configuration(1, 2)
		switch {
		case !a.traced && index == 0:
			return emulator, true
		case a.traced && index == 0:
			return sniffer, true
		case a.traced && index == 1:
			return configuration(2, 2), true
		}
	case 3:
		if index == 0 {
			return []byte{4, 3, 9, 4}, true
		}
		names := []string{"", "sysmocom", d.board.Name, d.config.Serial}
		if int(index) < len(names) {
			return stringDescriptor(names[index]), true
		}
	}
	return nil, false
}

// configuration has one vendor-specific interface of this subclass: 1 the sniffer,
// 2 the card emulation.
func configuration(value, subclass uint8) []byte {
	b := []byte{9, 2, 0, 0, 1, value, 0, 0x80, 50, 9, 4, 0, 0, 3, 0xff, subclass, 0, 0}
	for _, e := range []struct{ addr, kind, interval uint8 }{{address[Out], 2, 0}, {address[In], 2, 0}, {address[IRQ], 3, 1}} {
		b = append(b, 7, 5, e.addr, e.kind, 64, 0, e.interval)
	}
	b[2] = uint8(len(b))
	return b
}

func stringDescriptor(s string) []byte {
	b := []byte{0, 3}
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	b[0] = uint8(len(b))
	return b
}
