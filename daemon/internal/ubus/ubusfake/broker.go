// Package ubusfake is a message broker that speaks ubusd's wire, for tests and
// demonstrations where there is no ubusd. It answers as the real one does,
// faults included, and can be driven: restarted, stalled, slowed down, its
// connections dropped. It is never part of a router program.
//
// It has no access lists: its own user may do everything, as root may with the
// real one, and every other user may do nothing.
package ubusfake

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// ErrNoPeer: no connection has that client id.
var ErrNoPeer = errors.New("no such client")

// Broker is a running broker. All its state is guarded by mu, and messages are
// handled one at a time, as in the real one.
type Broker struct {
	path string
	wg   sync.WaitGroup

	mu       sync.Mutex
	ln       *net.UnixListener
	delay    time.Duration
	peers    map[uint32]*peer
	objects  map[uint32]*object
	paths    map[string]*object
	types    map[uint32]*objectType
	patterns []*pattern
	monitors []*monitor
	eventSeq uint16
}

// Start listens on a socket path and serves until Close.
func Start(socketPath string) (*Broker, error) {
	b := &Broker{path: socketPath}
	if err := b.listen(); err != nil {
		return nil, err
	}
	return b, nil
}

// Path is the socket path.
func (b *Broker) Path() string { return b.path }

func (b *Broker) listen() error {
	if err := os.Remove(b.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start broker: %w", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: b.path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	if err := os.Chmod(b.path, 0o666); err != nil {
		ln.Close()
		return fmt.Errorf("start broker: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ln = ln
	b.peers = map[uint32]*peer{}
	b.objects = map[uint32]*object{}
	b.paths = map[string]*object{}
	b.types = map[uint32]*objectType{}
	b.patterns, b.monitors, b.eventSeq = nil, nil, 0
	b.wg.Go(func() { b.accept(ln) })
	return nil
}

// Halt closes the socket and every connection and forgets all objects, as if
// the broker had been killed. Restart brings it back.
func (b *Broker) Halt() {
	b.mu.Lock()
	if b.ln != nil {
		b.ln.Close() // removes the socket, too
		b.ln = nil
	}
	for _, p := range b.peers {
		p.close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

// Restart is Halt and a new start on the same path, with no object known.
func (b *Broker) Restart() error {
	b.Halt()
	return b.listen()
}

// Close ends the broker.
func (b *Broker) Close() error {
	b.Halt()
	return nil
}

func (b *Broker) accept(ln *net.UnixListener) {
	for {
		nc, err := ln.AcceptUnix()
		if err != nil {
			return
		}
		p, err := newPeer(b, nc)
		if err != nil { // a user without a name: the real one hangs up, too
			nc.Close()
			continue
		}
		b.mu.Lock()
		if b.ln != ln { // halted meanwhile
			b.mu.Unlock()
			nc.Close()
			return
		}
		p.id = freeID(b.peers)
		b.peers[p.id] = p
		b.wg.Go(func() { b.serve(p) })
		b.wg.Go(p.flush)
		b.send(p, ubus.Begin(nil, ubus.MsgHello, 0, p.id).Frame())
		b.mu.Unlock()
	}
}

// serve reads one connection to its end.
func (b *Broker) serve(p *peer) {
	rd := ubus.NewReader(p.nc, ubus.MaxMessage)
	for {
		m, err := rd.Next()
		if err != nil {
			break
		}
		if !p.pass() {
			break
		}
		b.mu.Lock()
		b.monitor(p, m, false)
		b.handle(p, m)
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.close()
	b.disconnect(p)
}

// Peer describes a connection.
type Peer struct {
	ID          uint32
	User, Group string
	Objects     []string // paths, sorted; objects without one are left out
	Queued      int      // bytes that wait to be written
	Stalled     bool
}

// Peers lists the connections by client id.
func (b *Broker) Peers() []Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Peer, 0, len(b.peers))
	for _, p := range b.peers {
		info := Peer{ID: p.id, User: p.user, Group: p.group, Queued: p.queued, Stalled: p.gate != nil}
		for _, o := range p.objects {
			if o.hasPath {
				info.Objects = append(info.Objects, o.path)
			}
		}
		slices.Sort(info.Objects)
		list = append(list, info)
	}
	slices.SortFunc(list, func(x, y Peer) int { return int(int64(x.ID) - int64(y.ID)) })
	return list
}

// Owner returns the client id of the connection that has published a path.
func (b *Broker) Owner(path string) (id uint32, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.paths[path]
	if o == nil {
		return 0, false
	}
	return o.owner.id, true
}

// Stall stops reading from and writing to a connection until Resume.
func (b *Broker) Stall(id uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[id]
	if p == nil {
		return ErrNoPeer
	}
	if p.gate == nil {
		p.gate = make(chan struct{})
	}
	return nil
}

// Resume ends a Stall.
func (b *Broker) Resume(id uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[id]
	if p == nil {
		return ErrNoPeer
	}
	if p.gate != nil {
		close(p.gate)
		p.gate = nil
	}
	return nil
}

// Drop closes a connection, or all with id 0.
func (b *Broker) Drop(id uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id == 0 {
		for _, p := range b.peers {
			p.close()
		}
		return nil
	}
	p := b.peers[id]
	if p == nil {
		return ErrNoPeer
	}
	p.close()
	return nil
}

// Delay makes every message wait this long before it is handled.
func (b *Broker) Delay(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay = d
}

// Print writes the objects, their methods and subscribers as `ubus -v list`
// does, and then the event patterns.
func (b *Broker) Print(w io.Writer) error {
	_, err := io.WriteString(w, b.String())
	return err
}
