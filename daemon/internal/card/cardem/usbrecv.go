package cardem

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Recv waits for the next transfer of the device.
func (l *usbLink) Recv() (Pipe, []byte, error) {
	if err := l.giveBack(); err != nil {
		return 0, nil, err
	}
	for {
		if err := l.raw.Write(l.reap); err != nil {
			if err := l.woken(err); err != nil {
				return 0, nil, err
			}
			continue
		}
		if l.reapNo != 0 {
			return 0, nil, gone(l.reapNo)
		}
		t, err := l.done()
		if err != nil {
			return 0, nil, err
		}
		if t != nil {
			l.held = t
			return t.ep.pipe, t.buf[:t.urb.actualLength], nil
		}
	}
}

// giveBack returns to the kernel the buffer that the caller has read.
func (l *usbLink) giveBack() error {
	t := l.held
	if t == nil {
		return nil
	}
	l.held = nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	if t.ep.stalled {
		return l.restart(t.ep) // it goes back with the others
	}
	return l.submit(t, len(t.buf))
}

// woken tells why the poller ended without a transfer: nil is "wait again".
func (l *usbLink) woken(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !errors.Is(err, os.ErrDeadlineExceeded) {
		return os.ErrClosed
	}
	now := time.Now()
	if !l.outDue.IsZero() && !now.Before(l.outDue) {
		return errSlow
	}
	if !l.due.IsZero() && !now.Before(l.due) {
		return os.ErrDeadlineExceeded
	}
	return l.rearm()
}

// done looks at the transfer that came back, and returns it if it holds something.
func (l *usbLink) done() (*transfer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.find(l.reaped)
	if t == nil {
		return nil, errors.New("the kernel returned an unknown transfer")
	}
	t.pended = false
	t.ep.pended--
	if t.ep.out {
		l.outDue = time.Time{}
		if err := l.rearm(); err != nil {
			return nil, os.ErrClosed
		}
	}
	switch no := syscall.Errno(-t.urb.status); {
	case no == 0:
		t.ep.stalls = 0
		return l.arrived(t)
	case no == unix.EPIPE || t.ep.stalled && (no == unix.ENOENT || no == unix.ECONNRESET):
		return nil, l.stall(t, no)
	case no == unix.ENOENT || no == unix.ECONNRESET:
		return nil, os.ErrClosed
	default:
		return nil, fmt.Errorf("transfer on endpoint %#02x: %w", t.ep.addr, gone(no))
	}
}

func (l *usbLink) find(addr uintptr) *transfer {
	for _, e := range []*endpoint{&l.in, &l.irq, &l.out} {
		for _, t := range e.all {
			if uintptr(unsafe.Pointer(&t.urb)) == addr {
				return t
			}
		}
	}
	return nil
}

// arrived takes a transfer that went well. l.mu is held.
func (l *usbLink) arrived(t *transfer) (*transfer, error) {
	switch {
	case t.ep.out:
		if t.urb.actualLength != t.urb.bufferLength {
			return nil, fmt.Errorf("the device took %d of %d bytes", t.urb.actualLength, t.urb.bufferLength)
		}
		l.first, l.queued = (l.first+1)%len(l.out.all), l.queued-1
		return nil, l.next()
	case t.urb.actualLength == 0: // only the end of a transfer before
		if t.ep.stalled {
			return nil, l.restart(t.ep)
		}
		return nil, l.submit(t, len(t.buf))
	}
	return t, nil
}

// next gives the kernel the oldest transfer to the device. l.mu is held.
func (l *usbLink) next() error {
	if l.queued == 0 {
		return nil
	}
	t := l.out.all[l.first]
	return l.submit(t, int(t.urb.bufferLength))
}

// stall clears an endpoint that the device has halted: the other transfers are
// taken back first, for the kernel wants none to wait then. l.mu is held.
func (l *usbLink) stall(t *transfer, no syscall.Errno) error {
	e := t.ep
	if no == unix.EPIPE && !e.stalled {
		e.stalled = true
		if e.stalls++; e.stalls > stallLimit {
			return fmt.Errorf("%w: endpoint %#02x", ErrStalled, e.addr)
		}
		if e.out && t.urb.actualLength > 0 {
			return fmt.Errorf("%w: endpoint %#02x, inside a message", ErrStalled, e.addr)
		}
		for _, other := range e.all {
			if other.pended {
				// One that is done by now comes back all the same.
				_ = l.do(thisMachine.discardURB, unsafe.Pointer(&other.urb))
			}
		}
	}
	return l.restart(e)
}

// restart sets a halted endpoint going again once nothing is pending on it. l.mu
// is held.
func (l *usbLink) restart(e *endpoint) error {
	if e.pended > 0 {
		return nil
	}
	addr := uint32(e.addr)
	if err := l.do(thisMachine.clearHalt, unsafe.Pointer(&addr)); err != nil {
		return fmt.Errorf("clear endpoint %#02x: %w", e.addr, err)
	}
	e.stalled = false
	if e.out {
		return l.next()
	}
	for _, t := range e.all {
		if err := l.submit(t, len(t.buf)); err != nil {
			return err
		}
	}
	return nil
}
