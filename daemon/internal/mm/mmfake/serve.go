package mmfake

import (
	"fmt"
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"
)

// serve answers one call to ModemManager.
func (f *Fake) serve(p *peer, m *dbus.Message) {
	dest, _ := m.Headers[dbus.FieldDestination].Value().(string)
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	iface, _ := m.Headers[dbus.FieldInterface].Value().(string)
	method := iface + "." + member(m)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.name == "" || (dest != f.name && dest != service) {
		p.fail(m, busName, busName+".Error.ServiceUnknown", "The name "+dest+" was not provided by any .service files")
		return
	}
	f.calls = append(f.calls, Call{Sender: p.name, Path: string(path), Method: method})
	if f.hung[method] {
		f.waiting = append(f.waiting, pending{p, m})
		return
	}
	if e := f.failures[method]; e != nil {
		p.fail(m, f.name, e.Name, fmt.Sprint(e.Body...))
		return
	}
	body, after, err := f.answer(p, path, method, m.Body)
	if err != nil {
		p.fail(m, f.name, err.Name, fmt.Sprint(err.Body...))
	} else {
		p.reply(m, f.name, body...)
	}
	if after != nil {
		after()
	}
}

// answer returns a method's result, and what happens after the reply.
func (f *Fake) answer(p *peer, path dbus.ObjectPath, method string, args []any) (body []any, after func(), err *dbus.Error) {
	switch method {
	case omFace + ".GetManagedObjects":
		return []any{f.managed()}, nil, nil
	case propsFace + ".GetAll":
		face, _ := arg[string](args, 0)
		values, ok := f.object(path)[face]
		if !ok {
			return nil, nil, dbus.NewError(busName+".Error.InvalidArgs", []any{"No such interface “" + face + "”"})
		}
		return []any{maps.Clone(values)}, nil, nil
	case propsFace + ".Get":
		face, _ := arg[string](args, 0)
		name, _ := arg[string](args, 1)
		value, ok := f.object(path)[face][name]
		if !ok {
			return nil, nil, dbus.NewError(busName+".Error.InvalidArgs", []any{"No such property “" + name + "”"})
		}
		return []any{value}, nil, nil
	case service + ".InhibitDevice":
		device, _ := arg[string](args, 0)
		on, _ := arg[bool](args, 1)
		after, err = f.inhibit(p.name, device, on)
		return nil, after, err
	case service + ".ScanDevices":
		return nil, nil, nil
	}
	for _, m := range f.modems {
		if m.path == "" {
			continue
		}
		if path == m.path {
			return m.call(method, args)
		}
		if path == m.simPath && method == simFace+".SendPin" {
			pin, _ := arg[string](args, 0)
			after, err = m.sendPIN(pin)
			return nil, after, err
		}
	}
	return nil, nil, dbus.NewError(busName+".Error.UnknownMethod", []any{"No such object or method " + string(path) + " " + method})
}

// managed lists modems only, as ModemManager does.
func (f *Fake) managed() map[dbus.ObjectPath]properties {
	all := map[dbus.ObjectPath]properties{}
	for path, p := range f.shown {
		if p[modemFace] != nil {
			all[path] = p
		}
	}
	return all
}

func (f *Fake) object(path dbus.ObjectPath) properties {
	if path == rootPath {
		return properties{service: {"Version": dbus.MakeVariant(f.opts.Version)}}
	}
	return f.shown[path]
}

func (f *Fake) inhibit(sender, device string, on bool) (after func(), err *dbus.Error) {
	// An inhibition outlives the device: it may restart meanwhile.
	i := slices.IndexFunc(f.modems, func(m *Modem) bool { return (m.plugged || !on) && m.spec.Device == device })
	if i < 0 {
		return nil, failed("Core.NotFound", "Device '"+device+"' not found")
	}
	m := f.modems[i]
	switch {
	case on && m.inhibitor != "":
		return nil, failed("Core.InProgress", "Device '"+device+"' is already inhibited")
	case on:
		m.inhibitor = sender
		return m.withdraw, nil
	case m.inhibitor != sender:
		return nil, failed("Core.NotFound", "No inhibition found for uid '"+device+"'")
	}
	m.inhibitor = ""
	return func() { f.after(m.export) }, nil
}
