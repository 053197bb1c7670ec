// Package cardem makes a modem see a remote card through an electrical card emulator
// in its SIM slot: SIMtrace2, ngff-cardem, sysmoQMOD and their kin, over USB. It is the
// host's side of the protocol that osmo-remsim-client-st2 speaks, in pure Go over
// Linux's usbfs.
//
// The package owns the USB interface and the T=0 exchange with the firmware: header,
// procedure byte, body, answer, in ISO 7816-3's order. It looks into a command as far
// as its case, never makes up an answer, and sends no NULL to win time: the firmware
// does that by itself for as long as it takes. It never resets a modem unless told to,
// and changes nothing when it opens or closes a device, so that a restart of the
// daemon leaves the modem undisturbed.
package cardem

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

const (
	// removalTime is how long the presence pin stays away between two cards:
	// modems debounce it.
	removalTime = time.Second
	// answerLimit: the firmware keeps the modem waiting with NULLs, so this is
	// the modem's patience, which no standard bounds.
	answerLimit = 60 * time.Second
	maxATR      = 33 // the firmware's buffer, and ISO 7816-3 §8.2.1
	maxPulse    = 10 * time.Second
)

// null is the procedure byte "wait" (ISO 7816-3 §10.3.3).
const null = 0x60

// ErrUnfit: the answer cannot be the answer to its command in T=0.
var ErrUnfit = errors.New("answer does not fit the command")

// Stats are counters of a front's life, and the last that the firmware said.
type Stats struct {
	Commands   uint64 // handed over
	Muted      uint64 // left without an answer
	Stale      uint64 // answers that came too late
	Resets     uint64 // edges that ended a card session
	LostEdges  uint64 // edges that must have been, but were not told
	Selections uint64 // PTS
	Malformed  uint64 // messages that make no sense
	Status     Status
	PTS        PTS
}

// Front is a card emulator as a card front. Make it with New or NewOn.
type Front struct {
	address address
	device  string
	bus     Bus
	removal time.Duration // removalTime but in tests
	settle  time.Duration // settleTime but in tests
	body    time.Duration // bodyTime but in tests

	mu      sync.Mutex
	running bool
	link    Link // nil: not open
	found   Found
	board   Board    // of found; stays known after it is gone
	atr     card.ATR // nil: no card is inserted
	empty   bool     // the device knows that
	// selected: the slot faces the emulator, which is on.
	selected bool
	// fresh: the modem has reset the slot since it faces the emulator. Before
	// that, its lines belong to a session with another card.
	fresh     bool
	removedAt time.Time // when the presence pin last went away
	insertAt  time.Time // when it shall come back; zero: it is there, or shall not
	bodyBy    time.Time // when the body of a command has to be there; zero: none is due

	pending uint64 // id of the command without an answer; 0: none
	lastID  uint64
	header  [5]byte // of that command
	stats   Stats
	tx      [2 * MaxMessage]byte
}

var (
	_ card.Front         = (*Front)(nil)
	_ card.ModemResetter = (*Front)(nil)
	_ card.SlotSelector  = (*Front)(nil)
)

// New makes the front for a device of the USB bus: "usb:PATH[:INTERFACE]",
// "serial:TEXT[:INTERFACE]", or "" for the only one that is plugged in.
func New(device string) (*Front, error) { return NewOn(USB{}, device) }

// NewOn is New for another bus.
func NewOn(bus Bus, device string) (*Front, error) {
	a, err := parseAddress(device)
	if err != nil {
		return nil, err
	}
	return &Front{address: a, device: device, bus: bus, removal: removalTime, settle: settleTime, body: bodyTime}, nil
}

// Insert presents a card with this ATR at the modem's next reset, turns the slot to
// the emulator if it is not, and sets the presence pin where the board has one.
func (f *Front) Insert(atr card.ATR) error {
	if err := card.CheckATR(atr); err != nil {
		return fmt.Errorf("insert card into %s: %w", f.name(), err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == nil {
		return fmt.Errorf("insert card into %s: %w", f.label(), card.ErrNotReady)
	}
	if string(f.atr) == string(atr) && f.selected {
		return nil
	}
	if f.atr != nil && string(f.atr) != string(atr) {
		if err := f.takeAway(); err != nil {
			return err
		}
	}
	f.atr, f.empty = append(card.ATR(nil), atr...), false
	// The ATR first: turning the slot to the emulator may make the modem reset
	// it, and does make the firmware send the ATR to a modem that is running.
	if err := f.send(AppendSetATR(f.tx[:0], atr)); err != nil {
		return err
	}
	if err := f.face(true); err != nil {
		return err
	}
	if wait := f.removal - time.Since(f.removedAt); f.board.Presence && !f.removedAt.IsZero() && wait > 0 {
		f.insertAt = time.Now().Add(wait)
		return f.arm()
	}
	return f.send(AppendCardInsert(f.tx[:0], true))
}

// Remove takes the card away: the presence pin goes where the board has one, and
// resets stay without an ATR. The slot goes on facing the emulator.
func (f *Front) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == nil || f.empty {
		return nil
	}
	return f.takeAway()
}

// takeAway removes the card. f.mu is held and the device is open.
func (f *Front) takeAway() error {
	f.atr, f.empty = nil, true
	if err := f.silence(); err != nil {
		return err
	}
	if err := f.send(AppendSetATR(f.tx[:0], nil)); err != nil {
		return err
	}
	if !f.insertAt.IsZero() { // it has not come back yet
		f.insertAt = time.Time{}
		return f.arm()
	}
	f.removedAt = time.Now()
	return f.send(AppendCardInsert(f.tx[:0], false))
}

// Answer gives the response to command id to the modem: the data after a procedure
// byte, then SW1 SW2.
func (f *Front) Answer(id uint64, response []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == 0 || id != f.pending {
		f.stats.Stale++
		return fmt.Errorf("answer command %d of %s: %w", id, f.label(), card.ErrStale)
	}
	if err := checkResponse(f.header[:], response); err != nil {
		// The modem would take status bytes for data, or wait for more. Nothing
		// true can be said to it.
		f.stats.Muted++
		return fmt.Errorf("answer command %d of %s: %w", id, f.label(), errors.Join(err, f.silence()))
	}
	f.pending = 0 // before it is sent: the next command may come at once
	data, sw := response[:len(response)-2], response[len(response)-2:]
	if len(data) > 0 {
		if err := f.send(AppendTxData(f.tx[:0], FlagPBAndTx, f.header[1:2], data...)); err != nil {
			return err
		}
	}
	return f.send(AppendTxData(f.tx[:0], FlagPBAndTx|FlagFinal, sw))
}

// checkResponse refuses what T=0 cannot carry: the modem takes exactly the bytes
// that P3 announces, or none and a status word (ISO 7816-3 §10.3.3).
func checkResponse(header, response []byte) error {
	n := len(response) - 2
	if n < 0 || n > 256 {
		return fmt.Errorf("%w: %d bytes, expected 2..%d", ErrUnfit, len(response), card.MaxResponse)
	}
	if n == 0 {
		if sw1 := response[0]; sw1 == null || sw1>>4 != 6 && sw1>>4 != 9 {
			return fmt.Errorf("%w: SW1 %02X is not 61..6F or 90..9F", ErrUnfit, sw1)
		}
		return nil
	}
	want := int(header[4])
	switch card.CaseOf(header) {
	case card.Case1, card.Case3, card.Case4:
		want = 0
	case card.Case2, card.CaseUnknown:
		if want == 0 {
			want = 256
		}
	}
	if n != want {
		return fmt.Errorf("%w: %d data bytes, the modem takes %d", ErrUnfit, n, want)
	}
	if sw1 := response[n]; sw1 == null || sw1>>4 != 6 && sw1>>4 != 9 {
		return fmt.Errorf("%w: SW1 %02X is not 61..6F or 90..9F", ErrUnfit, sw1)
	}
	return nil
}

// Mute gives up on command id: from now on the modem hears nothing, its waiting
// time runs out, and it resets the card.
func (f *Front) Mute(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == 0 || id != f.pending {
		return fmt.Errorf("mute command %d of %s: %w", id, f.label(), card.ErrStale)
	}
	f.stats.Muted++
	return f.silence()
}

// silence ends the pending command without an answer. Left alone, the firmware would
// send NULLs for ever, and RST is not ours to pull. It stops when it is told to send a
// last byte and then to receive: that byte is a NULL, which promises nothing, and
// what it then waits for never comes. f.mu is held.
func (f *Front) silence() error {
	if f.pending == 0 {
		return nil
	}
	f.pending = 0
	return f.send(AppendTxData(f.tx[:0], FlagPBAndRx, []byte{null}))
}

// SelectRemote turns the modem's slot to the emulator or to the local card, and
// switches the emulation with it. ngff-cardem power-cycles its modem then.
func (f *Front) SelectRemote(remote bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == nil {
		return fmt.Errorf("turn the slot of %s: %w", f.label(), card.ErrNotReady)
	}
	return f.face(remote)
}

// face turns the slot.
//
// Reports of edges are switched on with it, which marks the slot for a later run: a
// firmware that reports edges and sees the modem's power faces it already, and need not
// be told again. That matters to ngff-cardem. f.mu is held.
func (f *Front) face(remote bool) error {
	if !remote {
		f.selected = false
		return f.send(AppendSIMSelect(f.tx[:0], false))
	}
	if f.selected {
		return nil
	}
	f.fresh = false
	if err := f.send(AppendConfig(f.tx[:0], Config{Features: FeatureStatusIRQ})); err != nil {
		return err
	}
	if err := f.send(AppendSIMSelect(f.tx[:0], true)); err != nil {
		return err
	}
	f.selected = true
	return f.send(AppendQuery(f.tx[:0], TypeStatus))
}

// ResetModem pulses the modem's reset line, where the board has it.
func (f *Front) ResetModem(pulse time.Duration) error {
	if pulse < time.Millisecond || pulse > maxPulse {
		return fmt.Errorf("reset the modem of %s for %v: expected 1 ms to %v", f.name(), pulse, maxPulse)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == nil {
		return fmt.Errorf("reset the modem of %s: %w", f.label(), card.ErrNotReady)
	}
	if !f.board.Reset {
		return fmt.Errorf("reset the modem of %s: its board has no reset line: %w", f.label(), errors.ErrUnsupported)
	}
	return f.send(AppendModemReset(f.tx[:0], ResetPulse, uint16(pulse.Milliseconds())))
}

// Info tells the device; Detail says which board it is.
func (f *Front) Info() card.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := card.Info{Kind: "cardem", Device: f.device}
	if f.board.Name != "" {
		i.Detail = f.board.Name
		if i.Device == "" {
			i.Device = f.found.Device()
		}
		if f.found.Product != "" && f.found.Product != f.board.Name {
			i.Detail += ", " + f.found.Product
		}
	}
	return i
}

// Limits of a card emulator. Whether a removal is seen depends on the board, which is
// known once it has been open.
func (f *Front) Limits() card.Limits {
	f.mu.Lock()
	defer f.mu.Unlock()
	return card.Limits{Answer: answerLimit, MaxATR: maxATR, Removes: f.board.Presence}
}

// Stats returns the counters.
func (f *Front) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// send writes one message. f.mu is held.
func (f *Front) send(b []byte) error {
	if f.link == nil {
		return fmt.Errorf("write to %s: %w", f.label(), card.ErrNotReady)
	}
	if err := f.link.Out(b); err != nil {
		return fmt.Errorf("write to %s: %w", f.label(), err)
	}
	return nil
}

// arm sets the deadline of Run's next wait. f.mu is held.
func (f *Front) arm() error {
	if f.link == nil {
		return nil
	}
	d := f.insertAt
	if !f.bodyBy.IsZero() && (d.IsZero() || f.bodyBy.Before(d)) {
		d = f.bodyBy
	}
	return f.link.SetDeadline(d)
}

// name is how messages call the device.
func (f *Front) name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.label()
}

// label is name with f.mu held.
func (f *Front) label() string {
	switch {
	case f.board.Name != "":
		return f.found.String()
	case f.device != "":
		return "card emulator " + f.device
	}
	return "the card emulator"
}
