package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
)

// board is the copper around one modem: its slot holds what the SIM line selects,
// the reset line and a restart command switch it off and on, and netifd's
// protocol handler connects it, as ModemManager's does on OpenWrt.
type board struct {
	spec   boardSpec
	gpio   *gpiofake.Kernel
	netifd *netifdfake.Fake
	modem  *mmfake.Modem
	at     *atfake.Modem
	offset int // of the SIM line; the reset line is the next one
	slot   slotReader

	mu    sync.Mutex
	local *mmfake.Card // in the modem's own slot; nil: empty

	// Below: only run.
	in       *mmfake.Card // what the modem sees
	offSince time.Time    // zero: it is on
	commands int          // AT commands that were looked at
}

// chip is the only one, tick how often the copper is looked at, boot how long a
// modem takes to start.
const (
	chip = "gpiochip0"
	tick = 10 * time.Millisecond
	boot = 800 * time.Millisecond
)

// put replaces the card in the modem's own slot; one without ICCID is none.
func (b *board) put(s simSpec) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local = nil; s.iccid != "" {
		b.local = &mmfake.Card{ICCID: s.iccid, IMSI: s.imsi, PIN: s.pin}
	}
}

func (b *board) run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			b.power(now)
			b.feed(ctx)
			b.connect()
		}
	}
}

// power switches the modem off while its reset line is low or when it was told
// to restart, and on again.
func (b *board) power(now time.Time) {
	received := b.at.Received()
	restart := slices.Contains(received[b.commands:], "+CFUN=1,1")
	b.commands = len(received)
	low := b.spec.resetLine && !b.gpio.Level(chip, b.offset+1)
	switch {
	case b.offSince.IsZero() && (low || restart):
		b.offSince = now
		b.modem.Unplug()
		b.at.Unplug()
	case low:
		b.offSince = now // it starts when the line is let go
	case !b.offSince.IsZero() && now.Sub(b.offSince) >= boot:
		b.offSince = time.Time{}
		b.modem.Plug()
		_ = b.at.Plug() // without its port it is a modem whose port is missing
	}
}

// feed puts into the modem what the SIM line selects.
func (b *board) feed(ctx context.Context) {
	b.mu.Lock()
	card := b.local
	b.mu.Unlock()
	if b.spec.simLine && b.gpio.Level(chip, b.offset) {
		card = b.slot.card(ctx)
	}
	if card == b.in {
		return
	}
	b.in = card
	b.modem.RemoveSIM()
	if card == nil {
		b.at.Set("+CPIN?", "+CME ERROR: 10") // SIM not inserted (3GPP TS 27.007 §9.2)
		return
	}
	b.modem.InsertSIM(*card)
	b.at.Set("+CPIN?", "+CPIN: READY", "OK")
	b.at.Set("+CIMI", card.IMSI, "OK")
	b.at.Set("+ICCID", "+ICCID: "+card.ICCID, "OK")
}

// connect is netifd's protocol handler: an interface is there while the modem
// can be used, it is up once the modem is connected, and it starts anew when
// that is lost.
func (b *board) connect() {
	state, name := b.modem.State(), b.spec.network
	usable := state != "" && state != "failed" && state != "locked"
	up := b.netifd.State(name) == "up"
	b.netifd.SetAvailable(name, usable && (!up || state == "connected"))
	switch b.netifd.State(name) {
	case "pending":
		if b.modem.Connect() == nil {
			b.netifd.Release(name)
			b.netifd.Hold(name)
		}
	case "down":
		if state == "connected" {
			b.modem.Disconnect()
		}
	}
}

// slotReader is the contact side of the remote card: what the front shows there.
type slotReader struct {
	reader   *vpcdfake.Reader // nil: no front is wired to this slot
	profiles func(iccid string) (cardfake.Profile, bool)
	seen     *mmfake.Card // nil: the slot is empty
}

// look bounds the question whether a card is there, read the reading of its
// number.
const (
	look = time.Second
	read = 5 * time.Second
)

// card is the card that the front shows, read by its contacts; nil if it shows
// none or if it cannot be read yet.
func (s *slotReader) card(ctx context.Context) *mmfake.Card {
	if s.reader == nil {
		return nil
	}
	looking, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	switch _, err := s.reader.ATR(looking); {
	case errors.Is(err, vpcdfake.ErrNoCard):
		s.seen = nil
		return nil
	case err != nil:
		return s.seen // contacts do not become open because this machine is busy
	}
	if s.seen != nil {
		return s.seen
	}
	reading, cancel := context.WithTimeout(ctx, read)
	defer cancel()
	modem := player{reader: s.reader}
	if _, err := s.reader.PowerOn(reading); err != nil {
		return nil
	}
	iccid, err := modem.readICCID(reading)
	if err != nil {
		return nil
	}
	s.seen = &mmfake.Card{ICCID: iccid}
	if p, ok := s.profiles(iccid); ok {
		s.seen.IMSI = p.IMSI
	}
	return s.seen
}
