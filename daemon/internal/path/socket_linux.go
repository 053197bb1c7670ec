package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// userTimeouts are how long sent bytes may stay unacknowledged before the kernel
// gives a connection up. A stock bank never learns that a connection is dead and
// keeps the slot for it, so one that may yet come back is kept as long as the
// default grace; what asks again anyway is not.
var userTimeouts = [...]time.Duration{
	model.PurposeNone:         5 * time.Minute,
	model.PurposeServer:       5 * time.Minute,
	model.PurposeBank:         5 * time.Minute,
	model.PurposeOrchestrator: time.Minute,
	model.PurposeDNS:          10 * time.Second,
	model.PurposeProbe:        10 * time.Second,
}

// control sets up a socket before it is connected.
func (p *Paths) control(via model.Path, purpose model.Purpose) func(context.Context, string, string, syscall.RawConn) error {
	return func(ctx context.Context, network, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = p.prepare(ctx, int(fd), via, purpose, network) }); e != nil {
			return e
		}
		return err
	}
}

func (p *Paths) prepare(ctx context.Context, fd int, via model.Path, purpose model.Purpose, network string) error {
	if err := p.mark(ctx, fd, via, purpose); err != nil {
		return err
	}
	if via.Device != "" {
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, via.Device); err != nil {
			return bindFault(via.Device, err)
		}
	}
	if strings.HasPrefix(network, "tcp") && int(purpose) < len(userTimeouts) {
		ms := int(userTimeouts[purpose].Milliseconds())
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms); err != nil {
			return fmt.Errorf("set TCP_USER_TIMEOUT: %w", err)
		}
	}
	return nil
}

// mark marks a socket. Without the right to, a path that has no device does
// without, which is said once; traffic of a link would be lost in the wrong table.
func (p *Paths) mark(ctx context.Context, fd int, via model.Path, purpose model.Purpose) error {
	mark := model.Mark(via.Number, purpose)
	if mark == 0 {
		return nil
	}
	// The option is an int of 32 bits; on 32-bit systems the mark must not be
	// converted from a number that does not fit one.
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark)))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) && via.Device == "":
		p.warned.Do(func() {
			p.opts.Log.WarnContext(ctx, "control traffic is not marked", "link", via.Link, "err", ErrNotAllowed)
		})
		return nil
	case errors.Is(err, unix.EPERM):
		return ErrNotAllowed
	}
	return fmt.Errorf("mark the socket: %w", err)
}

func bindFault(device string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return ErrNotAllowed
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("there is no device %s: %w", device, err)
	}
	return fmt.Errorf("bind to device %s: %w", device, err)
}

// permitted finds out, before any name is asked for, whether the path can be
// bound at all.
func (p *Paths) permitted(ctx context.Context, via model.Path, purpose model.Purpose) error {
	if via.Device == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	defer unix.Close(fd)
	return p.prepare(ctx, fd, via, purpose, "udp4")
}

// arrived is how many bytes, counted from the handshake on, the peer of a TCP
// connection has acknowledged.
func arrived(raw syscall.RawConn) (n int64, ok bool) {
	err := raw.Control(func(fd uintptr) {
		if info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); e == nil {
			n, ok = int64(info.Bytes_acked), true
		}
	})
	return n, ok && err == nil
}

// silence is for how long nothing has come from the peer of a TCP connection,
// not even an acknowledgement.
func silence(raw syscall.RawConn) (d time.Duration, ok bool) {
	err := raw.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if e != nil {
			return
		}
		d, ok = time.Duration(min(info.Last_ack_recv, info.Last_data_recv))*time.Millisecond, true
	})
	return d, ok && err == nil
}

// rawOf is the descriptor of a connection that has one.
func rawOf(c net.Conn) syscall.RawConn {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
