// Package cardemfake plays a card emulator: the firmware behind its USB endpoints,
// message by message as simtrace2's card_emu.c does it, and the modem in front of
// its contacts. A test drives the modem (PowerOn, TPDU, ...) and what can go wrong
// (Unplug, Stall, Restart, ...); the host sees it through a Link in the same process,
// or as a USB device that the kernel's vhci_hcd attaches (Attach).
//
// It takes no time to send a byte, and knows of time only that the firmware sends a NULL
// whenever half of the waiting time is over.
package cardemfake

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
)

// logLen is how many messages a device remembers.
const logLen = 512

// nullTime is half of the usual waiting time: 4800 etu at 9600 baud.
const nullTime = 500 * time.Millisecond

// Config says what a device is.
type Config struct {
	Board     string // a name of cardem's boards; "": SIMtrace2
	Path      string // where it is plugged in; "": 1-1
	Serial    string
	Interface int
}

// Device is one card emulator with the modem at its contacts. It is plugged in from
// the start.
type Device struct {
	config Config
	board  cardem.Board

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something did
	plugged bool
	fw      firmware
	host    host // nil: nobody has it open
	pulses  []time.Duration
	log     []string
}

// host is who has the device open. Its methods are called with the device's lock held.
type host interface {
	// room tells whether a transfer of the pipe waits for the device.
	room(cardem.Pipe) bool
	// deliver completes one.
	deliver(cardem.Pipe, []byte)
	// stall halts an endpoint for so many transfers.
	stall(endpoint Endpoint, times int)
	// gone tells that the device is.
	gone()
}

// Endpoint is one of a device's three.
type Endpoint uint8

// Endpoints.
const (
	In Endpoint = iota
	IRQ
	Out
)

// New plugs in a device.
func New(c Config) *Device {
	if c.Board == "" {
		c.Board = "SIMtrace2"
	}
	if c.Path == "" {
		c.Path = "1-1"
	}
	d := &Device{config: c, changed: make(chan struct{}), plugged: true}
	for _, id := range []uint16{0x60e3, 0x4001, 0x4004, 0x616d, 0x616e} {
		if b, ok := cardem.BoardOf(0x1d50, id); ok && b.Name == c.Board {
			d.board = b
		}
	}
	if d.board.Name == "" {
		panic("cardemfake: no board is called " + c.Board) // a mistake in a test
	}
	d.fw.rst = true // a slot without power
	d.fw.boot()
	return d
}

// found is the device as discovery lists it.
func (d *Device) found() cardem.Found {
	return cardem.Found{Path: d.config.Path, Serial: d.config.Serial, Product: d.board.Name, Board: d.board, Interface: d.config.Interface}
}

// run does something to the device, and then what the firmware's main loop does.
func (d *Device) run(what func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	what()
	d.loop()
}

// loop is mode_cardemu_run. d.mu is held.
func (d *Device) loop() {
	if d.plugged {
		d.fw.contacts()
		for _, p := range []cardem.Pipe{cardem.PipeIRQ, cardem.PipeIn} {
			d.flush(p)
		}
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// flush hands over what waits for the host.
func (d *Device) flush(p cardem.Pipe) {
	q := &d.fw.queues[p]
	for {
		q.refill()
		if q.busy == nil || d.host == nil || !d.host.room(p) {
			return
		}
		d.note("dev->host", q.busy)
		d.host.deliver(p, q.busy)
		q.busy = nil
	}
}

// take is a transfer of the host. d.mu is held.
func (d *Device) take(b []byte) {
	d.note("host->dev", b)
	for len(b) > 0 {
		m, rest, err := cardem.ParseMessage(b)
		if err != nil {
			break // the firmware drops the rest
		}
		if ms := d.fw.dispatch(m); ms != 0 && d.board.Reset {
			d.pulses = append(d.pulses, time.Duration(ms)*time.Millisecond)
		}
		d.fw.contacts()
		b = rest
	}
	d.loop()
}

// note remembers a message. d.mu is held.
func (d *Device) note(way string, b []byte) {
	if len(d.log) == logLen {
		d.log = slices.Delete(d.log, 0, logLen/2)
	}
	d.log = append(d.log, fmt.Sprintf("%s %x", way, b))
}

// Unplug takes the device off the bus, and its power with it: the modem meets silence.
func (d *Device) Unplug() {
	d.mu.Lock()
	h := d.host
	d.plugged, d.host = false, nil
	if h != nil {
		h.gone()
	}
	d.loop()
	d.mu.Unlock()
}

// Plug puts it back; the firmware starts.
func (d *Device) Plug() {
	d.run(func() {
		d.plugged = true
		d.fw.boot()
	})
}

// Restart is a watchdog of the firmware: the device leaves the bus and comes back.
func (d *Device) Restart() {
	d.Unplug()
	d.Plug()
}

// Stall halts an endpoint so many times in a row: the host has to clear it.
func (d *Device) Stall(e Endpoint, times int) {
	d.run(func() {
		if d.host != nil {
			d.host.stall(e, times)
		}
	})
}

// LoseBody has the body of the next command get lost inside the firmware.
func (d *Device) LoseBody() { d.run(func() { d.fw.loseBody = true }) }

// SetChunk has the firmware tell of a body in parts of n bytes, 0 for the whole.
func (d *Device) SetChunk(n int) { d.run(func() { d.fw.chunk = n }) }

// Present is the level of the presence pin, on boards that have it.
func (d *Device) Present() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.board.Presence && d.fw.inserted
}

// Remote tells whether the slot faces the emulator.
func (d *Device) Remote() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fw.enabled
}

// Pulses lists the resets that the modem got through its reset line.
func (d *Device) Pulses() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.pulses)
}

// Waiting tells whether the modem waits for the host.
func (d *Device) Waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fw.state == inTPDU && (d.fw.tpdu == waitPB || d.fw.tpdu == waitTx)
}

// Nulls counts the NULLs that the firmware sent.
func (d *Device) Nulls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fw.nulls
}

// Dropped counts the messages that made room for newer ones.
func (d *Device) Dropped(p cardem.Pipe) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fw.queues[p].dropped
}

// Changed returns a channel that is closed at the next change of anything.
func (d *Device) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// Log lists the last messages: "host->dev" or "dev->host", and the bytes.
func (d *Device) Log() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// String says what the device does.
func (d *Device) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &d.fw
	words := []string{d.found().String() + ":"}
	say := func(on bool, yes, no string) {
		if on {
			words = append(words, yes)
		} else {
			words = append(words, no)
		}
	}
	say(d.plugged, "plugged in,", "unplugged,")
	say(d.host != nil, "open,", "closed,")
	say(w.enabled, "remote card", "local card")
	words = append(words, fmt.Sprintf("ATR %X,", w.atr))
	say(w.inserted, "inserted,", "removed,")
	say(w.vcc, "modem on,", "modem off,")
	words = append(words, w.state.String())
	if w.state == inTPDU {
		words = append(words, w.tpdu.String())
	}
	return strings.Join(words, " ")
}
