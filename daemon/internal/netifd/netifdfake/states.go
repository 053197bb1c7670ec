package netifdfake

import (
	"context"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// outbox collects what is to be told when the lock is free.
type outbox struct{ msgs []message }

type message struct {
	event  string // action of the event; "" for a notification
	typ    string
	name   string
	obj    *ubus.Object
	status ubus.Table
}

func (o *outbox) event(i *iface, action string) {
	o.msgs = append(o.msgs, message{event: action, name: i.Name})
}

func (o *outbox) notify(i *iface, typ string) {
	o.msgs = append(o.msgs, message{typ: typ, name: i.Name, obj: i.obj, status: i.status(time.Now())})
}

// change alters an interface, then tells what has to be told.
func (f *Fake) change(name string, fn func(*iface, *outbox)) {
	var out outbox
	f.mu.Lock()
	if i := f.ifaces[name]; i != nil {
		fn(i, &out)
	}
	main, gone := f.main, f.gone
	f.mu.Unlock()
	if gone {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, m := range out.msgs {
		if m.event != "" {
			// Nobody hears it while the bus is away, as with netifd.
			_ = f.client.Send(ctx, "network.interface", ubus.Table{{Name: "action", Value: m.event}, {Name: "interface", Value: m.name}})
			continue
		}
		body := append(ubus.Table{{Name: "interface", Value: m.name}}, m.status...)
		_ = main.Notify(ctx, m.typ, body)
		_ = m.obj.Notify(ctx, m.typ, body)
	}
}

// setUp is interface_set_up.
func (i *iface) setUp(out *outbox) {
	i.autostart = true
	if i.up || i.pending {
		return
	}
	i.errors = nil
	if !i.available {
		i.errors = []Failure{{Subsystem: "interface", Code: "NO_DEVICE"}}
		return
	}
	i.pending = true
	if !i.held {
		i.finishSetup(out)
	}
}

// finishSetup is what the protocol's script reports.
func (i *iface) finishSetup(out *outbox) {
	i.pending = false
	if i.fails.Code != "" {
		i.errors = append(i.errors, i.fails)
		if i.blocks {
			i.autostart = false
		}
		out.notify(i, "interface.update") // IFEV_UP_FAILED
		return
	}
	i.up, i.since, i.errors = true, time.Now(), nil
	out.event(i, "ifup")
	out.notify(i, "interface.update")
}

// goDown is __interface_set_down and, at the end of the teardown,
// mark_interface_down: what was up is told to be down twice.
func (i *iface) goDown(out *outbox, action string) {
	was := i.up
	failed := i.pending
	i.up, i.pending = false, false
	switch {
	case was:
		for range 2 {
			out.event(i, action)
			out.notify(i, "interface.down")
		}
	case failed:
		out.notify(i, "interface.update")
	}
}
