package at_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"go.bug.st/serial"
	"go.bug.st/serial/enumerator"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
)

// These tests are why go.bug.st/serial v1.8.0 sets the port up but does not
// carry its bytes (see OpenPort). Each shows one hazard of the library, and
// that OpenPort's port has none. When one fails, the library has improved.

func openPty(t *testing.T) (ptmx, tty *os.File) {
	t.Helper()
	ptmx, tty, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() { ptmx.Close(); tty.Close() })
	return ptmx, tty
}

func TestLibraryWritesIntoAnotherFileAfterClose(t *testing.T) {
	_, tty := openPty(t)
	p, err := serial.Open(tty.Name(), &serial.Mode{BaudRate: 115200})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	// The next file gets one of the descriptors that the library freed.
	path := filepath.Join(t.TempDir(), "configuration")
	var files []*os.File
	for range 8 {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		require.NoError(t, err)
		files = append(files, f)
	}
	n, err := p.Write([]byte("AT+CFUN=0\r"))
	require.NoError(t, err)
	require.Equal(t, 10, n)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "AT+CFUN=0\r", string(text), "an AT command in somebody else's file")
	for _, f := range files {
		require.NoError(t, f.Close())
	}

	ours, err := at.OpenPort(tty.Name())
	require.NoError(t, err)
	require.NoError(t, ours.Close())
	_, err = ours.Write([]byte("AT+CFUN=0\r"))
	require.ErrorIs(t, err, os.ErrClosed)
}

// stall fills the port's buffer: its modem takes nothing.
func stall(write func([]byte) (int, error), ended chan<- error) {
	junk := make([]byte, 4096)
	for {
		if _, err := write(junk); err != nil {
			ended <- err
			return
		}
	}
}

func TestLibraryWriteToAStalledModemOutlivesClose(t *testing.T) {
	ptmx, tty := openPty(t)
	p, err := serial.Open(tty.Name(), &serial.Mode{BaudRate: 115200})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go stall(p.Write, ended)
	require.Never(t, func() bool { return len(ended) > 0 }, 300*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, p.Close())
	require.Never(t, func() bool { return len(ended) > 0 }, 300*time.Millisecond, 10*time.Millisecond, "Close does not end it")
	require.NoError(t, ptmx.Close()) // only the modem's end does
	require.Error(t, wait(t, ended))
}

func TestOurWriteToAStalledModemEnds(t *testing.T) {
	_, tty := openPty(t)
	byDeadline, err := at.OpenPort(tty.Name())
	require.NoError(t, err)
	require.NoError(t, byDeadline.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	ended := make(chan error, 1)
	go stall(byDeadline.Write, ended)
	require.ErrorIs(t, wait(t, ended), os.ErrDeadlineExceeded)
	require.NoError(t, byDeadline.Close())

	byClose, err := at.OpenPort(tty.Name())
	require.NoError(t, err)
	go stall(byClose.Write, ended)
	require.Never(t, func() bool { return len(ended) > 0 }, 100*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, byClose.Close())
	require.ErrorIs(t, wait(t, ended), os.ErrClosed)
}

func wait(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(limit):
		t.Fatal("still writing")
		return nil
	}
}

func TestLibraryDescriptorIsInherited(t *testing.T) {
	_, tty := openPty(t)
	p, err := serial.Open(tty.Name(), &serial.Mode{BaudRate: 115200})
	require.NoError(t, err)
	require.Equal(t, 1, inherited(t, tty), "the library's, without close-on-exec")
	require.NoError(t, p.Close())
	ours, err := at.OpenPort(tty.Name())
	require.NoError(t, err)
	require.Zero(t, inherited(t, tty))
	require.NoError(t, ours.Close())
}

// inherited counts the descriptors of a tty that a child would get.
func inherited(t *testing.T, tty *os.File) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		var fd int
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != tty.Name() {
			continue
		}
		for _, c := range e.Name() {
			fd = fd*10 + int(c-'0')
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			n++
		}
	}
	return n
}

func TestLibrarySetsThePortUp(t *testing.T) {
	_, tty := openPty(t)
	p, err := at.OpenPort(tty.Name())
	require.NoError(t, err)
	term, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	require.NoError(t, err)
	require.Zero(t, term.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG), "raw")
	require.Zero(t, term.Oflag&unix.OPOST)
	require.Equal(t, uint32(unix.B115200), term.Cflag&unix.CBAUD)
	require.NoError(t, p.Close())
}

// TestLibraryListingReconfiguresConsoleOnKernel: asking the library for the
// list of ports opens every /dev/ttyS and sets 9600 baud on it, a router's
// serial console among them. It runs in the virtual machine of tests/vm, whose
// console nobody minds.
func TestLibraryListingReconfiguresConsoleOnKernel(t *testing.T) {
	if os.Getenv("REMSIM_VM") == "" {
		t.Skip("changes the serial console: make vm-test runs it in a virtual machine")
	}
	console, err := os.OpenFile("/dev/ttyS0", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer console.Close()
	speed := func() uint32 {
		term, err := unix.IoctlGetTermios(int(console.Fd()), unix.TCGETS)
		require.NoError(t, err)
		return term.Cflag & unix.CBAUD
	}
	before, err := unix.IoctlGetTermios(int(console.Fd()), unix.TCGETS)
	require.NoError(t, err)
	fast := *before
	fast.Cflag = fast.Cflag&^unix.CBAUD | unix.B115200
	require.NoError(t, unix.IoctlSetTermios(int(console.Fd()), unix.TCSETS, &fast))
	defer func() { require.NoError(t, unix.IoctlSetTermios(int(console.Fd()), unix.TCSETS, before)) }()

	_, err = at.Ports("/sys")
	require.NoError(t, err)
	require.Equal(t, uint32(unix.B115200), speed(), "ours opens nothing")
	_, err = enumerator.GetDetailedPortsList()
	require.NoError(t, err)
	require.Equal(t, uint32(unix.B9600), speed(), "the library's does")
}
