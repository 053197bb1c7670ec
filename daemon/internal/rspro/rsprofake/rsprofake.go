// Package rsprofake is a fake RSPRO server and a fake bank that speak the real
// wire on TCP sockets, as osmo-remsim's remsim-server and remsim-bankd do, with
// their hard sides: a bank has one holder per card and N connections in all, never
// notices a dead peer, reads header and body in one recv each, resets the card
// on slot status edges whose last values survive clients, and powers the card
// down when its client goes. Both can be told to misbehave, and print themselves
// as text. The package never connects a modem and knows nothing about cards but
// the Card interface.
package rsprofake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// bankdPort is the port that a real server announces for every bank.
const bankdPort = 9999

// pingInterval and pongTimeout are those of the real programs.
const (
	pingInterval = 30 * time.Second
	pongTimeout  = 10 * time.Second
)

// Card is what sits in a slot of a bank. The bank calls it from one goroutine at
// a time.
type Card interface {
	// Reset powers the card up (cold) or resets it warm, and returns its ATR.
	Reset(cold bool) (atr []byte)
	// Transmit runs one T=0 command TPDU and returns data and SW1 SW2.
	Transmit(tpdu []byte) []byte
	// PowerOff takes the power away; the card forgets everything volatile.
	PowerOff()
}

// listener owns one listening address, which stays the same over restarts, and
// the connections made through it.
type listener struct {
	tls *tls.Config

	mu    sync.Mutex
	addr  string
	ln    net.Listener // nil: stopped
	conns map[net.Conn]struct{}
	done  sync.WaitGroup
}

var errStopped = errors.New("stopped")

// start listens. next is called before each accept and may block: it returns
// what serves the connection, which is closed when that returns, or nil to end.
func (l *listener) start(next func() func(net.Conn)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ln != nil {
		return nil
	}
	ln, err := net.Listen("tcp", l.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.addr, err)
	}
	l.ln, l.addr, l.conns = ln, ln.Addr().String(), map[net.Conn]struct{}{}
	l.done.Go(func() {
		for {
			serve := next()
			if serve == nil {
				return
			}
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			c := raw
			if l.tls != nil {
				c = tls.Server(raw, l.tls)
			}
			if !l.add(ln, c) {
				_ = c.Close()
				return
			}
			l.done.Go(func() {
				serve(c)
				l.drop(c)
			})
		}
	})
	return nil
}

func (l *listener) add(ln net.Listener, c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ln != ln {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

// drop closes c with FIN.
func (l *listener) drop(c net.Conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	_ = c.Close()
}

// cut closes every connection, with RST if asked to.
func (l *listener) cut(rst bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		cut(c, rst)
	}
}

// dropFrom closes the connections that come from a host, as a peer does that finds out
// that they are dead.
func (l *listener) dropFrom(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if from, _, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil && from == host {
			cut(c, false)
		}
	}
}

func cut(c net.Conn, rst bool) {
	raw := c
	if t, ok := c.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && rst {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

// stop ends listening and all connections.
func (l *listener) stop() {
	l.mu.Lock()
	ln := l.ln
	l.ln = nil
	l.mu.Unlock()
	if ln == nil {
		return
	}
	_ = ln.Close()
	l.cut(false)
}

func (l *listener) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// gateway blocks callers while it is shut.
type gateway struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open; closed when it opens again
}

// set shuts or opens the gate.
func (g *gateway) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.shut == nil:
		g.shut = make(chan struct{})
	case !shut && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
}

// wait blocks while the gate is shut; it is false if end came first.
func (g *gateway) wait(end <-chan struct{}) bool {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return true
	}
	select {
	case <-shut:
		return true
	case <-end:
		return false
	}
}

func clientSlot(s model.ClientSlot) rspro.ClientSlot {
	return rspro.ClientSlot{ClientID: int64(s.ID), SlotNr: int64(s.Slot)}
}

func bankSlot(s model.BankSlot) rspro.BankSlot {
	return rspro.BankSlot{BankID: int64(s.ID), SlotNr: int64(s.Slot)}
}

// modelClient takes a slot as the C programs do: 16 bits, the rest is lost.
func modelClient(s rspro.ClientSlot) model.ClientSlot {
	return model.ClientSlot{ID: uint16(s.ClientID), Slot: uint16(s.SlotNr)}
}

func modelBank(s rspro.BankSlot) model.BankSlot {
	return model.BankSlot{ID: uint16(s.BankID), Slot: uint16(s.SlotNr)}
}

// frame is m as one IPA frame.
func frame(m rspro.Message) []byte {
	b, err := rspro.AppendFrame(nil, m)
	if err != nil {
		panic(err) // only messages of our own making come here
	}
	return b
}

func identity(t rspro.ComponentType, name, software string) rspro.ComponentIdentity {
	return rspro.ComponentIdentity{Type: t, Name: name, Software: software, SWVersion: "fake"}
}

// connectClientRes has the one tag that is not 0 on the wire.
func connectClientRes(id rspro.ComponentIdentity, r rspro.ResultCode) []byte {
	b, err := rspro.AppendFrameTagged(nil, &rspro.PDU{Version: rspro.Version, Tag: 2342, Msg: &rspro.ConnectClientRes{Identity: id, Result: r}})
	if err != nil {
		panic(err)
	}
	return b
}

// httpAnswer is what a web server says to RSPRO.
const httpAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"

// badBER is a frame whose PDU ends inside an INTEGER.
func badBER() []byte {
	return []byte{0, 8, rspro.ProtoOSMO, rspro.ExtRSPRO, 0x30, 5, 0x80, 9, 2, 0x81, 1}
}
