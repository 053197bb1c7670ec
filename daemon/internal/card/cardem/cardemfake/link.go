package cardemfake

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// depth is how many transfers the driver keeps waiting on each pipe.
var depth = [...]int{cardem.PipeIn: 4, cardem.PipeIRQ: 8}

// stallLimit is how many stalls in a row the driver clears.
const stallLimit = 3

// Bus is a bus with these devices.
type Bus []*Device

// Discover lists those that are plugged in.
func (b Bus) Discover() (out []cardem.Found) {
	for _, d := range b {
		d.mu.Lock()
		if d.plugged {
			out = append(out, d.found())
		}
		d.mu.Unlock()
	}
	return out
}

// Open opens a device, which only one can do at a time.
func (b Bus) Open(f cardem.Found) (cardem.Link, error) {
	for _, d := range b {
		if d.config.Path == f.Path && d.config.Interface == f.Interface {
			return d.open()
		}
	}
	return nil, fmt.Errorf("open %s: %w", f, cardem.ErrGone)
}

func (d *Device) open() (cardem.Link, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.plugged:
		return nil, fmt.Errorf("open %s: %w", d.found(), cardem.ErrGone)
	case d.host != nil:
		return nil, fmt.Errorf("open %s: it is in use", d.found())
	}
	l := &link{device: d, wake: make(chan struct{}, 1)}
	l.free = depth
	d.host = l
	d.loop()
	return l, nil
}

// transfer is one that came back.
type transfer struct {
	pipe  cardem.Pipe
	bytes []byte
}

// link is a host in the same process. Its lock is taken after the device's, never
// before.
type link struct {
	device *Device
	wake   chan struct{}

	mu       sync.Mutex
	free     [2]int // transfers that wait for the device
	done     []transfer
	held     int // 1 + the pipe of the transfer that the caller reads; 0: none
	err      error
	deadline time.Time
}

func (l *link) stir() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (l *link) room(p cardem.Pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.free[p] > 0
}

func (l *link) deliver(p cardem.Pipe, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free[p]--
	l.done = append(l.done, transfer{p, b})
	l.stir()
}

// stall: what is cleared is not seen above a Link.
func (l *link) stall(_ Endpoint, times int) {
	if times > stallLimit {
		l.fail(cardem.ErrStalled)
	}
}

func (l *link) gone() { l.fail(cardem.ErrGone) }

func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.stir()
}

// Out gives the device one transfer.
func (l *link) Out(b []byte) error {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	d.take(b)
	return nil
}

// Recv waits for a transfer of the device.
func (l *link) Recv() (cardem.Pipe, []byte, error) {
	l.giveBack()
	for {
		l.mu.Lock()
		wait := time.Until(l.deadline)
		timed := !l.deadline.IsZero()
		switch {
		case len(l.done) > 0 && !errors.Is(l.err, os.ErrClosed):
			t := l.done[0]
			l.done = l.done[1:]
			l.held = 1 + int(t.pipe)
			l.mu.Unlock()
			return t.pipe, t.bytes, nil
		case l.err != nil:
			defer l.mu.Unlock()
			return 0, nil, l.err
		case timed && wait <= 0:
			l.mu.Unlock()
			return 0, nil, os.ErrDeadlineExceeded
		}
		l.mu.Unlock()
		var late <-chan time.Time
		if timed {
			late = time.After(wait)
		}
		select {
		case <-l.wake:
		case <-late:
		}
	}
}

// giveBack submits the transfer that the caller has read.
func (l *link) giveBack() {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	held := l.held
	if held > 0 {
		l.free[held-1]++
		l.held = 0
	}
	l.mu.Unlock()
	if held > 0 && d.host == host(l) {
		d.flush(cardem.Pipe(held - 1))
	}
}

// SetDeadline sets when Recv stops waiting.
func (l *link) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, os.ErrClosed) {
		return os.ErrClosed
	}
	l.deadline = t
	l.stir()
	return nil
}

// Close lets go of the device.
func (l *link) Close() error {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.host == host(l) {
		d.host = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = os.ErrClosed
	l.stir()
	d.loopClosed()
	return nil
}

// loopClosed tells who watches the device that nobody has it open.
func (d *Device) loopClosed() {
	close(d.changed)
	d.changed = make(chan struct{})
}
