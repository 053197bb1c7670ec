package ubusfake

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// peer is one connection. All but nc, raw, wake, gone and the credentials is
// guarded by Broker.mu.
type peer struct {
	b           *Broker
	nc          *net.UnixConn
	raw         syscall.RawConn
	id          uint32
	trusted     bool // passes every access check
	uid, gid    uint32
	user, group string

	wake chan struct{} // there is something to flush
	gone chan struct{} // closed with the connection

	closed  bool
	gate    chan struct{} // not nil: stalled until it closes
	objects []*object     // newest first
	out     [][]byte      // what is left of frames that did not fit the socket
	queued  int           // bytes in out
	lookups []*lookup     // wait until out is empty
}

func newPeer(b *Broker, nc *net.UnixConn) (*peer, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	if credErr != nil {
		return nil, credErr
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10))
	if err != nil {
		return nil, fmt.Errorf("client's user: %w", err)
	}
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(cred.Gid), 10))
	if err != nil {
		return nil, fmt.Errorf("client's group: %w", err)
	}
	return &peer{
		b: b, nc: nc, raw: raw, uid: cred.Uid, gid: cred.Gid, user: u.Username, group: g.Name,
		trusted: cred.Uid == 0 || int(cred.Uid) == os.Geteuid(),
		wake:    make(chan struct{}, 1), gone: make(chan struct{}),
	}, nil
}

// freeID makes an id that is not in use; ids below 1024 are the broker's.
func freeID[T any](used map[uint32]T) uint32 {
	for {
		id := rand.Uint32()
		if _, taken := used[id]; id >= ubus.FirstObject && !taken {
			return id
		}
	}
}

// close hangs up; serve cleans up. Broker.mu is held.
func (p *peer) close() {
	if !p.closed {
		p.closed = true
		close(p.gone)
		p.nc.Close()
	}
}

// pass waits while the peer is stalled and for the broker's delay. It tells
// whether the connection is still there.
func (p *peer) pass() bool {
	p.b.mu.Lock()
	delay := p.b.delay
	p.b.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.gone:
			return false
		}
	}
	return p.open()
}

// open waits while the peer is stalled.
func (p *peer) open() bool {
	for {
		p.b.mu.Lock()
		gate, closed := p.gate, p.closed
		p.b.mu.Unlock()
		if closed || gate == nil {
			return !closed
		}
		select {
		case <-gate:
		case <-p.gone:
			return false
		}
	}
}

// send writes a frame as far as the socket takes it and queues the rest. What
// does not fit the queue of 1 MiB is lost without a word, as in the real
// broker. Broker.mu is held.
func (b *Broker) send(p *peer, frame []byte) {
	b.monitorFrame(p, frame)
	if p.closed {
		return
	}
	if len(p.out) == 0 && p.gate == nil {
		frame = frame[p.write(frame):]
		if len(frame) == 0 {
			return
		}
	}
	if p.queued+len(frame) > ubus.MaxMessage {
		return
	}
	p.out = append(p.out, frame)
	p.queued += len(frame)
	select {
	case p.wake <- struct{}{}:
	default: // flush knows
	}
}

// write offers bytes to the socket once, without waiting.
func (p *peer) write(frame []byte) (n int) {
	p.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), frame)
		return true
	})
	return max(n, 0)
}

// flush writes what is queued, waiting for the socket.
func (p *peer) flush() {
	for {
		select {
		case <-p.gone:
			return
		case <-p.wake:
		}
		for p.open() {
			p.b.mu.Lock()
			if len(p.out) == 0 {
				p.b.resumeLookups(p)
			}
			if len(p.out) == 0 {
				p.b.mu.Unlock()
				break
			}
			frame := p.out[0]
			p.b.mu.Unlock()
			if _, err := p.nc.Write(frame); err != nil {
				return // serve sees the end of the connection
			}
			p.b.mu.Lock()
			p.out = p.out[1:]
			p.queued -= len(frame)
			p.b.mu.Unlock()
		}
	}
}
