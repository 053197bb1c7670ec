package mmrig

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/creack/pty"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// event is one port as the kernel reports it.
type event struct{ subsystem, name string }

// serveDevice builds the modem's part of /sys and /dev and serves its ports.
func (r *Rig) serveDevice(m *Modem) (*device, error) {
	if err := r.buildSysfs(m); err != nil {
		return nil, err
	}
	var stops []func()
	dev := &device{stop: func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
		r.removeSysfs(m)
	}}
	for _, port := range m.Spec.ATPorts {
		stop, err := r.servePTY(m, port)
		if err != nil {
			dev.stop()
			return nil, err
		}
		stops = append(stops, stop)
	}
	if m.Spec.MBIM {
		// ModemManager opens MBIM through the proxy, so the node only has to be there.
		node := r.node(m.Spec.Control)
		_ = os.Remove(node)
		if err := os.Symlink("null", node); err != nil {
			dev.stop()
			return nil, err
		}
		stop, err := r.serveProxy(m)
		if err != nil {
			dev.stop()
			return nil, err
		}
		stops = append(stops, func() { stop(); _ = os.Remove(node) })
	}
	return dev, nil
}

func (r *Rig) node(name string) string { return filepath.Join(r.dir, "dev", name) }

// servePTY serves AT on a pseudo terminal that dev/port leads to.
func (r *Rig) servePTY(m *Modem, port string) (stop func(), err error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, err
	}
	if err = makeRaw(int(slave.Fd())); err == nil {
		_ = os.Remove(r.node(port))
		err = os.Symlink("pts/"+filepath.Base(slave.Name()), r.node(port))
	}
	if err != nil {
		_ = master.Close()
		_ = slave.Close()
		return nil, err
	}
	// The slave stays open here, or the master would fail each time
	// ModemManager closes its end.
	var serving sync.WaitGroup
	serving.Go(func() { serveAT(m, master) })
	return func() {
		_ = os.Remove(r.node(port))
		_ = master.Close()
		_ = slave.Close()
		serving.Wait()
	}, nil
}

func makeRaw(fd int) error {
	tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	tio.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	tio.Oflag &^= unix.OPOST
	tio.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	return unix.IoctlSetTermios(fd, unix.TCSETS, tio)
}

// events lists the modem's ports, control port first.
func (m *Modem) events() []event {
	s := m.Spec
	tty, control := "tty", "usbmisc"
	if s.PCI {
		tty, control = "wwan", "wwan"
	}
	evs := []event{{"net", s.Net}, {control, s.Control}}
	for _, p := range s.ATPorts {
		evs = append(evs, event{tty, p})
	}
	return evs
}

// reportDevice reports every port, as OpenWrt's hotplug scripts do.
func (r *Rig) reportDevice(m *Modem, action string) error {
	for _, ev := range m.events() {
		args := map[string]dbus.Variant{
			"action": dbus.MakeVariant(action), "subsystem": dbus.MakeVariant(ev.subsystem), "name": dbus.MakeVariant(ev.name),
		}
		if err := r.Call(mmPath, mmName+".ReportKernelEvent", args).Err; err != nil {
			return fmt.Errorf("report %s of %s: %w", action, ev.name, err)
		}
	}
	return nil
}

// serveProxy makes m one of the devices behind the proxy socket.
func (r *Rig) serveProxy(m *Modem) (stop func(), err error) {
	return r.space.proxy.add(r.space, m)
}

// proxy is the abstract socket "mbim-proxy" and the modems behind it.
type proxy struct {
	mu     sync.Mutex
	modems map[string]*Modem // by device node
	conns  map[*mbimChannel]string
	stop   func()
}

func (p *proxy) add(s *space, m *Modem) (stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		l, err := s.listen("mbim-proxy")
		if err != nil {
			return nil, fmt.Errorf("listen as mbim-proxy: %w", err)
		}
		p.modems, p.conns = map[string]*Modem{}, map[*mbimChannel]string{}
		p.stop = serveListener(l, func(c net.Conn) { serveMBIM(p, c) })
	}
	path := "/dev/" + m.Spec.Control
	p.modems[path] = m
	return func() { p.drop(path) }, nil
}

// drop hangs up every channel to the device at path.
func (p *proxy) drop(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.modems, path)
	for ch, of := range p.conns {
		if of == path {
			_ = ch.conn.Close()
		}
	}
}

// open binds a channel to the device it asks for.
func (p *proxy) open(ch *mbimChannel, path string) *Modem {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.modems[path]; m != nil {
		p.conns[ch] = path
		return m
	}
	return nil
}

func (p *proxy) closed(ch *mbimChannel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, ch)
}

func (p *proxy) close() {
	p.mu.Lock()
	stop := p.stop
	p.stop = nil
	p.mu.Unlock()
	if stop != nil {
		stop()
	}
}
