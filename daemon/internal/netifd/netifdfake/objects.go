package netifdfake

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// methods are those that every interface has, and network.interface with the
// argument `interface`.
func methodNames() []string {
	return []string{"up", "down", "renew", "restart", "status", "prepare", "dump", "add_device", "remove_device", "notify_proto", "remove", "set_data"}
}

func (f *Fake) mainObject() *ubus.Object {
	o := &ubus.Object{Path: "network.interface"}
	for _, m := range methodNames() {
		o.Methods = append(o.Methods, ubus.Method{Name: m, Args: []ubus.Arg{{Name: "interface", Type: ubus.String}},
			Handler: func(_ context.Context, req *ubus.Request) {
				if req.Method == "dump" {
					reply(req, f.dump())
					return
				}
				name, err := req.Args.Text("interface", "")
				if err != nil || name == "" {
					fail(req, ubus.StatusInvalidArgument)
					return
				}
				f.serve(name, req)
			}})
	}
	return o
}

func (f *Fake) interfaceObject(name string) *ubus.Object {
	o := &ubus.Object{Path: "network.interface." + name}
	for _, m := range methodNames() {
		o.Methods = append(o.Methods, ubus.Method{Name: m, Handler: func(_ context.Context, req *ubus.Request) { f.serve(name, req) }})
	}
	return o
}

// serve answers a method of one interface.
func (f *Fake) serve(name string, req *ubus.Request) {
	f.mu.Lock()
	i := f.ifaces[name]
	var refuses ubus.Status
	if i != nil {
		i.calls = append(i.calls, req.Method)
		refuses = i.refuses
	}
	f.mu.Unlock()
	switch {
	case i == nil:
		fail(req, ubus.StatusNotFound)
		return
	case refuses != ubus.StatusOK && req.Method != "status":
		fail(req, refuses)
		return
	}
	switch req.Method {
	case "status":
		f.mu.Lock()
		t := i.status(time.Now())
		f.mu.Unlock()
		reply(req, t)
	case "dump":
		reply(req, f.dump())
	case "up":
		f.change(name, func(i *iface, out *outbox) { i.setUp(out) })
		done(req)
	case "down":
		f.change(name, func(i *iface, out *outbox) { i.autostart = false; i.goDown(out, "ifdown") })
		done(req)
	case "restart":
		f.change(name, func(i *iface, out *outbox) { i.goDown(out, "ifdown"); i.setUp(out) })
		done(req)
	case "renew":
		f.change(name, func(i *iface, out *outbox) {
			if i.up {
				out.notify(i, "interface.update")
			}
		})
		done(req)
	default:
		fail(req, ubus.StatusNotSupported)
	}
}

// An answer that cannot be sent has nobody who waits for it.
func reply(req *ubus.Request, v any)           { _ = req.Reply(v) }
func done(req *ubus.Request)                   { _ = req.Done() }
func fail(req *ubus.Request, code ubus.Status) { _ = req.Fail(code, "") }

func (f *Fake) dump() ubus.Table {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []any{}
	for _, name := range f.names() {
		list = append(list, append(ubus.Table{{Name: "interface", Value: name}}, f.ifaces[name].status(time.Now())...))
	}
	return ubus.Table{{Name: "interface", Value: list}}
}

// status is netifd_dump_status of openwrt/netifd ubus.c, in its order.
func (i *iface) status(now time.Time) ubus.Table {
	var t ubus.Table
	add := func(name string, v any) { t = append(t, ubus.Field{Name: name, Value: v}) }
	add("up", i.up)
	add("pending", i.pending)
	add("available", i.available)
	add("autostart", i.autostart)
	add("dynamic", i.Dynamic)
	if i.up {
		add("uptime", int32(now.Sub(i.since)/time.Second))
		add("l3_device", i.L3)
	}
	add("proto", i.Proto)
	if i.Device != "" {
		add("device", i.Device)
	}
	if i.up {
		add("updated", []any{"addresses", "routes"})
		add("metric", int32(i.Metric))
		add("dns_metric", int32(0))
		add("delegation", true)
		v4, v6 := i.addresses()
		add("ipv4-address", v4)
		add("ipv6-address", v6)
		add("ipv6-prefix", []any{})
		add("ipv6-prefix-assignment", []any{})
		add("route", i.routes())
		add("dns-server", list(i.DNS))
		add("dns-search", []any{})
		add("neighbors", []any{})
		none := ubus.Table{}
		for _, n := range []string{"ipv4-address", "ipv6-address", "route", "dns-server", "dns-search", "neighbors"} {
			none = append(none, ubus.Field{Name: n, Value: []any{}})
		}
		add("inactive", none)
	}
	add("data", ubus.Table{})
	if len(i.errors) > 0 {
		add("errors", i.errors)
	}
	return t
}

func list(in []string) []any {
	out := []any{}
	for _, s := range in {
		out = append(out, s)
	}
	return out
}

func (i *iface) addresses() (v4, v6 []any) {
	v4, v6 = []any{}, []any{}
	for _, a := range i.Addresses {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			continue // whoever drives the fake sees that it is missing
		}
		row := ubus.Table{{Name: "address", Value: p.Addr().String()}, {Name: "mask", Value: int32(p.Bits())}}
		if p.Addr().Is4() {
			v4 = append(v4, row)
		} else {
			v6 = append(v6, row)
		}
	}
	return v4, v6
}

func (i *iface) routes() []any {
	rows := []any{}
	for _, g := range strings.Fields(i.Gateway) {
		gw, err := netip.ParseAddr(g)
		if err != nil {
			continue // whoever drives the fake sees that it is missing
		}
		any0 := "0.0.0.0"
		if gw.Is6() {
			any0 = "::"
		}
		rows = append(rows, ubus.Table{{Name: "target", Value: any0}, {Name: "mask", Value: int32(0)},
			{Name: "nexthop", Value: gw.String()}, {Name: "source", Value: any0 + "/0"}})
	}
	return rows
}

// deviceObject answers `network.device status` with what is asked for most.
func (f *Fake) deviceObject() *ubus.Object {
	return &ubus.Object{Path: "network.device", Methods: []ubus.Method{{
		Name: "status", Args: []ubus.Arg{{Name: "name", Type: ubus.String}},
		Handler: func(_ context.Context, req *ubus.Request) {
			name, err := req.Args.Text("name", "")
			if err != nil {
				fail(req, ubus.StatusInvalidArgument)
				return
			}
			f.mu.Lock()
			all := ubus.Table{}
			for _, n := range f.names() {
				i := f.ifaces[n]
				if dev := i.L3; dev != "" && !all.Has(dev) {
					all = append(all, ubus.Field{Name: dev, Value: f.device(dev, i.up)})
				}
			}
			f.mu.Unlock()
			if name == "" {
				reply(req, all)
				return
			}
			one, err := all.Table(name)
			if err != nil || one == nil {
				fail(req, ubus.StatusNotFound)
				return
			}
			reply(req, one)
		},
	}}}
}

func (f *Fake) device(name string, up bool) ubus.Table {
	s := f.stats[name]
	return ubus.Table{
		{Name: "external", Value: false}, {Name: "present", Value: up}, {Name: "type", Value: "Network device"},
		{Name: "up", Value: up}, {Name: "carrier", Value: up},
		{Name: "statistics", Value: ubus.Table{{Name: "rx_bytes", Value: s[0]}, {Name: "tx_bytes", Value: s[1]}}},
	}
}

// uciObject answers `uci get` as rpcd does.
func (f *Fake) uciObject() *ubus.Object {
	args := []ubus.Arg{{Name: "config", Type: ubus.String}, {Name: "section", Type: ubus.String}, {Name: "option", Type: ubus.String},
		{Name: "type", Type: ubus.String}, {Name: "match", Type: ubus.TableType}, {Name: "ubus_rpc_session", Type: ubus.String}}
	return &ubus.Object{Path: "uci", Methods: []ubus.Method{{Name: "get", Args: args,
		Handler: func(_ context.Context, req *ubus.Request) {
			v, status := f.GetUCI(req.Args)
			if status != ubus.StatusOK {
				fail(req, status)
				return
			}
			reply(req, v)
		}}}}
}

// GetUCI answers the arguments of `uci get`.
func (f *Fake) GetUCI(args ubus.Table) (ubus.Table, ubus.Status) {
	text := func(n string) string { s, _ := args.Text(n, ""); return s }
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.uciGet(text("config"), text("section"), text("option"), text("type"))
}

func (f *Fake) uciGet(config, section, option, typ string) (ubus.Table, ubus.Status) {
	switch {
	case config == "":
		return nil, ubus.StatusInvalidArgument
	case config != "network":
		return f.otherFile(config, section, option, typ)
	case section == "":
		values := ubus.Table{}
		for n, name := range f.names() {
			if i := f.ifaces[name]; !i.Dynamic && (typ == "" || typ == "interface") {
				values = append(values, ubus.Field{Name: name, Value: i.section(n)})
			}
		}
		return ubus.Table{{Name: "values", Value: values}}, ubus.StatusOK
	}
	i := f.ifaces[section]
	if i == nil || i.Dynamic {
		return nil, ubus.StatusNotFound
	}
	if option == "" {
		return ubus.Table{{Name: "values", Value: i.section(-1)}}, ubus.StatusOK
	}
	if v, ok := i.section(-1).Get(option); ok {
		return ubus.Table{{Name: "value", Value: v}}, ubus.StatusOK
	}
	return nil, ubus.StatusNotFound
}

// otherFile answers for a file besides network, without asking for one section.
func (f *Fake) otherFile(config, section, option, typ string) (ubus.Table, ubus.Status) {
	sections := f.files[config]
	if len(sections) == 0 || section != "" || option != "" {
		return nil, ubus.StatusNotFound
	}
	values := ubus.Table{}
	for n, s := range sections {
		if typ != "" && typ != s.Type {
			continue
		}
		name, anonymous := s.Name, s.Name == ""
		if anonymous {
			name = fmt.Sprintf("cfg%02x%04x", n+1, len(s.Type)) // libuci hashes; only the form is the same
		}
		t := ubus.Table{{Name: ".anonymous", Value: anonymous}, {Name: ".type", Value: s.Type}, {Name: ".name", Value: name}, {Name: ".index", Value: int32(n)}}
		for _, k := range sortedKeys(s.Options) {
			t = append(t, ubus.Field{Name: k, Value: s.Options[k]})
		}
		values = append(values, ubus.Field{Name: name, Value: t})
	}
	return ubus.Table{{Name: "values", Value: values}}, ubus.StatusOK
}

func (i *iface) section(index int) ubus.Table {
	t := ubus.Table{{Name: ".anonymous", Value: false}, {Name: ".type", Value: "interface"}, {Name: ".name", Value: i.Name}}
	if index >= 0 {
		t = append(t, ubus.Field{Name: ".index", Value: int32(index)})
	}
	t = append(t, ubus.Field{Name: "proto", Value: i.Proto})
	for _, k := range sortedKeys(i.Options) {
		t = append(t, ubus.Field{Name: k, Value: i.Options[k]})
	}
	return t
}
