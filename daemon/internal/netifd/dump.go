package netifd

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// dump is the reply of `network.interface dump` as far as it is used
// (openwrt/netifd ubus.c, netifd_dump_status).
type dump struct {
	Interface []status `json:"interface"`
}

type status struct {
	Name      string         `json:"interface"`
	Up        bool           `json:"up"`
	Pending   bool           `json:"pending"`
	Available bool           `json:"available"`
	Autostart bool           `json:"autostart"`
	Dynamic   bool           `json:"dynamic"`
	Uptime    int64          `json:"uptime"` // seconds
	L3Device  string         `json:"l3_device"`
	Proto     string         `json:"proto"`
	Device    string         `json:"device"`
	Metric    int            `json:"metric"`
	IPv4      []address      `json:"ipv4-address"`
	IPv6      []address      `json:"ipv6-address"`
	Prefixes  []assigned     `json:"ipv6-prefix-assignment"`
	Routes    []route        `json:"route"`
	DNS       []string       `json:"dns-server"`
	Inactive  inactive       `json:"inactive"`
	Data      map[string]any `json:"data"`
	Errors    []failure      `json:"errors"`
}

type address struct {
	Address string `json:"address"`
	Mask    int    `json:"mask"`
}

// assigned is a part of a delegated prefix, with the router's address in it.
type assigned struct {
	Local address `json:"local-address"`
}

type route struct {
	Target  string `json:"target"`
	Mask    int    `json:"mask"`
	NextHop string `json:"nexthop"`
	Metric  int    `json:"metric"`
	Source  string `json:"source"`
}

type inactive struct {
	Routes []route  `json:"route"`
	DNS    []string `json:"dns-server"`
}

type failure struct {
	Subsystem string   `json:"subsystem"`
	Code      string   `json:"code"`
	Data      []string `json:"data"`
}

// parseDump reads the reply. Addresses that are none are left out: one odd
// interface must not hide the others.
func parseDump(t ubus.Table, now time.Time) ([]model.Interface, error) {
	var d dump
	if err := t.Decode(&d); err != nil {
		return nil, fmt.Errorf("read netifd's interfaces: %w", err)
	}
	var list []model.Interface
	for _, s := range d.Interface {
		if s.Name != "" && !slices.ContainsFunc(list, func(i model.Interface) bool { return i.Name == s.Name }) {
			list = append(list, s.model(now))
		}
	}
	return list, nil
}

func (s status) model(now time.Time) model.Interface {
	i := model.Interface{
		Name: s.Name, Proto: s.Proto, Device: s.Device, L3Device: s.L3Device,
		Up: s.Up, Pending: s.Pending, Available: s.Available, Autostart: s.Autostart, Dynamic: s.Dynamic,
		Metric: s.Metric, Routes: routes(s.Routes), Unused: routes(s.Inactive.Routes), Data: s.Data,
	}
	if s.Up && s.Uptime >= 0 && s.Uptime < 1<<32 {
		i.UpSince = now.Add(-time.Duration(s.Uptime) * time.Second).Truncate(time.Second)
	}
	addrs := slices.Concat(s.IPv4, s.IPv6)
	for _, p := range s.Prefixes {
		addrs = append(addrs, p.Local)
	}
	for _, a := range addrs {
		if p, ok := prefix(a.Address, a.Mask); ok {
			i.Addresses = append(i.Addresses, p)
		}
	}
	i.DNS, i.UnusedDNS = servers(s.DNS), servers(s.Inactive.DNS)
	for _, e := range s.Errors { // a script may complain of the same thing twice
		e := model.InterfaceError(e)
		if !slices.ContainsFunc(i.Errors, func(o model.InterfaceError) bool { return reflect.DeepEqual(o, e) }) {
			i.Errors = append(i.Errors, e)
		}
	}
	return i
}

func servers(in []string) (out []netip.Addr) {
	for _, d := range in {
		if a, err := netip.ParseAddr(d); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func routes(in []route) []model.Route {
	var out []model.Route
	for _, r := range in {
		target, ok := prefix(r.Target, r.Mask)
		if !ok {
			continue
		}
		m := model.Route{Target: target, Metric: r.Metric}
		if hop, err := netip.ParseAddr(r.NextHop); err == nil && !hop.IsUnspecified() {
			m.Gateway = hop
		}
		if src, err := netip.ParsePrefix(r.Source); err == nil && src.Bits() > 0 {
			m.Source = src
		}
		out = append(out, m)
	}
	return out
}

// prefix keeps the host bits of an address.
func prefix(addr string, mask int) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(addr)
	if err != nil || strings.Contains(addr, "%") {
		return netip.Prefix{}, false
	}
	p := netip.PrefixFrom(a, mask)
	return p, p.IsValid()
}
