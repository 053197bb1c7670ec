// Package ionmeshfake is an orchestrator as the original project specifies it, with
// the additions of the contract: a fake that gives cards from pools, keeps leases
// and epochs, and can misbehave in every way that a network and an old server
// know. It speaks the real wire on any listener.
package ionmeshfake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// Options make an orchestrator.
type Options struct {
	// TLS serves with it; nil: clear text.
	TLS *tls.Config
	// APIKey is asked for; "": none is.
	APIKey string
	// Tenants are those that exist; none: every one does.
	Tenants []int
	// Capabilities are announced and obeyed: lean-beat, lease, commands. An
	// orchestrator without any is one of the original project's.
	Capabilities []string
	// Lease is how long a lease lasts; 0 is an hour. Only with capability lease.
	Lease time.Duration
	// Interval is asked for; 0 leaves it to the router.
	Interval time.Duration
	// Skew is what its clock is wrong by.
	Skew time.Duration
	// NoKeepAlive closes the connection after each answer, as the original does.
	NoKeepAlive bool
	// Listen makes the listener at Start and after an outage; nil is a TCP port of
	// 127.0.0.1, the same each time.
	Listen func() (net.Listener, error)
}

// Card is one card that can be given away.
type Card struct {
	Bank, Slot  int
	ICCID, IMSI string
	Endpoint    string // bankd_endpoint
	Server      string // server_endpoint, "" for none
	Tenant      int
	Mode        string // mapping_mode; "" fits every one
	MCCMNC      string // "" fits every one
	Client      *[2]int
}

// client is a router as registered.
type client struct {
	id       string
	card     *Card
	epoch    int64
	leased   time.Time // end by real time; zero: no lease
	beats    int
	status   string
	stats    Stats
	seen     time.Time
	commands []Command // not fetched yet
	revoked  bool
}

// Stats are a router's, by the original project's names.
type Stats struct {
	Uptime   int64 `json:"uptime_seconds"`
	Sent     int64 `json:"tpdus_sent"`
	Received int64 `json:"tpdus_received"`
	Errors   int64 `json:"errors"`
	RSSI     int   `json:"signal_rssi"`
	RSRP     int   `json:"signal_rsrp"`
	DataRx   int64 `json:"data_rx_bytes"`
	DataTx   int64 `json:"data_tx_bytes"`
}

// Command is one for a router.
type Command struct {
	ID      string         `json:"id"`
	Name    string         `json:"command"`
	Expires float64        `json:"expires,omitempty"`
	Args    map[string]any `json:"args,omitempty"`
}

// Result is what came of one.
type Result struct {
	ClientID string
	ID       string         `json:"id"`
	Status   string         `json:"status"`
	Message  string         `json:"message"`
	Data     map[string]any `json:"data"`
}

// Fake is the orchestrator. Make it with Start.
type Fake struct {
	opts    Options
	address string

	mu       sync.Mutex
	server   *http.Server
	served   chan struct{}
	cards    []*Card
	clients  map[string]*client
	epoch    int64
	held     map[*Card]time.Time // until when a router may still use a card that it has no more
	faults   []Fault
	results  []Result
	log      []string
	leans    map[*leanPeer]struct{}
	lives    sync.WaitGroup
	changed  chan struct{} // closed at each change
	requests map[string]int
}

// Start serves.
func Start(o Options) (*Fake, error) {
	if o.Lease == 0 {
		o.Lease = time.Hour
	}
	f := &Fake{opts: o, clients: make(map[string]*client), held: make(map[*Card]time.Time), leans: make(map[*leanPeer]struct{}),
		changed: make(chan struct{}), requests: make(map[string]int)}
	return f, f.Resume()
}

// Resume serves again after an outage, with everything that it knew.
func (f *Fake) Resume() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		return errors.New("the orchestrator is running already")
	}
	listen := f.opts.Listen
	if listen == nil {
		at := f.address
		if at == "" {
			at = "127.0.0.1:0"
		}
		listen = func() (net.Listener, error) { return net.Listen("tcp", at) }
	}
	l, err := listen()
	if err != nil {
		return err
	}
	f.address = l.Addr().String()
	if f.opts.TLS != nil {
		l = tls.NewListener(l, f.opts.TLS)
	}
	f.server, f.served = &http.Server{Handler: f.handler(), ErrorLog: quiet()}, make(chan struct{})
	f.server.SetKeepAlivesEnabled(!f.opts.NoKeepAlive)
	go func(s *http.Server, served chan struct{}) {
		defer close(served)
		_ = s.Serve(l) // it ends by Stop
	}(f.server, f.served)
	return nil
}

// Stop is an outage: every connection ends and nobody listens. What it knows
// stays.
func (f *Fake) Stop() {
	f.mu.Lock()
	s, served := f.server, f.served
	f.server = nil
	var peers []*leanPeer
	for p := range f.leans {
		peers = append(peers, p)
	}
	f.mu.Unlock()
	if s == nil {
		return
	}
	_ = s.Close()
	<-served
	for _, p := range peers {
		_ = p.conn.Close()
	}
	f.lives.Wait()
}

// Restart loses every connection and nothing else.
func (f *Fake) Restart() error {
	f.Stop()
	return f.Resume()
}

// Close ends it.
func (f *Fake) Close() { f.Stop() }

// Forget loses every client, as a new database does. Epochs go on.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = make(map[string]*client)
	f.change("every client is forgotten")
}

// URL is where it serves.
func (f *Fake) URL() string {
	if f.opts.TLS != nil {
		return "https://" + f.address
	}
	return "http://" + f.address
}

// Address is host and port.
func (f *Fake) Address() string { return f.address }

// Set changes options of the running orchestrator: lease, interval, skew, key.
func (f *Fake) Set(change func(o *Options)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.opts)
}

// Add puts a card into the pool.
func (f *Fake) Add(c Card) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cards = append(f.cards, &c)
}

// View is a client as an operator sees it.
type View struct {
	ID         string
	Bank, Slot int
	Epoch      int64
	LeaseEnds  time.Time
	Beats      int
	Status     string
	Stats      Stats
	Lean       bool // it beats on a lean connection
}

// Client shows one client.
func (f *Fake) Client(id string) (View, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clients[id]
	if c == nil {
		return View{}, false
	}
	v := View{ID: id, Epoch: c.epoch, LeaseEnds: c.leased, Beats: c.beats, Status: c.status, Stats: c.stats, Bank: -1, Slot: -1}
	if c.card != nil {
		v.Bank, v.Slot = c.card.Bank, c.card.Slot
	}
	for p := range f.leans {
		v.Lean = v.Lean || p.index(id) >= 0
	}
	return v, true
}

// Results are what routers have told of commands, oldest first.
func (f *Fake) Results() []Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Result(nil), f.results...)
}

// Requests counts requests by "METHOD name", and lean beats as "beat".
func (f *Fake) Requests() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]int)
	for k, v := range f.requests {
		out[k] = v
	}
	return out
}

// Changed is closed at the next change.
func (f *Fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// change notes what happened. The mutex is held.
func (f *Fake) change(format string, args ...any) {
	if len(f.log) == 200 {
		f.log = f.log[1:]
	}
	f.log = append(f.log, fmt.Sprintf(format, args...))
	close(f.changed)
	f.changed = make(chan struct{})
}

// String shows clients and what happened last.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "orchestrator at %s: %d cards\n", f.address, len(f.cards))
	var ids []string
	for id := range f.clients {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		c := f.clients[id]
		fmt.Fprintf(&b, "  %s: epoch %d, %d beats, %s", id, c.epoch, c.beats, c.status)
		if c.card != nil {
			fmt.Fprintf(&b, ", bank %d slot %d", c.card.Bank, c.card.Slot)
		}
		b.WriteString("\n")
	}
	for _, l := range f.log[max(0, len(f.log)-20):] {
		fmt.Fprintf(&b, "  - %s\n", l)
	}
	return b.String()
}
