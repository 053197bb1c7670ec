// Package vpcdfake plays pcscd with vsmartcard's driver: one reader that listens on
// a port, sees a card when something connects, powers it and sends it APDUs. It does what
// vpcd.c does (one exchange at a time, no time limit of its own, Nagle's algorithm on,
// an empty reader once a read fails) and nothing that only a PC/SC program would.
package vpcdfake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// ErrNoCard: nothing is in the reader, or it went away during the exchange.
var ErrNoCard = errors.New("no card in the reader")

// pollTime is how often the reader looks for a card. pcscd's is 400 ms.
const pollTime = 10 * time.Millisecond

// Control bytes of the protocol.
const (
	off   = 0
	on    = 1
	reset = 2
	atr   = 4
)

// Reader is a reader of the fake pcscd. Its methods may be called from any
// goroutine; they wait for each other.
type Reader struct {
	ln *net.TCPListener

	mu  sync.Mutex // one exchange at a time
	in  [2 + 0xFFFF]byte
	out []byte

	connMu sync.Mutex // guards conn alone: Drop waits for no exchange
	conn   *net.TCPConn
}

// Listen opens the reader's port, "127.0.0.1:0" for a free one.
func Listen(address string) (*Reader, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open fake reader: %w", err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		_ = ln.Close()
		return nil, fmt.Errorf("open fake reader: %s is no TCP address", address)
	}
	return &Reader{ln: tcp}, nil
}

// Addr is where a card connects.
func (r *Reader) Addr() string { return r.ln.Addr().String() }

// Close takes the reader away, and with it the card's power. Like Drop it waits for
// nothing.
func (r *Reader) Close() error {
	err := r.ln.Close()
	r.Drop()
	return err
}

// Drop closes the connection to the card at once, as a pcscd that is killed does, and
// so ends an exchange that waits for an answer. The reader listens on.
func (r *Reader) Drop() {
	r.connMu.Lock()
	defer r.connMu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close()
		r.conn = nil
	}
}

// WaitCard waits for a card that tells its ATR.
func (r *Reader) WaitCard(ctx context.Context) ([]byte, error) {
	for {
		if b, err := r.ATR(ctx); err == nil {
			return b, nil
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("wait for a card: %w", err)
		}
	}
}

// WaitNoCard waits for the reader to be empty.
func (r *Reader) WaitNoCard(ctx context.Context) error {
	for {
		if _, err := r.ATR(ctx); errors.Is(err, ErrNoCard) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for the card to go: %w", err)
		}
	}
}

// ATR asks for the ATR, which is also how pcscd looks whether a card is there.
func (r *Reader) ATR(ctx context.Context) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.accept(); err != nil {
		return nil, err
	}
	return r.exchange(ctx, []byte{atr})
}

// PowerOn activates the card and returns its ATR.
func (r *Reader) PowerOn(ctx context.Context) ([]byte, error) { return r.activate(ctx, on) }

// Reset resets the card warm and returns its ATR.
func (r *Reader) Reset(ctx context.Context) ([]byte, error) { return r.activate(ctx, reset) }

// PowerOff takes the card's power away. The protocol has no answer to it.
func (r *Reader) PowerOff(ctx context.Context) error {
	return r.Write(ctx, []byte{0, 1, off})
}

// Transmit sends a command APDU and returns the answer.
func (r *Reader) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exchange(ctx, apdu)
}

// Write sends bytes as they are, in one write, and waits for nothing.
func (r *Reader) Write(ctx context.Context, raw []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.guard(ctx, func(c *net.TCPConn) error {
		_, err := c.Write(raw)
		return err
	})
}

// String says what is in the reader.
func (r *Reader) String() string {
	c := r.current()
	if c == nil {
		return fmt.Sprintf("reader %s: empty", r.Addr())
	}
	return fmt.Sprintf("reader %s: card from %s", r.Addr(), c.RemoteAddr())
}

// current is the connection to the card, nil if there is none.
func (r *Reader) current() *net.TCPConn {
	r.connMu.Lock()
	defer r.connMu.Unlock()
	return r.conn
}

func pause(ctx context.Context) error {
	t := time.NewTimer(pollTime)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// activate sends a control byte and then, in a write of its own, asks for the ATR.
func (r *Reader) activate(ctx context.Context, code byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.guard(ctx, func(c *net.TCPConn) error {
		_, err := c.Write([]byte{0, 1, code})
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.exchange(ctx, []byte{atr})
}

// accept takes a waiting connection if the reader is empty. It does not wait. r.mu is
// held.
func (r *Reader) accept() error {
	if r.current() != nil {
		return nil
	}
	// A deadline in the past would refuse even a connection that waits already.
	if err := r.ln.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return fmt.Errorf("fake reader: %w", err)
	}
	c, err := r.ln.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrNoCard
	}
	if err != nil {
		return fmt.Errorf("fake reader: %w", err)
	}
	if err := c.SetNoDelay(false); err != nil {
		_ = c.Close()
		return fmt.Errorf("fake reader: %w", err)
	}
	r.connMu.Lock()
	defer r.connMu.Unlock()
	r.conn = c
	return nil
}

// exchange sends one message and reads one. r.mu is held.
func (r *Reader) exchange(ctx context.Context, payload []byte) ([]byte, error) {
	var answer []byte
	err := r.guard(ctx, func(c *net.TCPConn) error {
		r.out = binary.BigEndian.AppendUint16(r.out[:0], uint16(len(payload)))
		r.out = append(r.out, payload...)
		if _, err := c.Write(r.out); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, r.in[:2]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(r.in[:2]))
		if n == 0 {
			return errors.New("an answer of 0 bytes")
		}
		if _, err := io.ReadFull(c, r.in[2:2+n]); err != nil {
			return err
		}
		answer = append([]byte(nil), r.in[2:2+n]...)
		return nil
	})
	return answer, err
}

// guard runs do on the connection and empties the reader if that fails, or if ctx
// ends meanwhile. r.mu is held.
func (r *Reader) guard(ctx context.Context, do func(*net.TCPConn) error) error {
	c := r.current()
	if c == nil {
		return ErrNoCard
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	err := do(c)
	if err == nil {
		return nil
	}
	r.Drop()
	if ctx.Err() != nil {
		return fmt.Errorf("exchange with the card: %w", ctx.Err())
	}
	return fmt.Errorf("%w: %v", ErrNoCard, err)
}
