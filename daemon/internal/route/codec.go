package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errMalformed: the kernel said something that is no message of its kind.
var errMalformed = errors.New("malformed netlink message")

// Lengths of the fixed parts of messages: linux/fib_rules.h, linux/rtnetlink.h,
// linux/if_link.h, linux/if_addr.h.
const (
	ruleHeader  = 12
	routeHeader = 12
	linkHeader  = 16
	addrHeader  = 8
)

// Attributes and actions of linux/fib_rules.h.
const (
	fraSrc         = 2
	fraIn          = 3
	fraPref        = 6
	fraMark        = 10
	fraSuppressLen = 14
	fraTable       = 15
	fraMask        = 16
	fraOut         = 17
	fraProtocol    = 21
	actTable       = 1
)

// tableFits is the largest table that fits the header; a larger one is told of by an
// attribute, and the header says "see there".
const (
	tableFits   = 255
	tableCompat = 252
)

func headerTable(t uint32) byte {
	if t > tableFits {
		return tableCompat
	}
	return byte(t)
}

// encodeRule is the body of RTM_NEWRULE and RTM_DELRULE.
func encodeRule(r Rule) ([]byte, error) {
	b := make([]byte, ruleHeader)
	b[0], b[4], b[7] = byte(r.Family), headerTable(r.Table), actTable
	ae := netlink.NewAttributeEncoder()
	if r.From.IsValid() {
		b[2] = byte(r.From.Bits())
		ae.Bytes(fraSrc, r.From.Addr().AsSlice())
	}
	ae.Uint32(fraPref, r.Pref)
	ae.Uint32(fraTable, r.Table)
	ae.Uint8(fraProtocol, r.Protocol)
	if r.Mask != 0 {
		ae.Uint32(fraMark, r.Mark)
		ae.Uint32(fraMask, r.Mask)
	}
	if r.In != "" {
		ae.String(fraIn, r.In)
	}
	if r.Out != "" {
		ae.String(fraOut, r.Out)
	}
	if r.Suppress {
		ae.Uint32(fraSuppressLen, 0)
	}
	attrs, err := ae.Encode()
	return append(b, attrs...), err
}

// decodeRule reads the body of RTM_NEWRULE and RTM_DELRULE. Of a rule that says more
// than a Rule can hold it keeps what fits: it is not ours.
func decodeRule(b []byte) (Rule, error) {
	if len(b) < ruleHeader {
		return Rule{}, fmt.Errorf("rule of %d bytes: %w", len(b), errMalformed)
	}
	r := Rule{Family: Family(b[0])}
	if b[7] == actTable {
		r.Table = uint32(b[4])
	}
	bits := int(b[2])
	err := attributes(b[ruleHeader:], func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case fraSrc:
			r.From = prefix(r.Family, ad.Bytes(), bits)
		case fraPref:
			r.Pref = ad.Uint32()
		case fraTable:
			if t := ad.Uint32(); b[7] == actTable {
				r.Table = t
			}
		case fraProtocol:
			r.Protocol = ad.Uint8()
		case fraMark:
			r.Mark = ad.Uint32()
		case fraMask:
			r.Mask = ad.Uint32()
		case fraIn:
			r.In = ad.String()
		case fraOut:
			r.Out = ad.String()
		case fraSuppressLen:
			r.Suppress = ad.Uint32() == 0
		}
	})
	return r, err
}

// encodeRoute is the body of RTM_NEWROUTE and RTM_DELROUTE; index is that of the
// device.
func encodeRoute(r Route, index uint32) ([]byte, error) {
	b := make([]byte, routeHeader)
	b[0], b[1], b[4], b[5], b[7] = byte(r.Family), byte(r.To.Bits()), headerTable(r.Table), Protocol, unix.RTN_UNICAST
	switch {
	case r.Unreachable:
		b[7] = unix.RTN_UNREACHABLE
	case !r.Via.IsValid() && r.Family == IPv4:
		b[6] = unix.RT_SCOPE_LINK
	}
	if r.OnLink {
		binary.NativeEndian.PutUint32(b[8:], unix.RTNH_F_ONLINK)
	}
	ae := netlink.NewAttributeEncoder()
	if r.To.Bits() > 0 {
		ae.Bytes(unix.RTA_DST, r.To.Addr().AsSlice())
	}
	ae.Uint32(unix.RTA_TABLE, r.Table)
	ae.Uint32(unix.RTA_PRIORITY, r.Metric)
	if r.Via.IsValid() {
		ae.Bytes(unix.RTA_GATEWAY, r.Via.WithZone("").AsSlice())
	}
	if !r.Unreachable {
		ae.Uint32(unix.RTA_OIF, index)
	}
	attrs, err := ae.Encode()
	return append(b, attrs...), err
}

// decodeRoute reads the body of RTM_NEWROUTE and RTM_DELROUTE, with the index of the
// device and the protocol.
func decodeRoute(b []byte) (r Route, index uint32, protocol uint8, err error) {
	if len(b) < routeHeader {
		return Route{}, 0, 0, fmt.Errorf("route of %d bytes: %w", len(b), errMalformed)
	}
	r = Route{Family: Family(b[0]), Table: uint32(b[4]), Unreachable: b[7] == unix.RTN_UNREACHABLE}
	if r.Family != IPv4 && r.Family != IPv6 {
		return Route{}, 0, 0, fmt.Errorf("route of family %d: %w", b[0], errMalformed)
	}
	r.OnLink = binary.NativeEndian.Uint32(b[8:])&unix.RTNH_F_ONLINK != 0
	r.To = anywhere(r.Family)
	bits := int(b[1])
	err = attributes(b[routeHeader:], func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case unix.RTA_DST:
			r.To = prefix(r.Family, ad.Bytes(), bits)
		case unix.RTA_TABLE:
			r.Table = ad.Uint32()
		case unix.RTA_PRIORITY:
			r.Metric = ad.Uint32()
		case unix.RTA_GATEWAY:
			r.Via, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_OIF:
			index = ad.Uint32()
		}
	})
	return r, index, b[5], err
}

// link is one message about a device.
type link struct {
	index uint32
	flags uint32
	name  string
}

// decodeLink reads the body of RTM_NEWLINK and RTM_DELLINK.
func decodeLink(b []byte) (l link, err error) {
	if len(b) < linkHeader {
		return link{}, fmt.Errorf("link of %d bytes: %w", len(b), errMalformed)
	}
	l = link{index: binary.NativeEndian.Uint32(b[4:]), flags: binary.NativeEndian.Uint32(b[8:])}
	err = attributes(b[linkHeader:], func(ad *netlink.AttributeDecoder) {
		if ad.Type() == unix.IFLA_IFNAME {
			l.name = ad.String()
		}
	})
	return l, err
}

// decodeAddr reads the body of RTM_NEWADDR and RTM_DELADDR. On a point-to-point
// device the own address is the local one.
func decodeAddr(b []byte) (index uint32, p netip.Prefix, err error) {
	if len(b) < addrHeader {
		return 0, netip.Prefix{}, fmt.Errorf("address of %d bytes: %w", len(b), errMalformed)
	}
	family, bits, local := Family(b[0]), int(b[1]), false
	index = binary.NativeEndian.Uint32(b[4:])
	err = attributes(b[addrHeader:], func(ad *netlink.AttributeDecoder) {
		switch t := ad.Type(); {
		case t == unix.IFA_LOCAL, t == unix.IFA_ADDRESS && !local:
			local = t == unix.IFA_LOCAL
			p = prefix(family, ad.Bytes(), bits)
		}
	})
	return index, p, err
}

// attributes has each attribute looked at.
func attributes(b []byte, look func(*netlink.AttributeDecoder)) error {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return fmt.Errorf("%w: %v", errMalformed, err)
	}
	for ad.Next() {
		look(ad)
	}
	if err := ad.Err(); err != nil {
		return fmt.Errorf("%w: %v", errMalformed, err)
	}
	return nil
}

// prefix is invalid if the address does not fit the family or the length.
func prefix(f Family, b []byte, bits int) netip.Prefix {
	a, ok := netip.AddrFromSlice(b)
	if !ok || familyOf(a) != f || bits > a.BitLen() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, bits)
}
