package cardem

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// depth is how many transfers wait for the device on the bulk pipe: the
	// firmware keeps three messages and then drops the oldest, and with a single
	// transfer it loses the first command after a PTS (OS#4409).
	depth = 4
	// irqDepth is that of the interrupt pipe: with more edges than this at once
	// it falls behind the bulk pipe.
	irqDepth = 8
	// inSize holds any message (280 bytes), and is a multiple of the packet
	// size (64), as usbfs wants it.
	inSize = 512
	// stallLimit is how many stalls in a row are cleared before giving up.
	stallLimit = 3
)

// USB is the kernel's own bus, through usbfs.
type USB struct {
	Sysfs string // "": DefaultSysfs
	Dev   string // "": "/dev"
}

// Discover lists the card emulators that are plugged in.
func (u USB) Discover() []Found {
	if u.Sysfs == "" {
		return Discover(DefaultSysfs)
	}
	return Discover(u.Sysfs)
}

// Open claims the interface.
func (u USB) Open(f Found) (Link, error) {
	dev := u.Dev
	if dev == "" {
		dev = "/dev"
	}
	node := filepath.Join(dev, f.node)
	file, err := os.OpenFile(node, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f, gone(err))
	}
	l, err := newUSBLink(file, f)
	if err != nil {
		_ = file.Close() // the first error says what is wrong
		return nil, fmt.Errorf("open %s: %w", f, err)
	}
	return l, nil
}

// gone translates what the kernel says of a device that is not there any more.
func gone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ESHUTDOWN) || errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w (%v)", ErrGone, err)
	}
	return err
}

// transfer is an urb with its buffer. It must not move while the kernel has it,
// and nothing in it is collected before the link: usbLink pins it.
type transfer struct {
	urb    urb
	ep     *endpoint
	pended bool // the kernel has it
	buf    [inSize]byte
}

// endpoint is one of the three, with its transfers.
type endpoint struct {
	addr    uint8
	kind    uint8
	pipe    Pipe
	out     bool
	all     []*transfer
	pended  int
	stalled bool // being cleared: what comes back is not sent again yet
	stalls  int  // in a row
}

// usbLink is an interface opened through usbfs. The kernel's file takes part in
// the Go runtime's poller: it is "writable" when a transfer is done.
type usbLink struct {
	found Found
	file  *os.File
	raw   syscall.RawConn
	pin   runtime.Pinner

	// Only Recv uses these.
	reap   func(fd uintptr) bool
	reaped uintptr // address of the urb that came back
	reapNo syscall.Errno
	held   *transfer // the caller of Recv reads its buffer

	mu      sync.Mutex
	closed  bool
	in, irq endpoint
	out     endpoint // all: a ring of outQueue transfers
	first   int      // the oldest of the ring that is used
	queued  int
	due     time.Time // Recv's deadline
	outDue  time.Time // of the transfer that the kernel has; zero: none

	// Arguments and results of do: closures made once allocate nothing.
	call    func(fd uintptr)
	request uint
	arg     unsafe.Pointer
	callNo  syscall.Errno
}

// newUSBLink takes the interface of an open device and starts its transfers.
func newUSBLink(file *os.File, f Found) (*usbLink, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &usbLink{found: f, file: file, raw: raw}
	l.call = func(fd uintptr) {
		_, _, l.callNo = syscall.Syscall(syscall.SYS_IOCTL, fd, uintptr(l.request), uintptr(l.arg))
	}
	l.reap = func(fd uintptr) bool {
		_, _, l.reapNo = syscall.Syscall(syscall.SYS_IOCTL, fd, uintptr(thisMachine.reapURBNoDelay), uintptr(unsafe.Pointer(&l.reaped)))
		return l.reapNo != syscall.EAGAIN
	}
	l.pin.Pin(&l.reaped)
	if err := file.SetWriteDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("the kernel's usbfs cannot be waited for: %w", err)
	}
	if err := l.take(); err != nil {
		return nil, err
	}
	l.in = endpoint{addr: f.in, kind: urbBulk, pipe: PipeIn}
	l.irq = endpoint{addr: f.irq, kind: urbInterrupt, pipe: PipeIRQ}
	l.out = endpoint{addr: f.out, kind: urbBulk, out: true}
	for range depth {
		l.add(&l.in)
	}
	for range irqDepth {
		l.add(&l.irq)
	}
	for range outQueue {
		l.add(&l.out)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range []*endpoint{&l.irq, &l.in} {
		for _, t := range e.all {
			if err := l.submit(t, len(t.buf)); err != nil {
				return nil, fmt.Errorf("start transfers: %w", err)
			}
		}
	}
	return l, nil
}

// take sets the configuration if it is another one, and claims the interface. As
// SetInterface also starts the endpoints anew, nothing of an earlier user is left.
func (l *usbLink) take() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.found
	if !f.active {
		config := uint32(f.config)
		if err := l.do(thisMachine.setConfiguration, unsafe.Pointer(&config)); err != nil {
			return fmt.Errorf("set configuration %d: %w", config, err)
		}
	}
	iface := uint32(f.Interface)
	if err := l.do(thisMachine.claimInterface, unsafe.Pointer(&iface)); err != nil {
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("interface %d is in use by another program: %w", iface, err)
		}
		return fmt.Errorf("claim interface %d: %w", iface, err)
	}
	setting := [2]uint32{iface, uint32(f.alt)}
	if err := l.do(thisMachine.setInterface, unsafe.Pointer(&setting)); err != nil {
		return fmt.Errorf("set interface %d: %w", iface, err)
	}
	return nil
}

// add gives the endpoint one more transfer.
func (l *usbLink) add(e *endpoint) {
	t := &transfer{ep: e}
	l.pin.Pin(t)
	t.urb.kind, t.urb.endpoint, t.urb.buffer = e.kind, e.addr, unsafe.Pointer(&t.buf)
	e.all = append(e.all, t)
}

// do makes an ioctl. l.mu is held.
func (l *usbLink) do(request uint, arg unsafe.Pointer) error {
	l.request, l.arg, l.callNo = request, arg, 0
	if err := l.raw.Control(l.call); err != nil {
		return os.ErrClosed
	}
	l.arg = nil
	if l.callNo != 0 {
		return gone(l.callNo)
	}
	return nil
}

// submit gives a transfer to the kernel. l.mu is held.
func (l *usbLink) submit(t *transfer, n int) error {
	t.urb.status, t.urb.actualLength, t.urb.bufferLength = 0, 0, int32(n)
	if err := l.do(thisMachine.submitURB, unsafe.Pointer(&t.urb)); err != nil {
		return err
	}
	t.pended = true
	t.ep.pended++
	if t.ep.out {
		l.outDue = time.Now().Add(outTimeout)
		return l.rearm()
	}
	return nil
}

// rearm makes the poller wake Recv at the earlier of the two deadlines. l.mu is held.
func (l *usbLink) rearm() error {
	d := l.due
	if !l.outDue.IsZero() && (d.IsZero() || l.outDue.Before(d)) {
		d = l.outDue
	}
	return l.file.SetWriteDeadline(d)
}

// SetDeadline sets when Recv stops waiting.
func (l *usbLink) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.due = t
	return l.rearm()
}

// Out queues one transfer. Only one is with the kernel at a time, so that a
// stalled one can be repeated without overtaking.
func (l *usbLink) Out(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return os.ErrClosed
	case len(b) > inSize:
		return fmt.Errorf("transfer of %d bytes, at most %d", len(b), inSize)
	case l.queued == len(l.out.all):
		return errSlow
	}
	t := l.out.all[(l.first+l.queued)%len(l.out.all)]
	t.urb.bufferLength = int32(copy(t.buf[:], b))
	l.queued++
	if l.queued > 1 || l.out.stalled {
		return nil
	}
	return l.submit(t, len(b))
}

// Close cancels every transfer and releases the interface.
func (l *usbLink) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	for _, e := range []*endpoint{&l.in, &l.irq, &l.out} {
		for _, t := range e.all {
			if t.pended {
				// Of a device that is gone there is nothing to cancel.
				_ = l.do(thisMachine.discardURB, unsafe.Pointer(&t.urb))
			}
		}
	}
	iface := uint32(l.found.Interface)
	_ = l.do(thisMachine.releaseInterface, unsafe.Pointer(&iface)) // closing does it too
	l.mu.Unlock()
	// Closing waits for Recv to leave the file, and makes the kernel forget
	// every transfer; only then may their memory go.
	err := l.file.Close()
	l.pin.Unpin()
	if err != nil {
		return fmt.Errorf("close %s: %w", l.found, err)
	}
	return nil
}
