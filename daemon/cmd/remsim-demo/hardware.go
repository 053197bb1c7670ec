package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/daemon/internal/route/routefake"
)

// hardware is a router with modems in it: ModemManager on a bus of its own, the
// kernel's GPIO lines, netifd, and a board for each modem. A world without
// hardware has none of it.
type hardware struct {
	mm     *mmfake.Fake
	gpio   *gpiofake.Kernel
	netifd *netifdfake.Fake
	routes *routefake.Kernel
	boards map[string]*board // by modem
	stop   context.CancelFunc
	boot   sync.WaitGroup
}

// probeTime is how long this ModemManager takes for a modem. The real one takes 2 to
// 6 s; the story is told a little faster.
const probeTime = 400 * time.Millisecond

// startHardware makes the boards of a world and switches them on.
func (p *peers) startHardware(w *world) (err error) {
	h := &hardware{
		mm: mmfake.New(mmfake.Options{Probe: probeTime}), gpio: gpiofake.New(), routes: routefake.New(), boards: make(map[string]*board), stop: func() {},
	}
	p.hardware = h
	if err := h.mm.Listen(filepath.Join(p.dir, "dbus.sock")); err != nil {
		return err
	}
	start := netifdfake.Start
	if p.web {
		start = netifdfake.StartWithoutUCI
	}
	if h.netifd, err = start(p.socket()); err != nil {
		return err
	}
	var lines []gpiofake.Line
	for _, s := range w.boards {
		b, err := h.add(p, s, len(lines))
		if err != nil {
			return fmt.Errorf("hardware %s: %w", s.modem, err)
		}
		h.boards[s.modem] = b
		lines = append(lines, gpiofake.Line{Name: s.modem + "-sim", Output: true}, gpiofake.Line{Name: s.modem + "-reset", Output: true, High: true})
	}
	h.gpio.AddChip("board", false, lines...)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	for _, b := range h.boards {
		h.boot.Go(func() { b.run(ctx) })
	}
	return nil
}

// add makes one board whose lines begin at an offset of the chip.
func (h *hardware) add(p *peers, s boardSpec, offset int) (*board, error) {
	if !p.has(s.modem) {
		return nil, fmt.Errorf("there is no modem %q", s.modem)
	}
	dir := filepath.Join(p.dir, "tty-"+s.modem)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	port, err := atfake.New(dir, "generic")
	if err != nil {
		return nil, err
	}
	port.Set("+CGMM", s.model, "OK")
	port.Set("+CGSN", s.imei, "OK")
	b := &board{spec: s, gpio: h.gpio, netifd: h.netifd, at: port, offset: offset, slot: slotReader{reader: p.readers[s.modem], profiles: p.profileOf}}
	b.put(s.card)
	b.in = b.local
	b.modem = h.mm.Plug(mmfake.Spec{
		Device: "/sys/devices/platform/xhci/usb2/" + s.usb, Maker: "Acme", Model: s.model, Revision: "1.0", IMEI: s.imei, Plugin: "generic", Card: b.local,
		Ports: []model.Port{{Name: "cdc-wdm" + strconv.Itoa(offset/2), Kind: model.PortQMI}, {Name: s.port, Kind: model.PortAT}, {Name: s.network, Kind: model.PortNet}},
	})
	err = h.netifd.Add(netifdfake.Config{
		Name: s.network, Proto: "modemmanager", L3: s.network, Addresses: []string{fmt.Sprintf("10.64.%d.2/30", offset/2)},
		Options: map[string]string{"device": "/sys/devices/platform/xhci/usb2/" + s.usb, "apn": "internet"},
	})
	h.routes.Set(route.Device{Name: s.network, Up: true, Carrier: true})
	h.netifd.Hold(s.network) // the board finishes what is set up
	return b, err
}

// close may be called on a hardware that was made in part, or not at all.
func (h *hardware) close() {
	if h == nil {
		return
	}
	h.stop()
	h.boot.Wait()
	for _, b := range h.boards {
		b.at.Close()
	}
	if h.netifd != nil {
		h.netifd.Close()
	}
	h.mm.Close()
}

// drivers are the daemon's ways out of the process in this world.
func (p *peers) drivers() app.Drivers {
	d := app.RealDrivers(nil)
	// The interfaces of this world are played, the peers are on loopback, and so
	// is the packet filter that counts what goes to them.
	d.Meter, d.Routes, d.Probes, d.Heard = p.filter, nil, p.ways, p.ways
	d.Dial = func(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error) {
		c, err := p.ways.Dial(ctx, via, purpose, network, address)
		if err != nil {
			return nil, err
		}
		return p.filter.Conn(c, via, purpose), nil
	}
	h := p.hardware
	if h == nil {
		return d
	}
	d.DBus, d.GPIO = h.mm.Address(), h.gpio
	d.Routes = func() (route.Kernel, error) { return h.routes, nil }
	d.ATPort = func(path string) (at.Port, error) {
		for _, b := range h.boards {
			if path == "/dev/"+b.spec.port {
				return at.OpenPort(b.at.Path())
			}
		}
		return nil, fmt.Errorf("open AT port %s: %w", path, os.ErrNotExist)
	}
	return d
}

// options are the UCI options of a modem with hardware.
func (b *board) options() string {
	text := fmt.Sprintf("\toption match 'usb:%s'\n\toption network '%s'\n", b.spec.usb, b.spec.network)
	if b.spec.simLine {
		text += fmt.Sprintf("\toption sim_line '%s-sim'\n", b.spec.modem)
	}
	if b.spec.resetLine {
		text += fmt.Sprintf("\toption reset_line '%s-reset'\n", b.spec.modem)
	}
	return text
}

// hardwareCommand carries out what happens to ModemManager or to a modem:
//
//	modemmanager crash|return
//	signal MODEM DBM            in dBm, RSRP
//	network MODEM lost|back
//	sim MODEM out
//	sim MODEM in iccid DIGITS imsi DIGITS [pin DIGITS]
//	pincode MODEM DIGITS        option pincode of its netifd interface
func (p *peers) hardwareCommand(verb string, f *fields) func() error {
	h := p.hardware
	if h == nil {
		f.fail("%s: this world has no hardware", verb)
		return nil
	}
	if verb == "modemmanager" {
		switch what := f.word(); what {
		case "crash":
			return func() error { h.mm.KillMM(); return nil }
		case "return":
			return func() error { h.mm.StartMM(); return nil }
		default:
			f.fail("%q is not one of crash, return", what)
			return nil
		}
	}
	name := f.word()
	b := h.boards[name]
	if b == nil {
		f.fail("there is no hardware for modem %q", name)
		return nil
	}
	return b.command(verb, f)
}

func (b *board) command(verb string, f *fields) func() error {
	what := f.word()
	switch {
	case verb == "signal":
		dbm, err := strconv.ParseFloat(what, 64)
		if err != nil {
			f.fail("%q is no signal in dBm", what)
		}
		return func() error { b.modem.SetRSRP(dbm); return nil }
	case verb == "pincode":
		return func() error { b.netifd.SetOption(b.spec.network, "pincode", what); return nil }
	case verb == "network" && what == "lost":
		return func() error { b.modem.LoseNetwork(false, 0); b.modem.Disconnect(); return nil }
	case verb == "network" && what == "back":
		return func() error { b.modem.FindNetwork(false); return nil }
	case verb == "sim" && what == "out":
		return func() error { b.put(simSpec{}); return nil }
	case verb == "sim" && what == "in":
		card := f.sim()
		return func() error { b.put(card); return nil }
	}
	f.fail("%q cannot follow %s", what, verb)
	return nil
}
