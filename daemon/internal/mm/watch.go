package mm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Names on the bus.
const (
	busName   = "org.freedesktop.DBus"
	propsFace = "org.freedesktop.DBus.Properties"
	omFace    = "org.freedesktop.DBus.ObjectManager"

	service   = "org.freedesktop.ModemManager1"
	root      = dbus.ObjectPath("/org/freedesktop/ModemManager1")
	modemFace = service + ".Modem"
	m3gppFace = modemFace + ".Modem3gpp"
	sigFace   = modemFace + ".Signal"
	simFace   = service + ".Sim"
	brFace    = service + ".Bearer"
)

// relist is the wait after ModemManager did not answer the first question.
const relist = 10 * time.Second

// watcher follows ModemManager over one connection. Its fields belong to loop.
type watcher struct {
	client  *Client
	conn    *dbus.Conn
	events  chan *dbus.Signal
	replies chan func() // answers, applied by loop
	tasks   sync.WaitGroup

	owner     string        // ModemManager's unique name
	ownerAsOf dbus.Sequence // NameOwnerChanged up to here is history
	listed    bool          // GetManagedObjects has answered
	held      []*dbus.Signal
	modems    map[dbus.ObjectPath]*modem
	parts     map[dbus.ObjectPath]*object // cards and bearers
}

// subscribe asks the bus for the signals, then for ModemManager's owner: in
// this order nothing is missed.
func (w *watcher) subscribe(ctx context.Context) error {
	w.conn.Signal(w.events)
	short, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)},
		{dbus.WithMatchSender(service), dbus.WithMatchInterface(omFace), dbus.WithMatchPathNamespace(root)},
		// StateChanged is not asked for: it arrives nested and out of order,
		// and the State property says the same.
		{dbus.WithMatchSender(service), dbus.WithMatchInterface(propsFace), dbus.WithMatchPathNamespace(root)},
	} {
		if err := w.conn.AddMatchSignalContext(short, rule...); err != nil {
			return fmt.Errorf("subscribe to ModemManager's signals: %w", err)
		}
	}
	var owner string
	call := w.conn.BusObject().CallWithContext(short, busName+".GetNameOwner", 0, service)
	err := call.Store(&owner)
	w.ownerAsOf = call.ResponseSequence
	var gone dbus.Error
	if err != nil && !errors.As(err, &gone) {
		return fmt.Errorf("ask for ModemManager's owner: %w", err)
	}
	w.setOwner(ctx, owner, "ModemManager is not running")
	return nil
}

func (w *watcher) loop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil // the modems are still there: nothing is reported gone
		case s, open := <-w.events:
			if !open {
				if ctx.Err() != nil {
					return nil
				}
				w.forget()
				return errBusLost
			}
			w.signal(ctx, s)
		case apply := <-w.replies:
			apply()
		}
	}
}

// ask calls ModemManager's current owner from a task and has loop run then,
// unless the owner has changed meanwhile. The unique name never starts the
// service by itself.
func (w *watcher) ask(ctx context.Context, path dbus.ObjectPath, then func(*dbus.Call), method string, args ...any) {
	owner := w.owner
	w.task(ctx, func() {
		call := askOwner(ctx, w.conn, owner, path, method, args...)
		w.deliver(ctx, owner, func() { then(call) })
	})
}

// task runs f beside loop, unless the watch has ended.
func (w *watcher) task(ctx context.Context, f func()) {
	if ctx.Err() == nil {
		w.tasks.Go(f)
	}
}

func (w *watcher) deliver(ctx context.Context, owner string, f func()) {
	guarded := func() {
		if w.owner == owner {
			f()
		}
	}
	select {
	case w.replies <- guarded:
	case <-ctx.Done():
	}
}

func askOwner(ctx context.Context, conn *dbus.Conn, owner string, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return conn.Object(owner, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
}

// setOwner starts anew with another ModemManager, or with none.
func (w *watcher) setOwner(ctx context.Context, owner, reason string) {
	w.forget()
	w.owner = owner
	w.client.setBus(w.conn, owner)
	if owner == "" {
		w.client.emit(model.ModemsService{At: w.client.at(), Reason: reason})
		return
	}
	w.list(ctx)
}

// forget reports every modem gone.
func (w *watcher) forget() {
	for _, path := range slices.Sorted(maps.Keys(w.modems)) {
		w.gone(path)
	}
	w.modems, w.parts = map[dbus.ObjectPath]*modem{}, map[dbus.ObjectPath]*object{}
	w.listed, w.held = false, nil
}

// list reads version and modems of a ModemManager that has come.
func (w *watcher) list(ctx context.Context) {
	owner := w.owner
	w.task(ctx, func() {
		version := askOwner(ctx, w.conn, owner, root, propsFace+".Get", service, "Version")
		all := askOwner(ctx, w.conn, owner, root, omFace+".GetManagedObjects")
		w.deliver(ctx, owner, func() { w.applyList(ctx, version, all) })
	})
}

func (w *watcher) applyList(ctx context.Context, version, all *dbus.Call) {
	var objects map[dbus.ObjectPath]properties
	if err := all.Store(&objects); err != nil {
		w.client.emit(model.ModemsService{At: w.client.at(), Reason: "ModemManager does not answer: " + err.Error()})
		w.later(ctx, relist, func() { w.list(ctx) })
		return
	}
	var v dbus.Variant
	var text string
	if version.Store(&v) == nil {
		text, _ = v.Value().(string)
	}
	w.listed = true
	w.client.emit(model.ModemsService{At: w.client.at(), Up: true, Version: text})
	for _, path := range slices.Sorted(maps.Keys(objects)) {
		w.added(ctx, path, objects[path], all.ResponseSequence)
	}
	held := w.held
	w.held = nil
	for _, s := range held {
		if s.Sequence > all.ResponseSequence {
			w.signal(ctx, s)
		}
	}
}

// later has loop run f after d, if ModemManager is still the same.
func (w *watcher) later(ctx context.Context, d time.Duration, f func()) {
	owner := w.owner
	w.task(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			w.deliver(ctx, owner, f)
		case <-ctx.Done():
		}
	})
}

// signal applies one signal. Everything on the bus is taken for hostile: a
// body of another shape is ignored.
func (w *watcher) signal(ctx context.Context, s *dbus.Signal) {
	if s.Name == busName+".NameOwnerChanged" {
		if len(s.Body) == 3 && s.Sender == busName && s.Body[0] == service && s.Sequence > w.ownerAsOf {
			if owner, ok := s.Body[2].(string); ok {
				w.setOwner(ctx, owner, "ModemManager has stopped")
			}
		}
		return
	}
	if w.owner == "" || s.Sender != w.owner {
		return
	}
	if !w.listed {
		w.held = append(w.held, s)
		return
	}
	switch s.Name {
	case omFace + ".InterfacesAdded":
		var path dbus.ObjectPath
		var props properties
		if dbus.Store(s.Body, &path, &props) == nil {
			w.added(ctx, path, props, s.Sequence)
		}
	case omFace + ".InterfacesRemoved":
		var path dbus.ObjectPath
		var faces []string
		// It comes once with all interfaces, or once for each.
		if dbus.Store(s.Body, &path, &faces) == nil && slices.Contains(faces, modemFace) {
			w.gone(path)
		}
	case propsFace + ".PropertiesChanged":
		w.changed(ctx, s)
	}
}

func (w *watcher) added(ctx context.Context, path dbus.ObjectPath, props properties, seq dbus.Sequence) {
	if m := w.modems[path]; m != nil { // more interfaces of one that is known
		maps.Copy(m.props, props)
		w.report(ctx, m)
		return
	}
	if props[modemFace] == nil {
		return
	}
	m := &modem{path: path, object: object{props: props, asOf: seq, ready: true}}
	m.device = text(props[modemFace], "Device")
	m.usb = w.client.hardware(props[modemFace])
	w.modems[path] = m
	w.client.setPath(m.device, path)
	if w.client.wantsInhibited(m.device) {
		w.inhibitAgain(ctx, m)
		return
	}
	w.report(ctx, m)
}

// inhibitAgain renews an inhibition that a restart of ModemManager has undone.
// The modem is not reported meanwhile. Uninhibit may come in between: then what
// was just asked for is taken back.
func (w *watcher) inhibitAgain(ctx context.Context, m *modem) {
	m.hidden = true
	w.ask(ctx, root, func(call *dbus.Call) {
		switch {
		case call.Err != nil:
			m.hidden = false
			if w.modems[m.path] == m {
				w.report(ctx, m)
			}
		case !w.client.wantsInhibited(m.device):
			w.ask(ctx, root, func(*dbus.Call) {}, service+".InhibitDevice", m.device, false)
		}
	}, service+".InhibitDevice", m.device, true)
}

// gone drops a modem, and the cards and bearers that nobody has any more.
func (w *watcher) gone(path dbus.ObjectPath) {
	m := w.modems[path]
	if m == nil {
		return
	}
	delete(w.modems, path)
	w.client.dropPath(m.device, path)
	w.sweep()
	if m.sent != nil {
		w.client.emit(model.ModemGone{At: w.client.at(), Path: string(path), Device: m.device})
	}
}

func (w *watcher) sweep() {
	used := map[dbus.ObjectPath]bool{}
	for _, m := range w.modems {
		for path := range m.parts() {
			used[path] = true
		}
	}
	maps.DeleteFunc(w.parts, func(path dbus.ObjectPath, _ *object) bool { return !used[path] })
}

func (w *watcher) changed(ctx context.Context, s *dbus.Signal) {
	if m := w.modems[s.Path]; m != nil {
		if m.merge(s) {
			w.report(ctx, m)
		}
		return
	}
	part := w.parts[s.Path]
	if part == nil {
		return
	}
	if !part.ready {
		part.held = append(part.held, s)
		return
	}
	if part.merge(s) {
		w.reportOwners(ctx, s.Path)
	}
}

// read fetches the parts that are not known yet and tells whether all are.
func (w *watcher) read(ctx context.Context, m *modem) (complete bool) {
	complete = true
	for path, face := range m.parts() {
		part := w.parts[path]
		if part == nil {
			part = &object{props: properties{}}
			w.parts[path] = part
			w.ask(ctx, path, func(call *dbus.Call) { w.applyPart(ctx, path, part, face, call) }, propsFace+".GetAll", face)
		}
		complete = complete && part.ready
	}
	return complete
}

// applyPart takes a card's or bearer's properties. One that cannot be read has
// vanished again and shows nothing.
func (w *watcher) applyPart(ctx context.Context, path dbus.ObjectPath, part *object, face string, call *dbus.Call) {
	var values map[string]dbus.Variant
	if call.Store(&values) == nil && values != nil {
		part.props[face] = values
	}
	part.ready, part.asOf = true, call.ResponseSequence
	for _, s := range part.held {
		part.merge(s)
	}
	part.held = nil
	w.reportOwners(ctx, path)
}

func (w *watcher) reportOwners(ctx context.Context, part dbus.ObjectPath) {
	for _, path := range slices.Sorted(maps.Keys(w.modems)) {
		if _, has := w.modems[path].parts()[part]; has {
			w.report(ctx, w.modems[path])
		}
	}
}

// report tells of a modem once all of it is known, and only of changes.
func (w *watcher) report(ctx context.Context, m *modem) {
	if m.hidden || !w.read(ctx, m) {
		return
	}
	w.sweep()
	seen := w.observe(m)
	if m.sent == nil || !reflect.DeepEqual(*m.sent, seen) {
		m.sent = &seen
		w.client.emit(model.ModemSeen{At: w.client.at(), Seen: seen})
	}
	w.arm(ctx, m)
}

// arm switches ModemManager's signal readings on, once each time the modem has
// been enabled: they do not survive that.
func (w *watcher) arm(ctx context.Context, m *modem) {
	seconds := uint32(w.client.opts.SignalRate / time.Second)
	sig := m.props[sigFace]
	if integer(m.props[modemFace], "State") < stateEnabled {
		m.armed = false
		return
	}
	if m.armed || seconds == 0 || sig == nil || integer(sig, "Rate") != 0 {
		return
	}
	m.armed = true
	w.ask(ctx, m.path, func(call *dbus.Call) {
		// A modem that is just changing state may be asked again at its next change.
		if err := verbError("read signals", call.Err); errors.Is(err, ErrWrongState) || errors.Is(err, ErrBusy) {
			m.armed = false
		}
	}, sigFace+".Setup", seconds)
}
