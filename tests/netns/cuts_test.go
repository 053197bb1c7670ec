package netns_test

import (
	"fmt"
	"time"
)

// cut is one way in which a path fails.
type cut struct {
	name string
	do   func(w *world, p *path)
	undo func(w *world, p *path)
	// silent: nobody tells; it shows only in what stays away.
	silent bool
	// heals: the path works again by itself, with other addresses.
	heals bool
}

// cuts are the kinds of Done-when 2.
var cuts = []cut{
	{name: "carrier off",
		do: func(w *world, p *path) {
			p.carrier.Run("ip link set dev in down")
			w.near.Do("interface %s down", p.name)
		},
		undo: func(w *world, p *path) {
			p.carrier.Run("ip link set dev in up")
			gw4, gw6 := p.gateways()
			p.carrier.Run(fmt.Sprintf("ip addr replace %s/24 dev in\nip addr replace %s/64 dev in nodad", gw4, gw6))
			w.configure(p)
			w.near.Do("interface %s up", p.name)
		}},
	{name: "silent drop of what is sent", silent: true,
		do:   filter(`add chain inet cut c { type filter hook prerouting priority -300; }; add rule inet cut c iifname "in" drop`),
		undo: nofilter},
	{name: "silent drop of what comes", silent: true,
		do:   filter(`add chain inet cut c { type filter hook postrouting priority 300; }; add rule inet cut c oifname "in" drop`),
		undo: nofilter},
	{name: "60 % loss", silent: true,
		do:   filter(`add chain inet cut c { type filter hook prerouting priority -300; }; add rule inet cut c iifname { "in", "out" } numgen random mod 100 < 60 drop`),
		undo: nofilter},
	{name: "5 s delay", silent: true,
		do:   func(_ *world, p *path) { p.delay.set(true) },
		undo: func(_ *world, p *path) { p.delay.set(false) }},
	{name: "address change", heals: true,
		do: func(w *world, p *path) {
			four, six := p.addresses()
			p.host = map[string]string{"2": "77", "77": "2"}[p.host]
			w.router.Run(fmt.Sprintf("ip addr del %[1]s dev %[3]s\nip addr del %[2]s dev %[3]s", four, six, p.device))
			w.configure(p)
			w.near.Do("interface %s %s", p.name, p.told())
		},
		undo: func(*world, *path) {}},
	{name: "gateway gone", silent: true,
		// Its neighbours' entries for it lead to nobody, and it answers no more.
		do: func(_ *world, p *path) {
			p.carrier.Run("ip link set dev in arp off\nip link set dev in address 02:00:00:00:00:99")
		},
		undo: func(w *world, p *path) {
			p.carrier.Run("ip link set dev in arp on")
			w.router.Run("ip neigh flush dev " + p.device)
		}},
}

func filter(rules string) func(*world, *path) {
	return func(_ *world, p *path) { p.carrier.Nft("add table inet cut; " + rules + "\n") }
}

func nofilter(_ *world, p *path) { p.carrier.Nft("delete table inet cut\n") }

// late is the delay of that cut.
const late = 5 * time.Second
