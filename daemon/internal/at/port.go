//go:build linux

package at

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Port is what a Conn needs of a serial port.
type Port interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	// SetWriteDeadline is the watchdog: a modem that takes no more bytes must
	// not hold the writer for ever.
	SetWriteDeadline(t time.Time) error
	// Close ends a Read and a Write that are under way.
	Close() error
}

// OpenPort opens a tty for AT commands. go.bug.st/serial sets it up and the
// bytes go through an os.File of ours, because the library's own Read and
// Write cannot be made safe (library_test.go shows each): a Write to a modem
// that takes nothing blocks for ever and Close does not end it; a Write after
// Close goes to whatever file got the descriptor; the descriptor is inherited
// by every program we start. os.File has none of that: it sits in Go's poller,
// honours deadlines, is close-on-exec, and Close wakes its readers.
//
// The port is exclusive among those who ask: flock, as ModemManager and
// pppd's UUCP locks do not, so Users is there to tell who else has it open.
func OpenPort(path string) (Port, error) {
	f, err := os.OpenFile(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("open AT port %s: %w", path, ErrBusy)
		}
		return nil, fmt.Errorf("open AT port: %w", err)
	}
	if err := claim(f); err != nil {
		return nil, errors.Join(fmt.Errorf("open AT port %s: %w", path, err), f.Close())
	}
	if err := configure(path); err != nil {
		return nil, errors.Join(fmt.Errorf("set up AT port %s: %w", path, err), f.Close())
	}
	return f, nil
}

// claim takes the lock that every other remsim, and every program that locks
// its port this way, respects.
func claim(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	if err := raw.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return err
	}
	if errors.Is(lockErr, unix.EWOULDBLOCK) {
		return ErrBusy
	}
	return lockErr
}

// configure makes the tty raw, 115200 8N1 without flow control. The settings
// belong to the tty, so they stay while f is open. No program may be started
// while the library's descriptor exists, because it would be inherited.
func configure(path string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	p, err := serial.Open(path, &serial.Mode{BaudRate: 115200})
	var pe *serial.PortError
	if errors.As(err, &pe) && pe.Code() == serial.PortBusy {
		return fmt.Errorf("%w: %v", ErrBusy, err)
	}
	if err != nil {
		return err
	}
	return p.Close()
}
