package main

import (
	"fmt"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
)

// interfaceSpec is an interface of netifd over a device that really exists: a test
// made it, in a network namespace.
type interfaceSpec struct {
	name, device string
	gateways     string // apart by blanks, one a family
	addresses    []string
}

// netInterface reads `NAME device DEVICE gateways G[,G] addresses A…`.
func (f *fields) netInterface() interfaceSpec {
	s := interfaceSpec{name: f.word()}
	f.expect("device")
	s.device = f.word()
	s.take(f)
	return s
}

// take reads `gateways G[,G] addresses A…`.
func (s *interfaceSpec) take(f *fields) {
	f.expect("gateways")
	s.gateways = strings.ReplaceAll(f.word(), ",", " ")
	f.expect("addresses")
	s.addresses, f.words = f.words, nil
	if len(s.addresses) == 0 {
		f.fail("interface %s has no addresses", s.name)
	}
}

// startNetworks makes a netifd with the interfaces of the world.
func (p *peers) startNetworks(w *world) (err error) {
	if p.hardware != nil {
		return fmt.Errorf("a world has hardware, with interfaces of its own, or interfaces")
	}
	if p.networks, err = netifdfake.Start(p.socket()); err != nil {
		return err
	}
	for _, s := range w.interfaces {
		if err := p.networks.Add(netifdfake.Config{Name: s.name, L3: s.device, Device: s.device, Gateway: s.gateways, Addresses: s.addresses}); err != nil {
			return err
		}
	}
	return nil
}

// interfaceCommand has netifd say that an interface is up or down, or what it has:
//
//	interface NAME up|down
//	interface NAME gateways G[,G] addresses A…
func (p *peers) interfaceCommand(f *fields) func() error {
	if p.networks == nil {
		f.fail("this world has no interfaces")
	}
	s := interfaceSpec{name: f.word()}
	if len(f.words) == 1 {
		up := f.word()
		if up != "up" && up != "down" {
			f.fail("%q is not one of up, down", up)
		}
		return func() error { p.networks.SetAvailable(s.name, up == "up"); return nil }
	}
	s.take(f)
	return func() error { p.networks.SetAddresses(s.name, s.addresses, s.gateways, nil); return nil }
}
