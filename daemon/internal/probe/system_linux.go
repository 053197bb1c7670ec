package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// LookupFunc resolves a name over a path.
type LookupFunc func(ctx context.Context, via model.Path, host string) ([]netip.Addr, error)

// System is the World of this machine. sysfs is "/sys".
func System(sysfs string, lookup LookupFunc) World { return &system{sysfs: sysfs, lookup: lookup} }

type system struct {
	sysfs  string
	lookup LookupFunc
}

// Shoot sends one probe.
func (s *system) Shoot(ctx context.Context, shot Shot) (time.Duration, error) {
	if a := shot.To.Addr(); a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
		shot.To = netip.AddrPortFrom(a.WithZone(shot.Via.Device), shot.To.Port())
	}
	began := time.Now()
	var err error
	switch shot.Kind {
	case Connect:
		err = connect(ctx, shot)
	case Query:
		err = query(ctx, shot)
	default:
		err = ping(ctx, shot)
	}
	rtt := time.Since(began)
	if err != nil {
		return 0, fault(ctx, shot, err)
	}
	return rtt, nil
}

// fault puts the kernel's words into those of this package.
func fault(ctx context.Context, s Shot, err error) error {
	what := s.Kind.String() + " " + s.To.Addr().String()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return fmt.Errorf("%s: %w", what, ErrNoAnswer)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %w (%v)", what, ErrNotAllowed, err)
	}
	for _, is := range []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.ENETDOWN, syscall.ENODEV, syscall.ENONET} {
		if errors.Is(err, is) {
			return fmt.Errorf("%s: %w (%v)", what, ErrNoRoute, err)
		}
	}
	return fmt.Errorf("%s: %w (%v)", what, ErrNoAnswer, err)
}

// prepare binds and marks a socket.
func prepare(fd int, via model.Path) error {
	if via.Device != "" {
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, via.Device); err != nil {
			return err
		}
	}
	if mark := model.Mark(via.Number, model.PurposeProbe); mark != 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark)))
	}
	return nil
}

// dialer makes sockets that are bound and marked.
func dialer(via model.Path) *net.Dialer {
	return &net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = prepare(int(fd), via) }); e != nil {
			return e
		}
		return err
	}}
}

// connect opens a TCP connection and resets it.
func connect(ctx context.Context, s Shot) error {
	c, err := dialer(s.Via).DialContext(ctx, "tcp", s.To.String())
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err != nil:
		return err
	}
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetLinger(0) // RST instead of FIN: nothing is left to wait for
	}
	return c.Close()
}

// query asks a DNS server.
func query(ctx context.Context, s Shot) error {
	c, err := dialer(s.Via).DialContext(ctx, "udp", s.To.String())
	if err != nil {
		return err
	}
	defer c.Close()
	id := uint16(rand.Uint32())
	return exchange(ctx, c, question(id), func(b []byte) bool { return isAnswer(b, id) })
}

// ping sends one echo request, from a ping socket where this process may have
// one (net.ipv4.ping_group_range), else from a raw one.
func ping(ctx context.Context, s Shot) error {
	six := s.To.Addr().Is6()
	f, err := pingSocket(s, unix.SOCK_DGRAM)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPROTONOSUPPORT) {
		f, err = pingSocket(s, unix.SOCK_RAW)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var data [8]byte
	nonce := rand.Uint64()
	for i := range data {
		data[i] = byte(nonce >> (8 * i))
	}
	return exchange(ctx, f, echo(six, uint16(rand.Uint32()), 1, data), func(b []byte) bool { return isReply(six, b, data) })
}

// pingSocket makes a connected ICMP socket.
func pingSocket(s Shot, typ int) (*os.File, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var to unix.Sockaddr
	if addr := s.To.Addr(); addr.Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		to = &unix.SockaddrInet6{Addr: addr.As16()}
	} else {
		to = &unix.SockaddrInet4{Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, err
	}
	if err = prepare(fd, s.Via); err == nil {
		err = unix.Connect(fd, to)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "icmp"), nil
}

// stream is what is used of a socket.
type stream interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	SetDeadline(t time.Time) error
}

// exchange sends a request and reads until its answer comes or ctx ends.
func exchange(ctx context.Context, c stream, request []byte, answers func([]byte) bool) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(request); err != nil {
		return err
	}
	var b [512]byte
	for {
		n, err := c.Read(b[:])
		switch {
		case err != nil && n <= 0:
			return err
		case answers(b[:n]):
			return nil
		}
	}
}

// Lookup resolves a name.
func (s *system) Lookup(ctx context.Context, via model.Path, host string) ([]netip.Addr, error) {
	return s.lookup(ctx, via, host)
}

// Carrier reads the device's carrier. A device that is down has none to tell of.
func (s *system) Carrier(device string) bool {
	text, err := s.read(device, "carrier")
	return err != nil || text != "0"
}

// Flags of a device, linux/if.h: what it receives was sent to it by the other end.
const (
	flagPointToPoint = 0x10
	flagNoARP        = 0x80
)

// Received reads the device's counter.
func (s *system) Received(device string) (uint64, bool) {
	text, err := s.read(device, "flags")
	if err != nil {
		return 0, false
	}
	flags, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	if err != nil || flags&(flagPointToPoint|flagNoARP) == 0 {
		return 0, false
	}
	if text, err = s.read(device, "statistics/rx_packets"); err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

func (s *system) read(device, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.sysfs, "class/net", device, name))
	return strings.TrimSpace(string(b)), err
}
