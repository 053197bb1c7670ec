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
)

// BankConfig is how a fake bank starts.
type BankConfig struct {
	Addr     string // where to listen; default 127.0.0.1:0
	ID       uint16
	Slots    int // default 8, as the real one
	MaxConns int // TCP connections at a time in all; default Slots, as the real one
	// Server is where to register; nil: nowhere, maps are made with Map.
	Server *Server
	// ServerAddr is the same for a server in another process.
	ServerAddr string
	Name       string        // host name in its identity; default "fake-bank"
	TLS        *tls.Config   // nil: clear text, as the real one
	Ping       time.Duration // towards the server; default 30 s
	Trace      func(line string)
}

// Fault is one misbehaviour of a bank.
type Fault int

// What a bank can be told to do with a command, instead of answering it.
const (
	StallAnswer Fault = iota // runs the command and never answers; nothing after it is read
	CutBefore                // FIN, the card has not seen the command
	CutAfter                 // FIN, the card has run the command
	ResetAfter               // RST, the card has run the command
	Duplicate                // the answer comes twice, in one segment
	WrongOrder               // an answer to nothing comes first, the right one behind it
	BadBER                   // a frame that does not decode
	HTTP                     // what a web server would answer
	ShortAnswer              // an answer of one byte
	LongAnswer               // an answer of 259 bytes
	WrongSlot                // the answer is addressed to another client
	Dribble                  // the answer comes one byte at a time
	Extra                    // the answer is followed by another one, in a segment of its own
)

type bankSlotState struct {
	use sync.Mutex // held while the card is called

	card   Card
	holder uint64 // connection that has the card, 0: none
}

// Bank is a fake remsim-bankd.
type Bank struct {
	cfg BankConfig
	listener
	idle chan *worker // workers that wait for a client: as many as connections are allowed

	state struct {
		sync.Mutex
		slots   []*bankSlotState
		maps    map[model.BankSlot]model.ClientSlot
		log     []Entry
		lastSeq uint64
		conns   uint64
		opening map[uint64]*conn
		faults  []Fault
		delay   time.Duration
		greet   []byte
		wrongs  []string
		refuse  bool
		stopped chan struct{} // closed by Stop
	}
	stall gateway
	tasks sync.WaitGroup
}

// worker is what survives a client in a worker thread of the real bank.
type worker struct {
	lastVCC   bool
	lastReset bool
}

// StartBank starts a fake bank without any card.
func StartBank(cfg BankConfig) (*Bank, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Slots == 0 {
		cfg.Slots = 8
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = cfg.Slots
	}
	if cfg.Name == "" {
		cfg.Name = "fake-bank"
	}
	if cfg.Ping == 0 {
		cfg.Ping = pingInterval
	}
	if cfg.Trace == nil {
		cfg.Trace = func(string) {}
	}
	b := &Bank{cfg: cfg, listener: listener{addr: cfg.Addr, tls: cfg.TLS}}
	for range cfg.Slots {
		b.state.slots = append(b.state.slots, &bankSlotState{})
	}
	return b, b.Start()
}

// Start listens again after Stop, on the same address, and registers with the
// server. The cards are still in their slots; the maps are gone.
func (b *Bank) Start() error {
	b.state.Lock()
	b.idle = make(chan *worker, b.cfg.MaxConns)
	for range b.cfg.MaxConns {
		b.idle <- &worker{lastVCC: true}
	}
	b.state.maps = map[model.BankSlot]model.ClientSlot{}
	b.state.opening = map[uint64]*conn{}
	stopped, idle := make(chan struct{}), b.idle
	b.state.stopped = stopped
	b.state.Unlock()

	// A connection needs a worker before it is accepted: with all workers busy
	// it stays in the backlog and sees nothing.
	err := b.start(func() func(net.Conn) {
		select {
		case w := <-idle:
			return func(c net.Conn) { b.serve(c, w, idle, stopped) }
		case <-stopped:
			return nil
		}
	})
	if err != nil {
		return err
	}
	if b.cfg.Server != nil {
		b.cfg.Server.SetBankPort(b.cfg.ID, b.Port())
	}
	if b.cfg.Server != nil || b.cfg.ServerAddr != "" {
		b.tasks.Go(func() { b.register(stopped) })
	}
	return nil
}

// Stop closes the listener and every connection with FIN; the cards lose power.
func (b *Bank) Stop() {
	b.state.Lock()
	if b.state.stopped != nil {
		close(b.state.stopped)
		b.state.stopped = nil
	}
	b.state.Unlock()
	b.stop()
}

// Restart is Stop and Start.
func (b *Bank) Restart() error {
	b.Stop()
	b.tasks.Wait()
	b.done.Wait()
	return b.Start()
}

// Close stops for good and waits for every goroutine.
func (b *Bank) Close() {
	b.Stall(false)
	b.Stop()
	b.tasks.Wait()
	b.done.Wait()
}

// Addr is where the bank listens, host:port.
func (b *Bank) Addr() string { return b.address() }

// Port is where the bank listens.
func (b *Bank) Port() uint16 { return portOf(b.address()) }

// Insert puts a card into a slot.
func (b *Bank) Insert(slot int, c Card) {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.slots[slot].card = c
}

// Remove takes the card out of a slot. Its holder notices with the next command.
func (b *Bank) Remove(slot int) {
	b.state.Lock()
	s := b.state.slots[slot]
	c := s.card
	s.card = nil
	b.state.Unlock()
	if c != nil {
		s.use.Lock()
		defer s.use.Unlock()
		c.PowerOff()
	}
}

// Map gives a client a slot, as createMappingReq does: older maps of either are
// removed, and their clients dropped.
func (b *Bank) Map(slot int, client model.ClientSlot) {
	b.createMap(model.BankSlot{ID: b.cfg.ID, Slot: uint16(slot)}, client)
}

// Unmap removes the map of a slot and drops its client.
func (b *Bank) Unmap(slot int) { b.removeMap(model.BankSlot{ID: b.cfg.ID, Slot: uint16(slot)}) }

func (b *Bank) createMap(bank model.BankSlot, client model.ClientSlot) {
	b.state.Lock()
	if b.state.maps[bank] == client {
		if _, ok := b.state.maps[bank]; ok {
			b.state.Unlock()
			return // "ignoring identical slotmap"
		}
	}
	b.state.Unlock()
	b.removeMap(bank)
	b.state.Lock()
	for other, c := range b.state.maps {
		if c == client {
			b.state.Unlock()
			b.removeMap(other)
			b.state.Lock()
			break
		}
	}
	b.state.maps[bank] = client
	for _, c := range b.state.opening {
		c.mapAdded(client)
	}
	b.state.Unlock()
}

// removeMap removes a map; the worker that has the slot drops its client.
func (b *Bank) removeMap(bank model.BankSlot) bool {
	b.state.Lock()
	defer b.state.Unlock()
	_, ok := b.state.maps[bank]
	delete(b.state.maps, bank)
	for _, c := range b.state.opening {
		if c.holds(bank) {
			_ = c.Close()
		}
	}
	return ok
}

// Inject makes the bank do f with the next command; several are done in order.
func (b *Bank) Inject(f ...Fault) {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.faults = append(b.state.faults, f...)
}

// Delay makes every answer wait.
func (b *Bank) Delay(d time.Duration) {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.delay = d
}

// GreetHTTP makes the bank answer every new connection as a web server does.
func (b *Bank) GreetHTTP(on bool) {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.greet = nil
	if on {
		b.state.greet = []byte(httpAnswer)
	}
}

// Stall freezes the bank: it takes connections and reads nothing.
func (b *Bank) Stall(on bool) { b.stall.set(on) }

// Cut closes every connection, with FIN or RST.
func (b *Bank) Cut(rst bool) { b.cut(rst) }

// Drop closes every connection that comes from a host, as if it were found dead.
func (b *Bank) Drop(host string) { b.dropFrom(host) }

// Wrongs lists what clients did that the real bank closes for.
func (b *Bank) Wrongs() []string {
	b.state.Lock()
	defer b.state.Unlock()
	return slices.Clone(b.state.wrongs)
}

// Entry is one thing that happened to a card.
type Entry struct {
	Sequence uint64
	Conn     uint64 // number of the connection, counted from 1
	Slot     int
	Kind     string // "tpdu", "power-on", "cold-reset", "warm-reset", "power-off"
	Command  []byte // of a tpdu
	Answer   []byte // what the card said; nil: the card did not see the command
	Sent     bool   // the answer was written to the client
}

// Log is everything that happened to the cards, in order.
func (b *Bank) Log() []Entry {
	b.state.Lock()
	defer b.state.Unlock()
	return slices.Clone(b.state.log)
}

// note adds to the log and returns the place.
func (b *Bank) note(e Entry) int {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.lastSeq++
	e.Sequence = b.state.lastSeq
	e.Command, e.Answer = bytes.Clone(e.Command), bytes.Clone(e.Answer)
	b.state.log = append(b.state.log, e)
	return len(b.state.log) - 1
}

func (b *Bank) noteSent(at int, sent bool) {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.log[at].Sent = sent
}

func (b *Bank) wrong(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	b.state.Lock()
	b.state.wrongs = append(b.state.wrongs, line)
	b.state.Unlock()
	b.trace("WRONG: %s", line)
}

func (b *Bank) trace(format string, args ...any) {
	b.cfg.Trace(fmt.Sprintf("bank B%d: %s", b.cfg.ID, fmt.Sprintf(format, args...)))
}

// Connections is how many clients are connected, and accepted.
func (b *Bank) Connections() int {
	b.state.Lock()
	defer b.state.Unlock()
	return len(b.state.opening)
}

// String prints slots, maps and connections.
func (b *Bank) String() string {
	b.state.Lock()
	defer b.state.Unlock()
	var out strings.Builder
	fmt.Fprintf(&out, "bank B%d %s, %d of %d connections\n", b.cfg.ID, b.address(), len(b.state.opening), b.cfg.MaxConns)
	for i, s := range b.state.slots {
		if s.card == nil && s.holder == 0 {
			continue
		}
		fmt.Fprintf(&out, "  slot %d: ", i)
		switch {
		case s.card == nil:
			out.WriteString("card gone")
		case s.holder == 0:
			out.WriteString("card, not powered")
		default:
			fmt.Fprintf(&out, "card, held by connection %d", s.holder)
		}
		if c, ok := b.state.maps[model.BankSlot{ID: b.cfg.ID, Slot: uint16(i)}]; ok {
			fmt.Fprintf(&out, ", mapped to %s", clientSlot(c))
		}
		out.WriteString("\n")
	}
	return out.String()
}
