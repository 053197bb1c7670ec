// Package uimremotefake plays a Qualcomm modem whose QMI service UIM Remote is on, and
// the proxies of libqmi and libmbim in front of it. It does what the service has been
// seen to do (see uimremote's remote.go for the sources), is driven from the modem's side
// (Connect, PowerUp, Reset, Transmit ...), and its faults are a proxy that goes, a modem
// that restarts, acknowledgements that are slow or missing, and garbage.
package uimremotefake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// What a command, or the wait for an ATR, may end with.
var (
	ErrNoCard    = errors.New("the slot is empty")
	ErrCardError = errors.New("the card is in error")
	ErrFailed    = errors.New("the client gave up on the command")
	ErrGone      = errors.New("the remote slot is gone")
)

// Options make a modem.
type Options struct {
	// Offered: the service is on in the firmware.
	Offered bool
	// NoPassthrough: over MBIM, the modem takes no QMI.
	NoPassthrough bool
	Slot          uint32 // 0: 1
}

// Modem is the played modem. Its methods may be called from any goroutine.
type Modem struct {
	options Options

	mu         sync.Mutex
	change     chan struct{} // closed at every change
	clients    map[clientKey]*wire
	unlisted   map[byte]bool // clients that sent RESET
	lastClient byte
	owner      byte  // the client that has the remote slot; 0: none
	wire       *wire // where it is
	atr        []byte
	failed     bool // the card is in error
	exchange   *exchange
	lastAPDU   uint32
	refuse     [6]uint16
	delay      time.Duration
	silent     bool
	off        bool
	events     []string
	timers     sync.WaitGroup

	// Late counts answers to commands that were over, Syncs the CTL SYNCs. Read them
	// when nothing is under way.
	Late, Syncs int
}

type exchange struct {
	id   uint32
	got  []byte
	done chan struct{}
	resp []byte
	err  error
}

// New makes a modem.
func New(o Options) *Modem {
	if o.Slot == 0 {
		o.Slot = 1
	}
	return &Modem{
		options: o, change: make(chan struct{}), clients: make(map[clientKey]*wire), unlisted: make(map[byte]bool),
		lastAPDU: 40,
	}
}

// changed wakes whoever waits. m.mu is held.
func (m *Modem) changed() {
	close(m.change)
	m.change = make(chan struct{})
}

// wait waits for a condition, which is asked with m.mu held.
func (m *Modem) wait(ctx context.Context, what string, is func() (bool, error)) error {
	for {
		m.mu.Lock()
		ok, err := is()
		changed := m.change
		m.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; %s", what, ctx.Err(), m)
		}
	}
}

// WaitOffered waits for a client to make its remote slot available.
func (m *Modem) WaitOffered(ctx context.Context) error {
	return m.wait(ctx, "connection available", func() (bool, error) { return m.owner != 0, nil })
}

// WaitLocal waits for the remote slot to be gone.
func (m *Modem) WaitLocal(ctx context.Context) error {
	return m.wait(ctx, "connection unavailable", func() (bool, error) { return m.owner == 0, nil })
}

// WaitCard waits for a card with an ATR that comes by itself, after a change of cards.
func (m *Modem) WaitCard(ctx context.Context) (atr []byte, err error) {
	err = m.wait(ctx, "a card", func() (bool, error) {
		atr = append([]byte(nil), m.atr...)
		return len(m.atr) > 0, nil
	})
	return atr, err
}

// WaitNoCard waits for an empty slot.
func (m *Modem) WaitNoCard(ctx context.Context) error {
	return m.wait(ctx, "no card", func() (bool, error) { return len(m.atr) == 0, nil })
}

// Connect has the modem use the remote slot; it returns the ATR.
func (m *Modem) Connect(ctx context.Context) ([]byte, error) { return m.ask(ctx, 0x23) }

// PowerUp powers the card up; it returns the ATR.
func (m *Modem) PowerUp(ctx context.Context) ([]byte, error) { return m.ask(ctx, 0x25) }

// Reset resets the card; it returns the ATR.
func (m *Modem) Reset(ctx context.Context) ([]byte, error) { return m.ask(ctx, 0x27) }

// Attach waits for the slot and starts the card, as a modem does with a slot that becomes
// available.
func (m *Modem) Attach(ctx context.Context) ([]byte, error) {
	if err := m.WaitOffered(ctx); err != nil {
		return nil, err
	}
	if _, err := m.Connect(ctx); err != nil {
		return nil, err
	}
	return m.PowerUp(ctx)
}

// ask sends an indication that wants an ATR, and waits for it.
func (m *Modem) ask(ctx context.Context, id uint16) (atr []byte, err error) {
	m.mu.Lock()
	m.atr, m.failed = nil, false
	m.end(ErrFailed)
	m.mu.Unlock()
	p := &packet{}
	p.add(1, m.options.Slot)
	if id == 0x25 {
		p.add(0x10, uint32(7000)).add(0x11, uint32(2)) // response timeout in ms, class C
	}
	if err := m.indicate(id, p); err != nil {
		return nil, err
	}
	err = m.wait(ctx, "the ATR", func() (bool, error) {
		atr = append([]byte(nil), m.atr...)
		switch {
		case m.owner == 0:
			return false, ErrGone
		case m.failed:
			return false, ErrCardError
		}
		return len(m.atr) > 0, nil
	})
	return atr, err
}

// PowerDown takes the card's power away.
func (m *Modem) PowerDown() error {
	m.mu.Lock()
	m.end(ErrFailed)
	m.mu.Unlock()
	return m.indicate(0x26, (&packet{}).add(1, m.options.Slot).add(0x10, uint32(1)))
}

// Disconnect lets go of the remote slot.
func (m *Modem) Disconnect() error {
	m.mu.Lock()
	m.end(ErrFailed)
	m.mu.Unlock()
	return m.indicate(0x24, (&packet{}).add(1, m.options.Slot))
}

// Transmit sends one command TPDU to the card and waits for the answer, for ever if ctx
// does not end: what a front must do in time is the test's to say.
func (m *Modem) Transmit(ctx context.Context, tpdu []byte) ([]byte, error) {
	m.mu.Lock()
	m.end(ErrFailed)
	m.lastAPDU++
	x := &exchange{id: m.lastAPDU, done: make(chan struct{})}
	m.exchange = x
	m.mu.Unlock()
	p := (&packet{}).add(1, m.options.Slot).add(2, x.id).add(3, uint16(len(tpdu)), tpdu)
	if err := m.indicate(0x22, p); err != nil {
		return nil, err
	}
	select {
	case <-x.done:
		return x.resp, x.err
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.exchange == x {
			m.end(ctx.Err())
		}
		<-x.done
		return x.resp, x.err
	}
}

// Indicate sends an indication of UIM Remote with a raw body of TLVs, well formed or not.
func (m *Modem) Indicate(id uint16, body []byte) error {
	frame := (&packet{service: remote, kind: isIndication, id: id}).encode()
	n := 5 + 7 + len(body)
	frame[1], frame[2] = byte(n), byte(n>>8)
	frame[11], frame[12] = byte(len(body)), byte(len(body)>>8)
	return m.push(append(frame, body...))
}

// LastAPDU is the modem's number of the last command.
func (m *Modem) LastAPDU() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastAPDU
}

func (m *Modem) indicate(id uint16, p *packet) error {
	p.service, p.kind, p.id = remote, isIndication, id
	return m.push(p.encode())
}

// push sends an indication to the slot's owner.
func (m *Modem) push(frame []byte) error {
	m.mu.Lock()
	w, client := m.wire, m.owner
	m.mu.Unlock()
	if w == nil || client == 0 {
		return ErrGone
	}
	frame[5] = client
	if w.mbim {
		frame = mbimIndicate(frame)
	}
	w.write(frame)
	return nil
}

// Restart is a power cycle of the modem: it forgets its clients, and says so with a CTL
// SYNC indication. Cut the proxies as well where the port goes away by it.
func (m *Modem) Restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := make(map[*wire]bool)
	for _, w := range m.clients {
		if w != nil && !seen[w] {
			seen[w] = true
			b := (&packet{service: ctl, client: 0xFF, kind: isIndication, id: 0x27}).encode()
			if w.mbim {
				b = mbimIndicate(b)
			}
			w.write(b)
		}
	}
	m.clients, m.unlisted = make(map[clientKey]*wire), make(map[byte]bool)
	m.lose("the modem restarted")
	m.changed()
}

// SlowAck delays every answer of the modem to a request.
func (m *Modem) SlowAck(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// Silence has UIM Remote do what it is asked and acknowledge nothing.
func (m *Modem) Silence(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = on
}

// Hang has the modem answer nothing at all.
func (m *Modem) Hang(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = on
}

// Refuse has an event (0 connection unavailable .. 5 card reset) refused with a QMI
// error; 0 accepts it again.
func (m *Modem) Refuse(event int, code uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse[event] = code
}

// Clients counts the clients of UIM Remote that are allocated.
func (m *Modem) Clients() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for k := range m.clients {
		if k.service == remote {
			n++
		}
	}
	return n
}

// Events tells what the modem heard, in order.
func (m *Modem) Events() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.events...)
}

// WaitEvent waits for an event that begins with these words.
func (m *Modem) WaitEvent(ctx context.Context, words string) error {
	return m.wait(ctx, words, func() (bool, error) {
		for _, e := range m.events {
			if strings.HasPrefix(e, words) {
				return true, nil
			}
		}
		return false, nil
	})
}

// Close waits for answers that are still delayed.
func (m *Modem) Close() { m.timers.Wait() }

// String prints the modem's view of its slot.
func (m *Modem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	slot := "its own card"
	switch {
	case m.owner != 0 && m.failed:
		slot = "a remote slot with a card in error"
	case m.owner != 0 && len(m.atr) == 0:
		slot = "a remote slot without a card"
	case m.owner != 0:
		slot = fmt.Sprintf("a remote card, ATR %X", m.atr)
	}
	return fmt.Sprintf("modem on %s; heard: %s", slot, strings.Join(m.events, " | "))
}

// detach forgets a wire; its clients stay allocated.
func (m *Modem) detach(w *wire) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, owner := range m.clients {
		if owner == w {
			m.clients[k] = nil
		}
	}
	if m.wire == w {
		m.wire = nil
		m.end(ErrGone)
	}
	m.changed()
}

// lose ends the remote slot. m.mu is held.
func (m *Modem) lose(why string) {
	if m.owner == 0 {
		return
	}
	m.logLocked("local again: %s", why)
	m.owner, m.wire, m.atr, m.failed = 0, nil, nil, false
	m.end(ErrGone)
	m.changed()
}

// end ends the command under way. m.mu is held.
func (m *Modem) end(err error) {
	if m.exchange != nil {
		m.finish(nil, err)
	}
}

func (m *Modem) finish(resp []byte, err error) {
	x := m.exchange
	m.exchange = nil
	x.resp, x.err = resp, err
	close(x.done)
}

// delayed runs fn, later if acknowledgements are slow.
func (m *Modem) delayed(fn func()) {
	m.mu.Lock()
	d := m.delay
	m.mu.Unlock()
	if d == 0 {
		fn()
		return
	}
	m.timers.Add(1)
	time.AfterFunc(d, func() {
		defer m.timers.Done()
		fn()
	})
}

func (m *Modem) log(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logLocked(format, args...)
}

func (m *Modem) logLocked(format string, args ...any) {
	m.events = append(m.events, fmt.Sprintf(format, args...))
	if len(m.events) > 1000 {
		m.events = m.events[500:]
	}
	m.changed()
}
