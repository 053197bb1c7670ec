// Package uimremote gives Qualcomm modems a remote card through their QMI service UIM
// Remote (0x32): the modem sends its card commands to a client instead of to the card
// in its slot. The client shares the modem's control port with ModemManager through
// libqmi's qmi-proxy, or through libmbim's mbim-proxy for modems that speak MBIM.
//
// The package owns one connection to a proxy and one client of the service. It never
// opens the port itself, never sends a CTL SYNC (which would take ModemManager's clients
// away) and never looks into an APDU beyond its lengths.
//
// A remote card lives as long as its client: when the front ends, the modem is told so,
// the client is released, and the modem goes back to its own slot.
//
// The firmware has the service off by default; Probe tells, and EnablePlan, Apply and
// Undo work the switch of Quectel modems, for an operator who asked for it.
package uimremote

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

const (
	// answerLimit: others let a card answer within 15 s (ddimension/wwand-rsim); the
	// firmware's own limit is the EFS item nv_remote_command_resp_timer.
	answerLimit = 14 * time.Second
	// atrLimit is how long the modem waits for "card reset" with the ATR after CONNECT,
	// POWER UP and RESET. Every answer to them is sent at once.
	atrLimit = 7 * time.Second
)

// timing has the front's own pauses and limits; tests shorten them.
type timing struct {
	// ack is how long the modem may take to acknowledge a request.
	ack   time.Duration
	write time.Duration
	// removal is how long the slot stays empty in a change of cards: ModemManager has
	// to notice it, and SIMComHub/softsim waits as long.
	removal time.Duration
	// recover is how long a modem may do nothing after a card error, before the card
	// is taken out and put in again.
	recover time.Duration
	// farewell bounds all that is said at the end; the daemon has 3 s.
	farewell time.Duration
}

// Options name what is outside of the front. The zero value is a router's.
type Options struct {
	Slot      uint32 // of the modem, 1..3; 0: 1
	Sysfs     string // "/sys"
	QMIProxy  string // socket of qmi-proxy: "@qmi-proxy"
	MBIMProxy string // socket of mbim-proxy: "@mbim-proxy"
	// Dial connects to one of those.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	timing timing
}

func (o *Options) fill() {
	set := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	set(&o.Sysfs, "/sys")
	set(&o.QMIProxy, "@qmi-proxy")
	set(&o.MBIMProxy, "@mbim-proxy")
	if o.Slot == 0 {
		o.Slot = 1
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.timing == (timing{}) {
		o.timing = timing{ack: controlTimeout, write: writeTimeout, removal: 3 * time.Second, recover: 10 * time.Second, farewell: 1500 * time.Millisecond}
	}
}

// selection is what SelectRemote was told.
type selection int

const (
	whileInserted selection = iota // nothing: the slot is the remote one while a card is inserted
	selectedRemote
	selectedLocal
)

// pending is the modem's command that has no answer yet.
type pending struct {
	id   uint64 // 0: none
	apdu uint32 // the modem's number for it
}

// Front is a modem's UIM Remote service as a card front. Make it with New.
type Front struct {
	path    string
	options Options
	segment int           // segmentSize but in tests
	wake    chan struct{} // 1: the wanted card changed, or something was sent

	mu      sync.Mutex
	running bool
	atr     card.ATR // nil: no card is wanted in the slot
	inserts uint64   // counts insertions: another number is another card
	choice  selection
	client  byte
	stale   byte // a client of ours that could not be released
	link    *link
	txn     uint16
	asked   map[uint16]asked // requests without an acknowledgement
	pending pending
	lastID  uint64
	muted   time.Time // when a command was given up; zero: the modem has reacted since
	detail  string
}

// asked is a request that the modem has to acknowledge.
type asked struct {
	event event
	apdu  bool
	until time.Time
}

var (
	_ card.Front        = (*Front)(nil)
	_ card.SlotSelector = (*Front)(nil)
)

// New makes the front for a modem's control port, "qmi:/dev/cdc-wdm0", or for a slot of it,
// "qmi:/dev/cdc-wdm0:2". Whether it is
// QMI or MBIM is looked up when it is opened; so is the port itself if device is empty,
// which is right where there is only one.
func New(device string, o Options) (*Front, error) {
	path, slot, err := ParseDevice(device)
	if err != nil {
		return nil, err
	}
	if slot != 0 {
		o.Slot = slot
	}
	o.fill()
	if o.Slot > maxSlot {
		return nil, fmt.Errorf("UIM Remote of %s: slot %d is not 1..3", path, o.Slot)
	}
	return &Front{path: path, options: o, segment: segmentSize, wake: make(chan struct{}, 1), detail: "stopped"}, nil
}

// anyPort stands for the only control port that there is.
const anyPort = "auto"

// ParseDevice takes "qmi:/dev/cdc-wdm0" or "qmi:/dev/cdc-wdm0:2" apart into the port and
// the modem's slot, 0 if none is said.
func ParseDevice(device string) (path string, slot uint32, err error) {
	if device == "" {
		return anyPort, 0, nil
	}
	path, number, numbered := strings.Cut(strings.TrimPrefix(device, "qmi:"), ":")
	if !strings.HasPrefix(path, "/") {
		return "", 0, fmt.Errorf("UIM Remote device %q: expected qmi:/dev/NAME or qmi:/dev/NAME:SLOT, the modem's QMI or MBIM control port", device)
	}
	if numbered {
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil || n < 1 || n > maxSlot {
			return "", 0, fmt.Errorf("UIM Remote device %q: slot %q is not 1..%d", device, number, maxSlot)
		}
		slot = uint32(n)
	}
	return path, slot, nil
}

// maxSlot is the highest slot that UIM Remote numbers.
const maxSlot = 3

// Insert presents a card with this ATR.
func (f *Front) Insert(atr card.ATR) error {
	if err := card.CheckATR(atr); err != nil {
		return fmt.Errorf("insert card into %s: %w", f.path, err)
	}
	if len(atr) > maxATR {
		return fmt.Errorf("insert card into %s: the ATR has %d bytes, UIM Remote takes %d", f.path, len(atr), maxATR)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == nil {
		return fmt.Errorf("insert card into %s: %w", f.path, card.ErrNotReady)
	}
	if string(f.atr) == string(atr) {
		return nil
	}
	f.pending = pending{}
	f.atr = append(card.ATR(nil), atr...)
	f.inserts++
	f.stir()
	return nil
}

// Remove takes the card away. Unless SelectRemote(true) holds the slot, the modem
// goes back to its own card.
func (f *Front) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending, f.atr = pending{}, nil
	f.stir()
	return nil
}

// SelectRemote gives the modem's slot to the remote card (which may not be inserted
// yet: the modem then sees an empty slot) or back to the modem's own. It is a level:
// it holds until the next call, and takes effect when the front is up.
func (f *Front) SelectRemote(remote bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choice = selectedLocal
	if remote {
		f.choice = selectedRemote
	}
	f.stir()
	return nil
}

// Answer gives the response to command id to the modem.
func (f *Front) Answer(id uint64, response []byte) error {
	if n := len(response); n < 2 || n > card.MaxResponse {
		return fmt.Errorf("answer command %d of %s: %d bytes, expected 2..%d", id, f.path, n, card.MaxResponse)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	apdu, err := f.take(id)
	if err != nil {
		return fmt.Errorf("answer %w", err)
	}
	return f.sendAnswer(apdu, response)
}

// Mute gives up on command id: the modem is told that the command failed, and that the
// card is in error because it did not answer. A modem that does nothing about that for
// 10 s has the card taken out and put in again.
func (f *Front) Mute(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	apdu, err := f.take(id)
	if err != nil {
		return fmt.Errorf("mute %w", err)
	}
	f.muted = time.Now()
	if err := f.ask(msgAPDU, failureTLVs(f.options.Slot, apdu), asked{apdu: true}); err != nil {
		return err
	}
	return f.tell(evError, nil, causeTimeout)
}

// Info tells the device, and in Detail how far things are.
func (f *Front) Info() card.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := card.Info{Kind: "uim-remote", Device: "qmi:" + f.path, Detail: f.detail}
	if f.options.Slot != 1 {
		i.Device += fmt.Sprintf(":%d", f.options.Slot)
	}
	return i
}

// Limits of UIM Remote: a removal is an event.
func (f *Front) Limits() card.Limits {
	return card.Limits{Answer: answerLimit, MaxATR: maxATR, Removes: true}
}

// take claims the pending command. f.mu is held.
func (f *Front) take(id uint64) (apdu uint32, err error) {
	if id == 0 || id != f.pending.id {
		return 0, fmt.Errorf("command %d of %s: %w", id, f.path, card.ErrStale)
	}
	apdu = f.pending.apdu
	f.pending = pending{} // before the write: the next command may come at once
	return apdu, nil
}

// sendAnswer sends a response, in as many requests as it has segments: a T=0 response
// is always one. f.mu is held.
func (f *Front) sendAnswer(apdu uint32, response []byte) error {
	for at := 0; at < len(response); at += f.segment {
		part := response[at:min(at+f.segment, len(response))]
		tlvs := answerTLVs(f.options.Slot, apdu, len(response), at, part)
		err := f.ask(msgAPDU, tlvs, asked{apdu: true})
		clear(tlvs) // an answer of AUTHENTICATE holds keys
		if err != nil {
			return err
		}
	}
	return nil
}

// tell sends an event. f.mu is held.
func (f *Front) tell(e event, atr card.ATR, why cause) error {
	return f.ask(msgEvent, eventTLVs(e, f.options.Slot, atr, why), asked{event: e})
}

// ask sends a request to the service and notes that it has to be acknowledged. f.mu is
// held.
func (f *Front) ask(id uint16, tlvs []byte, what asked) error {
	if f.link == nil {
		return fmt.Errorf("write to UIM Remote of %s: %w", f.path, card.ErrNotReady)
	}
	f.txn++
	if f.txn == 0 {
		f.txn = 1
	}
	what.until = time.Now().Add(f.options.timing.ack)
	f.asked[f.txn] = what
	f.stir() // Run watches over the limit
	err := f.link.send(message{service: serviceUIMRemote, client: f.client, txn: f.txn, id: id, tlvs: tlvs})
	if err != nil {
		f.link.close() // Run's read ends by it
		return fmt.Errorf("UIM Remote of %s: %w", f.path, err)
	}
	return nil
}

// stir wakes Run.
func (f *Front) stir() {
	select {
	case f.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

// describe sets Info's Detail.
func (f *Front) describe(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detail = fmt.Sprintf(format, args...)
}
