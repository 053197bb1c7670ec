// Package mmfake is a ModemManager to be driven by tests and by the demo: the
// same D-Bus objects, properties, signals and errors, on a bus of its own that
// needs no dbus-daemon and no privilege. Cards come and go, networks are lost,
// modems are reset and reprobed under new numbers, and the whole service
// crashes and returns, when told to.
package mmfake

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names on the bus.
const (
	service   = "org.freedesktop.ModemManager1"
	rootPath  = dbus.ObjectPath("/org/freedesktop/ModemManager1")
	propsFace = "org.freedesktop.DBus.Properties"
	omFace    = "org.freedesktop.DBus.ObjectManager"
	modemFace = service + ".Modem"
	m3gppFace = modemFace + ".Modem3gpp"
	sigFace   = modemFace + ".Signal"
	simFace   = service + ".Sim"
	brFace    = service + ".Bearer"
)

// Options say which ModemManager is played.
type Options struct {
	// Version is "1.20.4", "1.22.0" or "1.24.0"; "" is the newest. It decides
	// which properties exist.
	Version string
	// Probe is how long a modem takes from its removal to its coming back;
	// 0 is at once. The real one takes 2 to 6 s.
	Probe time.Duration
}

// Call is one method call that was received.
type Call struct {
	Sender string // unique name
	Path   string
	Method string // interface and member
}

// properties are what an object shows, per interface.
type properties map[string]map[string]dbus.Variant

// Fake is a bus with a ModemManager. Make it with New.
type Fake struct {
	opts Options

	mu        sync.Mutex
	socket    string
	bus       *bus   // nil: the bus is dead
	name      string // ModemManager's unique name, "" while it is down
	modems    []*Modem
	shown     map[dbus.ObjectPath]properties // every object as last announced
	nextModem int
	nextSIM   int
	nextBear  int
	calls     []Call
	failures  map[string]*dbus.Error // by method
	hung      map[string]bool        // methods that are never answered
	waiting   []pending
	piecemeal bool
	timers    map[*time.Timer]bool
	work      sync.WaitGroup // of timers
	closed    bool
}

// pending is a call that hangs.
type pending struct {
	peer *peer
	m    *dbus.Message
}

// New makes a fake; Listen starts it.
func New(opts Options) *Fake {
	if opts.Version == "" {
		opts.Version = "1.24.0"
	}
	return &Fake{
		opts: opts, shown: map[dbus.ObjectPath]properties{}, failures: map[string]*dbus.Error{}, hung: map[string]bool{}, timers: map[*time.Timer]bool{},
	}
}

// Listen opens the bus at a unix socket and starts ModemManager on it.
func (f *Fake) Listen(socket string) error {
	f.mu.Lock()
	f.socket = socket
	f.mu.Unlock()
	if err := f.StartBus(); err != nil {
		return err
	}
	f.StartMM()
	return nil
}

// Address is the D-Bus address of the fake's bus.
func (f *Fake) Address() string { return "unix:path=" + f.socket }

// Close ends everything and waits for it.
func (f *Fake) Close() {
	f.mu.Lock()
	f.closed = true
	for t := range f.timers {
		if t.Stop() {
			f.work.Done()
		}
	}
	f.timers = nil
	f.mu.Unlock()
	f.work.Wait()
	f.KillBus()
}

// StartBus opens the bus again after KillBus; nothing is on it.
func (f *Fake) StartBus() error {
	_ = os.Remove(f.socket) // of an earlier life
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		return fmt.Errorf("listen as fake bus: %w", err)
	}
	b := &bus{listener: l, peers: map[*peer]bool{}, owners: map[string]string{}, serve: f.serve, left: f.left}
	b.tasks.Go(b.accept)
	f.mu.Lock()
	f.bus = b
	f.mu.Unlock()
	return nil
}

// KillBus ends the bus; ModemManager ends with it.
func (f *Fake) KillBus() {
	f.mu.Lock()
	b := f.bus
	f.bus = nil
	f.down()
	f.mu.Unlock()
	if b != nil {
		b.close()
	}
}

// StartMM starts ModemManager: numbers begin at 0 again.
func (f *Fake) StartMM() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bus == nil || f.name != "" {
		return
	}
	f.nextModem, f.nextSIM, f.nextBear = 0, 0, 0
	f.name = f.bus.own(service)
	for _, m := range f.modems {
		if m.plugged {
			m.export()
		}
	}
}

// KillMM has ModemManager crash: its name goes, no modem is announced gone, and
// calls under way fail.
func (f *Fake) KillMM() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down()
}

// down is what remains of a crash. f.mu is held.
func (f *Fake) down() {
	f.name = ""
	f.shown = map[dbus.ObjectPath]properties{}
	for _, m := range f.modems {
		m.path, m.inhibitor, m.rate, m.bearer = "", "", 0, nil
	}
	for _, p := range f.waiting {
		p.peer.fail(p.m, busName, busName+".Error.NoReply", "Message recipient disconnected from message bus without replying")
	}
	f.waiting = nil
	if f.bus != nil && f.bus.owner(service) != "" {
		f.bus.disown(service)
	}
}

// Fail has every call of a method ("…Modem.Reset" is enough) answered by an
// error; an empty name answers it again.
func (f *Fake) Fail(method, errorName, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errorName == "" {
		delete(f.failures, method)
		return
	}
	f.failures[method] = dbus.NewError(errorName, []any{text})
}

// Hang has every call of a method go unanswered, until ModemManager or the bus
// is killed.
func (f *Fake) Hang(method string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if on {
		f.hung[method] = true
	} else {
		delete(f.hung, method)
	}
}

// Hanging returns how many calls hang now.
func (f *Fake) Hanging() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}

// Piecemeal has removals announced interface by interface, as ModemManager does
// when it throws a device away.
func (f *Fake) Piecemeal(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.piecemeal = on
}

// Emit sends any signal in ModemManager's name.
func (f *Fake) Emit(path, iface, member string, body ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bus != nil && f.name != "" {
		f.bus.broadcast(f.name, path, iface, member, body...)
	}
}

// Override shows a value for one property of an object until its next own
// change, and tells the clients.
func (f *Fake) Override(path, iface, name string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.shown[dbus.ObjectPath(path)][iface]
	if p == nil || f.bus == nil {
		return
	}
	p[name] = dbus.MakeVariant(value)
	f.bus.broadcast(f.name, path, propsFace, "PropertiesChanged", iface, map[string]dbus.Variant{name: p[name]}, []string{})
}

// Calls returns the calls to ModemManager received so far.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// String prints bus, service and modems.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	switch {
	case f.bus == nil:
		b.WriteString("bus down\n")
	case f.name == "":
		b.WriteString("bus up, ModemManager down\n")
	default:
		fmt.Fprintf(&b, "bus up, ModemManager %s\n", f.opts.Version)
	}
	for _, m := range f.modems {
		b.WriteString("  " + m.line() + "\n")
	}
	return b.String()
}

// after runs step after the probe time; with none, at once. f.mu is held.
func (f *Fake) after(step func()) {
	if f.opts.Probe == 0 {
		step()
		return
	}
	if f.closed {
		return
	}
	f.work.Add(1)
	var t *time.Timer
	t = time.AfterFunc(f.opts.Probe, func() {
		defer f.work.Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.timers, t)
		if !f.closed {
			step()
		}
	})
	f.timers[t] = true
}

// left lifts the inhibitions of a client that has gone.
func (f *Fake) left(p *peer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = slices.DeleteFunc(f.waiting, func(w pending) bool { return w.peer == p })
	for _, m := range f.modems {
		if m.inhibitor == p.name && p.name != "" {
			m.inhibitor = ""
			f.after(m.export)
		}
	}
}

// atLeast tells whether the played version is minor 1.x or newer.
func (f *Fake) atLeast(minor int) bool {
	var major, have int
	_, err := fmt.Sscanf(f.opts.Version, "%d.%d", &major, &have)
	return err != nil || major > 1 || have >= minor
}

func failed(name, text string) *dbus.Error {
	return dbus.NewError(service+".Error."+name, []any{text})
}

func arg[T any](args []any, i int) (v T, ok bool) {
	if i < len(args) {
		v, ok = args[i].(T)
	}
	return v, ok
}
