package meter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The kernel tells of every change of the packet filter in a multicast group of
// its own (linux/netfilter/nfnetlink.h, nf_tables.h).
const (
	groupTables = 7         // NFNLGRP_NFTABLES
	delTable    = 10<<8 | 2 // NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE
	headerSize  = 16        // struct nlmsghdr
	bufferSize  = 16 << 10  // of one read; what is longer is cut, and read on
)

// Watch implements Kernel.
func (s *System) Watch(ctx context.Context, removed func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("watch the packet filter: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (groupTables - 1)}); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("watch the packet filter: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink") // read through the poller: closing it ends a read
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer stop()
	defer f.Close()
	buf := make([]byte, bufferSize)
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // too much to tell: anything may have gone
			removed()
		case err != nil:
			return fmt.Errorf("watch the packet filter: %w", err)
		case deletes(buf[:n]):
			removed()
		}
	}
}

// deletes tells whether a batch of netlink messages says that a table went.
func deletes(b []byte) bool {
	for len(b) >= headerSize {
		size := int(binary.NativeEndian.Uint32(b))
		if binary.NativeEndian.Uint16(b[4:]) == delTable {
			return true
		}
		size = (size + 3) &^ 3 // NLMSG_ALIGN
		if size < headerSize || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}
