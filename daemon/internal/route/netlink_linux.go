package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Netlink is the kernel of this network namespace. Make it with OpenKernel.
type Netlink struct{ conn *netlink.Conn }

// OpenKernel connects to the kernel.
func OpenKernel() (*Netlink, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &Netlink{conn: c}, nil
}

// Close ends the connection.
func (k *Netlink) Close() error { return k.conn.Close() }

// ask sends a request and gives each answer to take.
func (k *Netlink) ask(typ netlink.HeaderType, flags netlink.HeaderFlags, body []byte, take func(b []byte) error) error {
	answers, err := k.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | flags},
		Data:   body,
	})
	if err != nil {
		return plain(err)
	}
	for _, m := range answers {
		if m.Header.Type == netlink.Error { // an acknowledgement
			continue
		}
		if err := take(m.Data); err != nil {
			return err
		}
	}
	return nil
}

// tell sends an order that has no answer but whether it worked.
func (k *Netlink) tell(typ netlink.HeaderType, flags netlink.HeaderFlags, body []byte) error {
	return k.ask(typ, flags|netlink.Acknowledge, body, func([]byte) error { return nil })
}

// plain takes the words of the library away, and names what the kernel lacks.
func plain(err error) error {
	var op *netlink.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	for _, lacks := range []error{unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EPFNOSUPPORT} {
		if errors.Is(err, lacks) {
			return fmt.Errorf("%w (%v)", ErrUnsupported, err)
		}
	}
	return err
}

// Rules lists the rules of a family.
func (k *Netlink) Rules(f Family) ([]Rule, error) {
	body := make([]byte, ruleHeader)
	body[0] = byte(f)
	var list []Rule
	err := k.ask(unix.RTM_GETRULE, netlink.Dump, body, func(b []byte) error {
		r, err := decodeRule(b)
		if err == nil && r.Family != f {
			// A kernel without the family lists those of all others.
			return ErrUnsupported
		}
		list = append(list, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return list, nil
}

// AddRule adds a rule.
func (k *Netlink) AddRule(r Rule) error {
	body, err := encodeRule(r)
	if err != nil {
		return err
	}
	err = k.tell(unix.RTM_NEWRULE, netlink.Create|netlink.Excl, body)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add rule %v: %w", r, err)
	}
	return nil
}

// RemoveRule removes a rule.
func (k *Netlink) RemoveRule(r Rule) error {
	body, err := encodeRule(r)
	if err != nil {
		return err
	}
	err = k.tell(unix.RTM_DELRULE, 0, body)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove rule %v: %w", r, err)
	}
	return nil
}

// Routes lists our routes of a family.
func (k *Netlink) Routes(f Family) ([]Route, error) {
	links, err := k.links()
	if err != nil {
		return nil, err
	}
	body := make([]byte, routeHeader)
	body[0] = byte(f)
	var list []Route
	err = k.ask(unix.RTM_GETROUTE, netlink.Dump, body, func(b []byte) error {
		if !ourRoute(b) {
			return nil // the main table may be long
		}
		r, index, _, err := decodeRoute(b)
		if err != nil || r.Family != f || !ourTable(r.Table) {
			return err
		}
		if !r.Unreachable {
			r.Device = nameOf(links, index)
		}
		list = append(list, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return list, nil
}

func nameOf(links []link, index uint32) string {
	for _, l := range links {
		if l.index == index {
			return l.name
		}
	}
	return ""
}

// ourRoute looks at the protocol only.
func ourRoute(b []byte) bool { return len(b) >= routeHeader && b[5] == Protocol }

func ourTable(t uint32) bool { return t > TableBase && t <= TableBase+model.MaxLinks }

// PutRoute adds a route or takes the place of the one with the same key.
func (k *Netlink) PutRoute(r Route) error {
	body, err := k.routeBody(r)
	if err == nil {
		err = k.tell(unix.RTM_NEWROUTE, netlink.Create|netlink.Replace, body)
	}
	switch {
	case r.Family == IPv6 && errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s has IPv6 switched off: %w", deviceOf(r), ErrUnsupported)
	case err != nil:
		return fmt.Errorf("add route %v: %w", r, err)
	}
	return nil
}

func deviceOf(r Route) string {
	if r.Device == "" {
		return "lo"
	}
	return r.Device
}

// RemoveRoute removes a route. One whose device is gone went with it.
func (k *Netlink) RemoveRoute(r Route) error {
	body, err := k.routeBody(r)
	if err == nil {
		err = k.tell(unix.RTM_DELROUTE, 0, body)
	}
	if err == nil || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove route %v: %w", r, err)
}

func (k *Netlink) routeBody(r Route) ([]byte, error) {
	if r.Unreachable {
		return encodeRoute(r, 0)
	}
	links, err := k.links()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.name == r.Device {
			return encodeRoute(r, l.index)
		}
	}
	return nil, unix.ENODEV
}

// links lists the devices.
func (k *Netlink) links() (list []link, err error) {
	err = k.ask(unix.RTM_GETLINK, netlink.Dump, make([]byte, linkHeader), func(b []byte) error {
		l, err := decodeLink(b)
		list = append(list, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return list, nil
}

// Devices lists the devices without loopback.
func (k *Netlink) Devices() ([]Device, error) {
	links, err := k.links()
	if err != nil {
		return nil, err
	}
	addresses := make(map[uint32][]netip.Prefix)
	err = k.ask(unix.RTM_GETADDR, netlink.Dump, make([]byte, addrHeader), func(b []byte) error {
		index, p, err := decodeAddr(b)
		if p.IsValid() {
			addresses[index] = append(addresses[index], p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []Device
	for _, l := range links {
		if l.flags&unix.IFF_LOOPBACK == 0 {
			list = append(list, Device{
				Name: l.name, Up: l.flags&unix.IFF_UP != 0, Carrier: l.flags&unix.IFF_LOWER_UP != 0, Addresses: addresses[l.index],
			})
		}
	}
	return list, nil
}

// watched are the groups of notifications: linux/rtnetlink.h, enum
// rtnetlink_groups, as bits.
const watched = 1<<(unix.RTNLGRP_LINK-1) |
	1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1) |
	1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1) |
	1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// Watch listens for notifications. If the kernel dropped some because they came too
// fast, everything may be different.
func (k *Netlink) Watch(ctx context.Context, changed func(Change)) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: watched})
	if err != nil {
		return fmt.Errorf("listen to netlink: %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	changed(Change{Routing: true, Devices: true})
	for {
		messages, err := c.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			changed(Change{Routing: true, Devices: true})
			continue
		case err != nil:
			return fmt.Errorf("listen to netlink: %w", os.NewSyscallError("recvmsg", plain(err)))
		}
		if what := meaning(messages); what != (Change{}) {
			changed(what)
		}
	}
}

// meaning is what notifications tell. Our own additions tell nothing.
func meaning(messages []netlink.Message) (c Change) {
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			if len(m.Data) > 0 && m.Data[0] != unix.AF_BRIDGE {
				c.Devices = true
			}
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			c.Devices = true
		case unix.RTM_DELROUTE:
			c.Routing = c.Routing || ourRoute(m.Data)
		case unix.RTM_NEWRULE, unix.RTM_DELRULE:
			r, err := decodeRule(m.Data)
			gone := m.Header.Type == unix.RTM_DELRULE && r.ours()
			c.Routing = c.Routing || err == nil && (gone || neighbourly(r.Pref))
		}
	}
	return c
}
