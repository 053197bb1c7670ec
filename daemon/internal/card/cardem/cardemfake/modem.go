package cardemfake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// What a modem finds out about its card.
var (
	// ErrNoATR: the reset stayed without an answer, as with an empty slot.
	ErrNoATR = errors.New("no answer to reset")
	// ErrMute: the waiting time ran out inside a command.
	ErrMute = errors.New("the card does not answer")
	// ErrProtocol: the card broke ISO 7816-3.
	ErrProtocol = errors.New("the card breaks the protocol")
)

// PowerOn activates the card (ISO 7816-3 §6.2.1) and returns its ATR.
func (d *Device) PowerOn(ctx context.Context) ([]byte, error) {
	d.run(func() { d.fw.vcc = true })
	return d.release(ctx)
}

// WarmReset resets the card (§6.2.3) and returns its ATR.
func (d *Device) WarmReset(ctx context.Context) ([]byte, error) {
	d.run(func() { d.fw.rst = true })
	return d.release(ctx)
}

// PowerOff deactivates the card (§6.4).
func (d *Device) PowerOff() {
	d.run(func() { d.fw.rst = true })
	d.run(func() { d.fw.vcc = false })
}

// release lets go of RST and reads the ATR.
func (d *Device) release(ctx context.Context) ([]byte, error) {
	d.run(func() { d.fw.rst = false })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.plugged || len(d.fw.wire) == 0 {
		return nil, ErrNoATR
	}
	atr := d.fw.wire
	d.fw.wire = nil
	return atr, nil
}

// PTS proposes parameters: PTSS FF, PTS0, what it announces, PCK (§9).
func (d *Device) PTS(ctx context.Context, req ...byte) error {
	d.run(func() {
		if d.fw.enabled && d.fw.state == waitTPDU {
			d.fw.selection(req)
		}
	})
	for _, want := range req {
		if b, err := d.read(ctx); err != nil || b != want {
			return fmt.Errorf("PTS: %w", errors.Join(err, ErrProtocol))
		}
	}
	return nil
}

// TPDU sends a T=0 command (five bytes, and the body of cases 3 and 4) and returns
// data and SW1 SW2. It obeys procedure bytes as ISO 7816-3 §10.3.3 has them. While the
// firmware sends NULLs it waits for ctx.
func (d *Device) TPDU(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) < 5 {
		return nil, fmt.Errorf("a command of %d bytes", len(command))
	}
	d.send(command[:5])
	body, ins := command[5:], command[1]
	le := 0
	if len(body) == 0 {
		if le = int(command[4]); le == 0 {
			le = 256
		}
	}
	var answer []byte
	for {
		pb, err := d.read(ctx)
		if err != nil {
			return answer, err
		}
		n := 0
		switch {
		case pb == 0x60:
			continue
		case pb>>4 == 6 || pb>>4 == 9:
			sw2, err := d.read(ctx)
			return append(answer, pb, sw2), err
		case pb == ins:
			n = max(len(body), le-len(answer))
		case pb == ^ins:
			n = 1
		default:
			return answer, fmt.Errorf("%w: procedure byte %02X to INS %02X", ErrProtocol, pb, ins)
		}
		if len(body) > 0 {
			d.send(body[:n])
			body = body[n:]
			continue
		}
		for range n {
			b, err := d.read(ctx)
			if err != nil {
				return answer, err
			}
			answer = append(answer, b)
		}
	}
}

// Swallow has the modem miss what the card sent.
func (d *Device) Swallow() { d.run(func() { d.fw.wire = nil }) }

// send is bytes of the modem on the line.
func (d *Device) send(b []byte) {
	d.run(func() {
		for _, c := range b {
			if d.plugged {
				d.fw.receive(c)
			}
		}
	})
}

// read waits for a byte of the card.
func (d *Device) read(ctx context.Context) (byte, error) {
	half := time.NewTimer(nullTime)
	defer half.Stop()
	for {
		d.mu.Lock()
		if w := &d.fw; d.plugged && len(w.wire) > 0 {
			b := w.wire[0]
			w.wire = w.wire[1:]
			d.mu.Unlock()
			return b, nil
		}
		if !d.plugged || d.fw.silent() {
			d.mu.Unlock()
			return 0, ErrMute
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-half.C:
			d.run(d.fw.halfTime)
			half.Reset(nullTime)
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting with NULLs: %w", ctx.Err())
		}
	}
}

// Wait waits until cond holds; it is asked again after every change.
func (d *Device) Wait(ctx context.Context, cond func(d *Device) bool) error {
	for {
		changed := d.Changed()
		if cond(d) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", d, ctx.Err())
		}
	}
}

// Attached tells whether the emulation is on and the host is told of edges.
func (d *Device) Attached() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fw.enabled && d.fw.features&cardem.FeatureStatusIRQ != 0
}

// ATR is what the next reset will be answered with.
func (d *Device) ATR() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]byte{}, d.fw.atr...)
}
