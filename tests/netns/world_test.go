// Package netns_test runs the real daemon on the real kernel: a router between two
// carriers, with an RSPRO server and bank, and an orchestrator, behind them, each in
// a network namespace of its own. Nothing leaves this machine. It needs root.
//
// What is simulated: the carriers (veth), the modem (a reader for PC/SC programs),
// server, bank and orchestrator (remsim-demo peers and a stand-in over HTTPS), and
// netifd, which is told of what the test does to the router's interfaces.
package netns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terminills/remsim-openwrt/tests/netrig"
	"github.com/terminills/remsim-openwrt/tests/rig"
)

// path is one of the router's two ways: interface, device and carrier.
type path struct {
	name    string // of netifd's interface and of the link
	device  string // in the router
	number  int
	host    string // the router's last byte of the address
	carrier *netrig.Space
	delay   *delay
}

// addresses are what the router has on the path.
func (p *path) addresses() (four, six string) {
	return fmt.Sprintf("10.%d.0.%s/24", p.number, p.host), fmt.Sprintf("fd00:%d::%s/64", p.number, p.host)
}

// four is its IPv4 address there.
func (p *path) four() string { return fmt.Sprintf("10.%d.0.%s", p.number, p.host) }

func (p *path) gateways() (four, six string) {
	return fmt.Sprintf("10.%d.0.1", p.number), fmt.Sprintf("fd00:%d::1", p.number)
}

// peer is where server and bank listen, orchestra the orchestrator.
const (
	peer      = "198.51.100.1"
	orchestra = "203.0.113.1"
)

// world is everything.
type world struct {
	*testing.T
	router, net, bank, orchestrator *netrig.Space
	paths                           map[string]*path
	far, near, slot                 *rig.Peers // server and bank; ubus and netifd; the modem's card slot
	daemon                          *rig.Daemon
	beats                           *beats
	cuts                            int // made so far
}

// newWorld makes the namespaces and their routes, then starts all programs.
func newWorld(t *testing.T, detect string) *world {
	t.Helper()
	netrig.Need(t, "nft", "nsenter")
	w := &world{T: t, paths: make(map[string]*path)}
	w.router, w.net = netrig.New(t, "router"), netrig.New(t, "net")
	w.bank, w.orchestrator = netrig.New(t, "bank"), netrig.New(t, "orchestrator")
	w.forward(w.net)
	for n, name := range []string{"wan", "iot"} {
		w.paths[name] = w.newPath(name, n+1)
	}
	w.host(w.bank, "bank", peer, "2001:db8:b::1")
	w.host(w.orchestrator, "orch", orchestra, "2001:db8:c::1")
	w.beats = newBeats(w)
	w.start(detect)
	return w
}

func (w *world) forward(s *netrig.Space) {
	s.Set("ipv4/ip_forward", "1")
	s.Set("ipv6/conf/all/forwarding", "1")
}

// newPath makes a carrier between router and net.
func (w *world) newPath(name string, number int) *path {
	p := &path{name: name, device: name + "0", number: number, host: "2", carrier: netrig.New(w, name)}
	w.forward(p.carrier)
	netrig.Wire(w, w.router, p.device, p.carrier, "in")
	netrig.Wire(w, p.carrier, "out", w.net, name)
	gw4, gw6 := p.gateways()
	p.carrier.Run(fmt.Sprintf(`ip addr add %[1]s/24 dev in
		ip addr add %[2]s/64 dev in nodad
		ip addr add 172.16.%[3]d.2/24 dev out
		ip addr add fd01:%[3]d::2/64 dev out nodad
		ip route add default via 172.16.%[3]d.1
		ip route add default via fd01:%[3]d::1`, gw4, gw6, number))
	w.net.Run(fmt.Sprintf(`ip addr add 172.16.%[1]d.1/24 dev %[2]s
		ip addr add fd01:%[1]d::1/64 dev %[2]s nodad
		ip route add 10.%[1]d.0.0/24 via 172.16.%[1]d.2
		ip route add fd00:%[1]d::/64 via fd01:%[1]d::2`, number, name))
	w.configure(p)
	p.delay = newDelay(w, p.carrier, late)
	return p
}

// configure gives the router its addresses and main routes on a path, as netifd does.
func (w *world) configure(p *path) {
	four, six := p.addresses()
	gw4, gw6 := p.gateways()
	w.router.Run(fmt.Sprintf(`ip addr replace %[1]s dev %[3]s
		ip addr replace %[2]s dev %[3]s nodad
		ip route replace default via %[4]s dev %[3]s metric %[6]d
		ip route replace default via %[5]s dev %[3]s metric %[6]d`, four, six, p.device, gw4, gw6, 10*p.number))
}

// host attaches a host to net.
func (w *world) host(s *netrig.Space, device, four, six string) {
	netrig.Wire(w, s, "eth0", w.net, device)
	gw4, gw6 := four[:strings.LastIndex(four, ".")]+".254", six[:strings.LastIndex(six, ":")]+":fe"
	s.Run(fmt.Sprintf("ip addr add %[1]s/24 dev eth0\nip addr add %[2]s/64 dev eth0 nodad\nip route add default via %[3]s\nip route add default via %[4]s", four, six, gw4, gw6))
	w.net.Run(fmt.Sprintf("ip addr add %s/24 dev %s\nip addr add %s/64 dev %s nodad", gw4, device, gw6, device))
}

// start starts the peers behind the carriers, those in the router, and the daemon.
func (w *world) start(detect string) {
	dir := rig.Dir(w.T)
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			w.Fatal(err)
		}
		return name
	}
	w.far = rig.StartPeersIn(w, w.bank.File(), file("far", `router far
listen `+peer+`
server
bank 1 slots 4
card bank 1 slot 2 iccid 8988211000000000011 imsi 001010123456789
`))
	near := "router near\n"
	for _, p := range []*path{w.paths["wan"], w.paths["iot"]} {
		near += fmt.Sprintf("interface %s device %s %s\n", p.name, p.device, p.told())
	}
	w.near = rig.StartPeersIn(w, w.router.File(), file("near", near))
	// A process of its own: a modem that waits for its card does not hold up netifd.
	w.slot = rig.StartPeersIn(w, w.router.File(), file("slot", "router slot\nmodem primary client 7 slot 1\n"))
	w.daemon = rig.StartDaemon(w, rig.DaemonOptions{
		Bus: &rig.Bus{Socket: w.near.Ubus}, Build: rig.Checked, Net: w.router.File(),
		UCI: fmt.Sprintf(`
config remsim 'main'
	option enabled '1'
config modem 'primary'
	option role 'primary'
	option source 'remote'
	option front 'vpcd'
	option front_device '%s'
	option client_id '7'
	option client_slot '1'
	option card_cache 'off'
config link 'wan'
	option network 'wan'
config link 'iot'
	option network 'iot'
	option metered '1'
	option user_traffic 'never'
config server
	option host '%s'
	option tls '0'
	option allow_insecure '1'
config bank
	option bank_id '1'
	option tls '0'
	option allow_insecure '1'
config failover 'failover'
	list control_path 'iot'
	list control_path 'wan'
	option detect '%s'
	option hold '%d'
`, w.slot.Readers["primary"], peer, detect, int(hold.Seconds())),
	})
}

// hold is how long a recovered link must stay good: shortened, to see a return.
const hold = 3 * time.Second

// told is how netifd is told of a path.
func (p *path) told() string {
	four, six := p.addresses()
	gw4, gw6 := p.gateways()
	return fmt.Sprintf("gateways %s,%s addresses %s %s", gw4, gw6, four, six)
}
