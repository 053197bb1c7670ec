package rsprofake

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// ServerConfig is how a fake server starts.
type ServerConfig struct {
	Addr  string            // where to listen; default 127.0.0.1:0
	Name  string            // host name in its identity; default "fake-server"
	TLS   *tls.Config       // nil: clear text, as the real one
	Ping  time.Duration     // default 30 s, as the real one
	Trace func(line string) // told every message, in words; may be nil
}

type mapState string

const (
	mapNew      mapState = "NEW"
	mapUnacked  mapState = "UNACKNOWLEDGED"
	mapActive   mapState = "ACTIVE"
	mapDeleting mapState = "DELETING"
)

type slotMap struct {
	bank   model.BankSlot
	client model.ClientSlot
	state  mapState
}

// told is what a client was last told about its bank.
type told struct {
	bank model.BankSlot
	ip   string
	port int64
}

type bankLink struct {
	link *link
	ip   net.IP
}

// Server is a fake remsim-server. Its slot maps live in memory only, as the real
// one's do.
type Server struct {
	cfg ServerConfig
	listener

	state struct {
		sync.Mutex
		maps    []*slotMap
		clients map[model.ClientSlot]*link
		told    map[model.ClientSlot]told
		banks   map[uint16]bankLink
		ports   map[uint16]uint16 // where a bank really listens
		wrongs  []string
		refuse  rspro.ResultCode
		claim   rspro.ComponentType
		greet   []byte
		quiet   bool // takes connections, answers nothing
	}
	stall gateway
}

// StartServer starts a fake server.
func StartServer(cfg ServerConfig) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Name == "" {
		cfg.Name = "fake-server"
	}
	if cfg.Ping == 0 {
		cfg.Ping = pingInterval
	}
	if cfg.Trace == nil {
		cfg.Trace = func(string) {}
	}
	s := &Server{cfg: cfg, listener: listener{addr: cfg.Addr, tls: cfg.TLS}}
	s.state.claim = rspro.RemsimServer
	s.state.ports = map[uint16]uint16{}
	s.forget()
	return s, s.Start()
}

func (s *Server) forget() {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.maps = nil
	s.state.clients = map[model.ClientSlot]*link{}
	s.state.told = map[model.ClientSlot]told{}
	s.state.banks = map[uint16]bankLink{}
}

// Start listens again after Stop, on the same address.
func (s *Server) Start() error {
	return s.start(func() func(net.Conn) { return s.serve })
}

// Stop closes the listener and every connection with FIN, and forgets all maps.
func (s *Server) Stop() {
	s.stop()
	s.forget()
}

// Restart is Stop and Start: the maps are gone, the address stays.
func (s *Server) Restart() error {
	s.Stop()
	return s.Start()
}

// Close stops for good and waits for every goroutine.
func (s *Server) Close() {
	s.Stall(false)
	s.Stop()
	s.done.Wait()
}

// Addr is where the server listens, host:port.
func (s *Server) Addr() string { return s.address() }

// Port is where the server listens.
func (s *Server) Port() uint16 { return portOf(s.address()) }

// SetBankPort makes the server announce a port for a bank; the real one always
// announces 9999.
func (s *Server) SetBankPort(bank, port uint16) {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.ports[bank] = port
}

// AddMap maps a client slot to a bank slot, as POST /slotmaps does: it refuses a
// bank slot or a client slot that is already mapped, and takes banks that are
// not connected.
func (s *Server) AddMap(bank model.BankSlot, client model.ClientSlot) error {
	s.state.Lock()
	defer s.state.Unlock()
	for _, m := range s.state.maps {
		if m.bank == bank || m.client == client {
			return fmt.Errorf("map %s to %s: %s is mapped to %s already", clientSlot(client), bankSlot(bank), clientSlot(m.client), bankSlot(m.bank))
		}
	}
	m := &slotMap{bank: bank, client: client, state: mapNew}
	s.state.maps = append(s.state.maps, m)
	s.create(m)
	return nil
}

// create asks the bank for m, if it is there. Call with the lock held.
func (s *Server) create(m *slotMap) {
	if b, ok := s.state.banks[m.bank.ID]; ok {
		m.state = mapUnacked
		b.link.send(frame(&rspro.CreateMappingReq{Client: clientSlot(m.client), Bank: bankSlot(m.bank)}))
	}
}

// RemoveMap removes the map of a bank slot, as DELETE /slotmaps does.
func (s *Server) RemoveMap(bank model.BankSlot) error {
	s.state.Lock()
	defer s.state.Unlock()
	for _, m := range s.state.maps {
		if m.bank != bank {
			continue
		}
		if b, ok := s.state.banks[bank.ID]; ok {
			m.state = mapDeleting
			b.link.send(frame(&rspro.RemoveMappingReq{Client: clientSlot(m.client), Bank: bankSlot(m.bank)}))
			return nil
		}
		s.delete(m)
		return nil
	}
	return fmt.Errorf("remove map of %s: there is none", bankSlot(bank))
}

// delete drops m and tells its client. Call with the lock held.
func (s *Server) delete(m *slotMap) {
	m.state = mapDeleting
	s.tell(m)
	s.state.maps = slices.DeleteFunc(s.state.maps, func(o *slotMap) bool { return o == m })
	delete(s.state.told, m.client)
}

// tell sends the client of m where its bank is, if that is news to it. Call with
// the lock held.
func (s *Server) tell(m *slotMap) {
	c, ok := s.state.clients[m.client]
	if !ok {
		return
	}
	ip, port := []byte{0, 0, 0, 0}, int64(0)
	if b, ok := s.state.banks[m.bank.ID]; ok && m.state != mapDeleting {
		ip, port = b.ip.To4(), bankdPort
		if p := s.state.ports[m.bank.ID]; p != 0 {
			port = int64(p)
		}
	}
	now := told{bank: m.bank, ip: string(ip), port: port}
	if s.state.told[m.client] == now {
		return
	}
	s.state.told[m.client] = now
	c.send(frame(&rspro.ConfigClientBankReq{BankSlot: bankSlot(m.bank), Bankd: rspro.IPPort{IP: rspro.IPAddress{Bytes: ip}, Port: port}}))
}

// SendConfig sends a client a bank of the caller's choice, mapped or not.
func (s *Server) SendConfig(client model.ClientSlot, bank model.BankSlot, ip net.IP, port uint16) error {
	addr := rspro.IPAddress{Bytes: ip.To4()}
	if addr.Bytes == nil {
		addr = rspro.IPAddress{V6: true, Bytes: ip.To16()}
	}
	return s.Send(client, &rspro.ConfigClientBankReq{BankSlot: bankSlot(bank), Bankd: rspro.IPPort{IP: addr, Port: int64(port)}})
}

// Send sends any message to a client.
func (s *Server) Send(client model.ClientSlot, m rspro.Message) error {
	return s.SendRaw(client, frame(m))
}

// SendRaw writes bytes to a client as they are: bad BER, HTTP, half a frame.
func (s *Server) SendRaw(client model.ClientSlot, b []byte) error {
	s.state.Lock()
	defer s.state.Unlock()
	c, ok := s.state.clients[client]
	if !ok {
		return fmt.Errorf("send to %s: it is not connected", clientSlot(client))
	}
	c.send(b)
	return nil
}

// SendBadBER sends a client a frame that does not decode.
func (s *Server) SendBadBER(client model.ClientSlot) error { return s.SendRaw(client, badBER()) }

// SendHTTP sends a client what a web server would answer.
func (s *Server) SendHTTP(client model.ClientSlot) error {
	return s.SendRaw(client, []byte(httpAnswer))
}

// Refuse makes the server answer new clients with a result; ok ends it.
func (s *Server) Refuse(r rspro.ResultCode) {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.refuse = r
}

// Claim makes the server introduce itself as another kind of program.
func (s *Server) Claim(t rspro.ComponentType) {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.claim = t
}

// GreetHTTP makes the server answer every new connection as a web server does.
func (s *Server) GreetHTTP(on bool) {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.greet = nil
	if on {
		s.state.greet = []byte(httpAnswer)
	}
}

// Quiet makes the server take connections and answer nothing at all.
func (s *Server) Quiet(on bool) {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.quiet = on
}

// Stall makes the server stop handling what it reads, PING included.
func (s *Server) Stall(on bool) { s.stall.set(on) }

// Cut closes every connection, with FIN or RST.
func (s *Server) Cut(rst bool) { s.cut(rst) }

// Drop closes every connection that comes from a host, as if it were found dead.
func (s *Server) Drop(host string) { s.dropFrom(host) }

// Clients lists the clients that are registered.
func (s *Server) Clients() []model.ClientSlot {
	s.state.Lock()
	defer s.state.Unlock()
	var out []model.ClientSlot
	for c := range s.state.clients {
		out = append(out, c)
	}
	return out
}

// HasBank tells whether a bank is registered.
func (s *Server) HasBank(id uint16) bool {
	s.state.Lock()
	defer s.state.Unlock()
	_, ok := s.state.banks[id]
	return ok
}

// Wrongs lists what clients did that kills or confuses the real server.
func (s *Server) Wrongs() []string {
	s.state.Lock()
	defer s.state.Unlock()
	return slices.Clone(s.state.wrongs)
}

func (s *Server) wrong(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.state.Lock()
	s.state.wrongs = append(s.state.wrongs, line)
	s.state.Unlock()
	s.cfg.Trace("server: WRONG: " + line)
}

// String prints maps, clients and banks.
func (s *Server) String() string {
	s.state.Lock()
	defer s.state.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "server %s\n", s.address())
	for id, l := range s.state.banks {
		fmt.Fprintf(&b, "  bank B%d at %s\n", id, l.ip)
	}
	for c := range s.state.clients {
		fmt.Fprintf(&b, "  client %s\n", clientSlot(c))
	}
	for _, m := range s.state.maps {
		fmt.Fprintf(&b, "  map %s - %s %s\n", clientSlot(m.client), bankSlot(m.bank), m.state)
	}
	return b.String()
}

// serve runs one connection, of a client or a bank.
func (s *Server) serve(c net.Conn) {
	s.state.Lock()
	greet, quiet := bytes.Clone(s.state.greet), s.state.quiet
	s.state.Unlock()
	if greet != nil {
		_, _ = c.Write(greet)
		return
	}
	l := newLink(c, s.cfg.Ping)
	p := &serverPeer{s: s, link: l, name: "?"}
	defer p.gone()
	if quiet {
		_ = l.discard()
		return
	}
	err := l.run(&s.stall, p.handle)
	s.cfg.Trace(fmt.Sprintf("server: %s gone: %v", p.name, err))
}

func portOf(addr string) uint16 {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return 0
	}
	return uint16(a.Port)
}
