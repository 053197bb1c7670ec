package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages and attributes of linux/netfilter/nfnetlink_conntrack.h.
const (
	ctGet      = netlink.HeaderType(unix.NFNL_SUBSYS_CTNETLINK<<8 | 1)
	ctDelete   = netlink.HeaderType(unix.NFNL_SUBSYS_CTNETLINK<<8 | 2)
	ctHeader   = 4 // nfgenmsg: family, version, resource
	ctOrig     = 1
	ctReply    = 2
	ctMark     = 8
	ctID       = 12
	ctZone     = 18
	ctIP       = 1 // in a tuple
	ctSrc4     = 1 // in an IP
	ctDst4     = 2
	ctSrc6     = 3
	ctDst6     = 4
	nestedFlag = 0x8000
)

// tracked is a connection as the kernel lists it.
type tracked struct {
	family byte
	flow   Flow
	// name is what the kernel knows it by: the attributes of the first tuple, the
	// zone and the number, as they came.
	name []netlink.Attribute
}

// Forget drops the tracked connections that are chosen. A kernel without connection
// tracking has none.
func (k *Netlink) Forget(chosen func(Flow) bool) (int, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return 0, fmt.Errorf("open conntrack: %w", plain(err))
	}
	defer c.Close()
	list, err := chosenOf(c, chosen)
	if err != nil {
		return 0, fmt.Errorf("list connections: %w", plain(err))
	}
	gone := 0
	for _, t := range list {
		body, err := netlink.MarshalAttributes(t.name)
		if err != nil {
			return gone, err
		}
		// One that ended meanwhile is as good.
		if _, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: ctDelete, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append([]byte{t.family, 0, 0, 0}, body...),
		}); err == nil {
			gone++
		}
	}
	return gone, nil
}

// chosenOf keeps only what is chosen while the kernel lists: the table of a busy
// router is larger than the memory that this program may use.
func chosenOf(c *netlink.Conn, chosen func(Flow) bool) (list []tracked, err error) {
	_, err = c.Send(netlink.Message{
		Header: netlink.Header{Type: ctGet, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, ctHeader), // AF_UNSPEC: both families
	})
	if err != nil {
		return nil, err
	}
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return nil, err
		}
		t, err := decodeTracked(m.Data)
		if err != nil {
			return nil, err
		}
		if chosen(t.flow) {
			list = append(list, t)
		}
	}
	return list, nil
}

// decodeTracked reads one connection.
func decodeTracked(b []byte) (t tracked, err error) {
	if len(b) < ctHeader {
		return tracked{}, fmt.Errorf("connection of %d bytes: %w", len(b), errMalformed)
	}
	t.family = b[0]
	err = attributes(b[ctHeader:], func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case ctOrig:
			t.flow.Source, _ = ends(ad.Bytes())
			t.name = append(t.name, netlink.Attribute{Type: ctOrig | nestedFlag, Data: ad.Bytes()})
		case ctReply:
			_, t.flow.Answer = ends(ad.Bytes())
		case ctMark:
			if v := ad.Bytes(); len(v) == 4 {
				t.flow.Mark = binary.BigEndian.Uint32(v)
			}
		case ctID, ctZone:
			t.name = append(t.name, netlink.Attribute{Type: ad.Type(), Data: ad.Bytes()})
		}
	})
	return t, err
}

// ends are the two addresses of a tuple; what cannot be read is no address.
func ends(tuple []byte) (src, dst netip.Addr) {
	_ = attributes(tuple, func(ad *netlink.AttributeDecoder) {
		if ad.Type() != ctIP {
			return
		}
		_ = attributes(ad.Bytes(), func(ip *netlink.AttributeDecoder) {
			switch ip.Type() {
			case ctSrc4, ctSrc6:
				src, _ = netip.AddrFromSlice(ip.Bytes())
			case ctDst4, ctDst6:
				dst, _ = netip.AddrFromSlice(ip.Bytes())
			}
		})
	})
	return src, dst
}
