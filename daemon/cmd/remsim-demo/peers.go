package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter/meterfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

// peers are the programs around the router, as fakes that speak the real wires:
// an ubus broker, an RSPRO server, banks with software cards, and readers that
// stand for the modems' card slots.
type peers struct {
	dir     string // the world's folder: socket, configuration, state
	web     bool
	broker  *ubusfake.Broker
	server  *rsprofake.Server
	banks   map[int]*rsprofake.Bank
	cards   map[[2]int]*cardfake.Card
	profile map[string]cardfake.Profile // by ICCID
	readers map[string]*vpcdfake.Reader // by modem; only those with an RSPRO client
	modems  []modemSpec

	mesh     *ionmeshfake.Fake // nil: there is no orchestrator
	router   string            // as the orchestrator knows it
	hardware *hardware         // nil: there is none
	ways     *ways             // the networks behind the modems
	filter   *meterfake.Fake   // counts and fences the played links
	networks *netifdfake.Fake  // interfaces that exist; nil: there are none

	mu sync.Mutex // guards profile: the boards read cards while others are plugged in
}

// startPeers makes a world's peers in dir. With web, the LuCI app is served too,
// which has the object `uci` then.
func startPeers(w *world, dir string, web bool) (p *peers, err error) {
	p = &peers{
		dir: dir, web: web, modems: w.modems, banks: make(map[int]*rsprofake.Bank), cards: make(map[[2]int]*cardfake.Card),
		profile: make(map[string]cardfake.Profile), readers: make(map[string]*vpcdfake.Reader),
		ways: newWays(), filter: meterfake.New(),
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.broker, err = ubusfake.Start(p.socket()); err != nil {
		return p, err
	}
	if w.server {
		if p.server, err = rsprofake.StartServer(rsprofake.ServerConfig{Addr: w.at(usualServer)}); err != nil {
			return p, err
		}
	}
	if w.mesh {
		if err := p.startMesh(w.router); err != nil {
			return p, err
		}
	}
	for _, b := range w.banks {
		cfg := rsprofake.BankConfig{Addr: w.at(usualBank + b.id - 1), ID: uint16(b.id), Slots: b.slots, Server: p.server}
		bank, err := rsprofake.StartBank(cfg)
		if err != nil {
			return p, err
		}
		p.banks[b.id] = bank
	}
	for _, c := range w.cards {
		if err := p.plug(c); err != nil {
			return p, err
		}
	}
	for _, m := range w.modems {
		if !m.remote {
			continue
		}
		if p.readers[m.name], err = vpcdfake.Listen("127.0.0.1:0"); err != nil {
			return p, err
		}
	}
	if len(w.boards) > 0 {
		err = p.startHardware(w)
	}
	if len(w.interfaces) > 0 && err == nil {
		err = p.startNetworks(w)
	}
	return p, err
}

// Ports of the real server and bank.
const (
	usualServer = 9998
	usualBank   = 9999
)

// at is where to listen with a usual port; "": anywhere on loopback.
func (w *world) at(port int) string {
	if w.listen == "" {
		return ""
	}
	return net.JoinHostPort(w.listen, strconv.Itoa(port))
}

// has tells whether the world has a modem of that name.
func (p *peers) has(modem string) bool {
	return slices.ContainsFunc(p.modems, func(m modemSpec) bool { return m.name == modem })
}

// profileOf is what a card of a bank holds.
func (p *peers) profileOf(iccid string) (cardfake.Profile, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	profile, ok := p.profile[iccid]
	return profile, ok
}

// close ends every peer that was started.
func (p *peers) close() {
	p.hardware.close()
	if p.networks != nil {
		p.networks.Close()
	}
	for _, r := range p.readers {
		if r != nil {
			_ = r.Close()
		}
	}
	for _, b := range p.banks {
		b.Close()
	}
	if p.mesh != nil {
		p.mesh.Close()
	}
	if p.server != nil {
		p.server.Close()
	}
	if p.broker != nil {
		_ = p.broker.Close()
	}
}

func (p *peers) socket() string { return filepath.Join(p.dir, "ubus.sock") }

// plug puts a new software card into a bank's slot.
func (p *peers) plug(c cardSpec) error {
	bank := p.banks[c.bank]
	if bank == nil {
		return fmt.Errorf("there is no bank %d", c.bank)
	}
	profile := cardfake.Default()
	profile.ICCID, profile.IMSI = model.ICCID(c.iccid), c.imsi
	if err := profile.Check(); err != nil {
		return err
	}
	card := cardfake.New(profile)
	p.cards[[2]int{c.bank, c.slot}] = card
	p.mu.Lock()
	p.profile[c.iccid] = profile
	p.mu.Unlock()
	bank.Insert(c.slot, card)
	return nil
}

// configure writes the UCI file of a router that lives in this world.
func (p *peers) configure(w *world) error {
	var b strings.Builder
	fmt.Fprintf(&b, "config remsim 'main'\n\toption enabled '1'\n\toption device_id '%s'\n\n", w.router)
	for _, m := range w.modems {
		b.WriteString(p.section(m))
	}
	if p.server != nil {
		fmt.Fprintf(&b, "config server\n\toption host '127.0.0.1'\n\toption port '%d'\n\toption tls '0'\n\n", p.server.Port())
	}
	b.WriteString(w.failover.section())
	if err := os.MkdirAll(p.configDir(), 0o755); err != nil {
		return err
	}
	if p.web { // LuCI's own form.js reads its settings
		text := "config core 'main'\n\toption lang 'auto'\n"
		if err := os.WriteFile(filepath.Join(p.configDir(), "luci"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(p.configDir(), "remsim"), []byte(b.String()), 0o644)
}

// section is the UCI text of one modem.
func (p *peers) section(m modemSpec) string {
	text := fmt.Sprintf("config modem '%s'\n\toption role 'iot'\n\toption source 'local'\n\toption front 'none'\n", m.name)
	if m.remote {
		text = fmt.Sprintf("config modem '%s'\n\toption role 'primary'\n\toption source 'remote'\n\toption front 'vpcd'\n\toption front_device '%s'\n"+
			"\toption client_id '%d'\n\toption client_slot '%d'\n", m.name, p.readers[m.name].Addr(), m.client, m.slot)
	}
	if p.hardware != nil && p.hardware.boards[m.name] != nil {
		text += p.hardware.boards[m.name].options()
	}
	return text + "\n"
}

func (p *peers) configDir() string { return filepath.Join(p.dir, "config") }

// do carries out one command of a world, or of a test: the words after `do`.
func (p *peers) do(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("no command is given")
	}
	f := fields{words: words[1:]}
	var act func() error
	switch words[0] {
	case "assign", "unassign":
		act = p.assign(words[0] == "assign", &f)
	case "bank":
		act = p.bankCommand(&f)
	case "server":
		act = p.serverCommand(&f)
	case "broker":
		act = p.brokerCommand(&f)
	case "ionmesh":
		act = p.meshCommand(&f)
	case "plug":
		c := f.card()
		act = func() error { return p.plug(c) }
	case "unplug":
		f.expect("bank")
		bank := f.number()
		f.expect("slot")
		slot := f.number()
		act = func() error { return p.onBank(bank, func(b *rsprofake.Bank) error { b.Remove(slot); return nil }) }
	case "interface":
		act = p.interfaceCommand(&f)
	case "link":
		act = p.linkCommand(&f)
	case "modemmanager", "signal", "network", "sim", "pincode":
		act = p.hardwareCommand(words[0], &f)
	default:
		return fmt.Errorf("%q is not one of assign, unassign, bank, server, broker, ionmesh, plug, unplug, link, interface, modemmanager, signal, network, sim, pincode", words[0])
	}
	if err := f.end(); err != nil {
		return err
	}
	return act()
}

// assign makes or removes a slot map, as an operator does at the server.
func (p *peers) assign(on bool, f *fields) func() error {
	var client model.ClientSlot
	if on {
		f.expect("client")
		client.ID = uint16(f.number())
		f.expect("slot")
		client.Slot = uint16(f.number())
	}
	f.expect("bank")
	bank := model.BankSlot{ID: uint16(f.number())}
	f.expect("slot")
	bank.Slot = uint16(f.number())
	if !on {
		return func() error { return p.server.RemoveMap(bank) }
	}
	return func() error {
		if b := p.banks[int(bank.ID)]; b != nil {
			p.server.SetBankPort(bank.ID, b.Port())
		}
		// A map that was just removed is gone when its bank has said so.
		err := p.server.AddMap(bank, client)
		for tries := 0; err != nil && tries < 50; tries++ {
			time.Sleep(100 * time.Millisecond)
			err = p.server.AddMap(bank, client)
		}
		return err
	}
}

func (p *peers) onBank(id int, act func(b *rsprofake.Bank) error) error {
	b := p.banks[id]
	if b == nil {
		return fmt.Errorf("there is no bank %d", id)
	}
	return act(b)
}

func (p *peers) bankCommand(f *fields) func() error {
	id := 1
	verb := f.word()
	if verb == "drop" { // what comes from a host: the bank found it dead
		host := f.word()
		return func() error { return p.onBank(id, func(b *rsprofake.Bank) error { b.Drop(host); return nil }) }
	}
	if len(f.words) > 0 {
		id = f.number()
	}
	acts := map[string]func(b *rsprofake.Bank) error{
		"stop":    func(b *rsprofake.Bank) error { b.Stop(); return nil },
		"start":   func(b *rsprofake.Bank) error { return b.Start() },
		"restart": func(b *rsprofake.Bank) error { return b.Restart() },
		"cut":     func(b *rsprofake.Bank) error { b.Cut(true); return nil },
		"stall":   func(b *rsprofake.Bank) error { b.Stall(true); return nil },
		"resume":  func(b *rsprofake.Bank) error { b.Stall(false); return nil },
	}
	act := acts[verb]
	if act == nil {
		f.fail("%q is not one of stop, start, restart, cut, drop, stall, resume", verb)
	}
	return func() error { return p.onBank(id, act) }
}

func (p *peers) serverCommand(f *fields) func() error {
	verb := f.word()
	if verb == "drop" {
		host := f.word()
		return func() error { p.server.Drop(host); return nil }
	}
	acts := map[string]func() error{
		"stop":    func() error { p.server.Stop(); return nil },
		"start":   func() error { return p.server.Start() },
		"restart": func() error { return p.server.Restart() },
		"cut":     func() error { p.server.Cut(true); return nil },
	}
	act := acts[verb]
	if act == nil {
		f.fail("%q is not one of stop, start, restart, cut, drop", verb)
	}
	return act
}

// linkCommand cuts the way behind a modem, so that all is lost without a word, or
// lets it work again.
func (p *peers) linkCommand(f *fields) func() error {
	name, what := f.word(), f.word()
	if !p.has(name) || what != "cut" && what != "back" {
		f.fail("%q %q: a modem's name and cut or back are needed", name, what)
	}
	return func() error { p.ways.cut(name, what == "cut"); return nil }
}

func (p *peers) brokerCommand(f *fields) func() error {
	f.expect("restart")
	return p.broker.Restart
}

// print shows every peer as text.
func (p *peers) print(w io.Writer) {
	if p.server != nil {
		fmt.Fprintln(w, p.server)
	}
	for _, b := range p.banks {
		fmt.Fprintln(w, b)
	}
	if p.mesh != nil {
		fmt.Fprintln(w, p.mesh)
	}
	if h := p.hardware; h != nil {
		fmt.Fprintln(w, h.mm, h.netifd, h.gpio)
	}
}
