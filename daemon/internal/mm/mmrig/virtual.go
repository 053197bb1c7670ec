package mmrig

import (
	"net"
	"os"
	"path/filepath"
	"sync"
)

// serveVirtual listens on the sockets of a modem of ModemManager's test
// interface: one for data, one kept for control.
func (r *Rig) serveVirtual(m *Modem) (*device, error) {
	var stops []func()
	for _, port := range r.sockets(m) {
		_ = os.Remove(port)
		l, err := net.Listen("unix", port)
		if err != nil {
			return nil, err
		}
		stops = append(stops, serveListener(l, func(c net.Conn) { serveAT(m, c) }))
	}
	return &device{stop: func() {
		for _, stop := range stops {
			stop()
		}
	}}, nil
}

func (r *Rig) sockets(m *Modem) []string {
	return []string{filepath.Join(r.dir, m.Spec.Name+"-a"), filepath.Join(r.dir, m.Spec.Name+"-b")}
}

// serveListener serves every connection until its returned func is called.
func serveListener(l net.Listener, serve func(net.Conn)) (stop func()) {
	var mu sync.Mutex
	var all sync.WaitGroup
	conns := map[net.Conn]bool{}
	closed := false
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if closed {
				_ = c.Close()
			}
			conns[c] = true
			mu.Unlock()
			all.Go(func() {
				serve(c)
				_ = c.Close()
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
	})
	return func() {
		_ = l.Close()
		mu.Lock()
		closed = true
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	}
}

// report tells ModemManager of a modem: by kernel events as OpenWrt does, or by
// its test interface. That cannot take a virtual device away, so an unplugged
// one is inhibited from the rig's own connection: the modem goes all the same,
// and comes back under a new number.
func (r *Rig) report(m *Modem, action string) error {
	if r.space != nil {
		return r.reportDevice(m, action)
	}
	if action == "remove" {
		err := r.Call(mmPath, mmName+".InhibitDevice", m.Spec.Physdev(), true).Err
		r.shelve(m, err == nil)
		return err
	}
	if r.shelve(m, false) {
		return r.Call(mmPath, mmName+".InhibitDevice", m.Spec.Physdev(), false).Err
	}
	return r.Call(mmPath, mmName+".Test.SetProfile", m.Spec.Name, m.Spec.Plugin, r.sockets(m)).Err
}

// shelve notes whether a virtual modem is unplugged by inhibition, and returns
// whether it was.
func (r *Rig) shelve(m *Modem, on bool) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was = r.shelved[m]
	r.shelved[m] = on
	return was
}
