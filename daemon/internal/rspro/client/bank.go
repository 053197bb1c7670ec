package client

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// bankPeer is our side of the connection to a bank: the card.Bank that the
// handler sees.
type bankPeer struct {
	c       *conn
	handler card.BankHandler
	slot    rspro.BankSlot

	// outstanding counts commands without an answer. Answers carry nothing
	// that says which command they belong to, so the count is all there is.
	outstanding atomic.Int64

	// Of the reading goroutine:
	up   bool
	atr  []byte    // came before the bank had accepted us
	peek rspro.PDU // the message behind an answer

	// Guarded by the lock of the connection:
	modem lines // what the modem does
	told  lines // what the bank was told last
	knows bool  // the bank has been told anything
}

// lines is what a bank acts on.
type lines struct{ powered, reset bool }

// running is the state in which the next edge is one, whatever it is.
var running = lines{powered: true}

func newBankPeer(c *conn, t *target) peer {
	return &bankPeer{
		c: c, handler: c.s.cfg.Bank, modem: running,
		slot: rspro.BankSlot{BankID: int64(t.slot.ID), SlotNr: int64(t.slot.Slot)},
	}
}

func (p *bankPeer) kind() (rspro.ComponentType, string) { return rspro.RemsimBankd, "the bank" }
func (p *bankPeer) busy() bool                          { return p.outstanding.Load() > 0 }

func (p *bankPeer) connected() {
	p.up = true
	p.handler.BankUp(p)
	if p.atr != nil {
		p.handler.ATR(p, p.atr)
	}
}

func (p *bankPeer) down(err error) {
	if p.up {
		p.up = false
		p.handler.BankDown(p, err)
	}
}

func (p *bankPeer) message(m rspro.Message) error {
	switch m := m.(type) {
	case *rspro.TpduCardToModem:
		return p.answer(m)
	case *rspro.SetATRReq:
		return p.setATR(m)
	case *rspro.BankSlotStatusInd:
		p.c.note(model.KindBank, statusText(m.SlotPhysStatus))
	case *rspro.ErrorInd:
		p.c.note(model.KindBank, errorText(m))
	default:
		p.c.note(model.KindBank, "the bank sent "+m.Name()+", which is ignored")
	}
	return nil
}

// setATR answers first: the handler may use the card at once, and the C client
// sends nothing before its setAtrRes.
func (p *bankPeer) setATR(m *rspro.SetATRReq) error {
	atr := bytes.Clone(m.ATR)
	if err := p.c.send(&rspro.SetATRRes{}); err != nil {
		return err
	}
	if p.up {
		p.handler.ATR(p, atr)
	} else {
		p.atr = atr
	}
	return nil
}

// answer delivers the answer to the oldest command, unless it cannot be that.
func (p *bankPeer) answer(m *rspro.TpduCardToModem) error {
	out := p.outstanding.Load()
	switch {
	case !p.up || out == 0:
		return faultf(model.PeerOutOfStep, "the bank sent an answer although no command was waiting for one")
	case m.FromBankSlot != p.slot || m.ToClientSlot != p.c.client:
		return faultf(model.PeerOutOfStep, "the bank sent an answer of %s to %s; this is %s and %s", m.FromBankSlot, m.ToClientSlot, p.slot, p.c.client)
	case len(m.Data) < 2 || len(m.Data) > card.MaxResponse:
		return faultf(model.PeerMalformed, "the bank sent an answer of %d bytes, a card's has 2 to %d", len(m.Data), card.MaxResponse)
	case out == 1 && p.anotherAnswer():
		return faultf(model.PeerOutOfStep, "the bank sent two answers to one command")
	}
	p.outstanding.Add(-1)
	if p.c.ep.Ping > 0 {
		p.heard()
	}
	p.handler.Response(p, m.Data)
	return nil
}

// heard moves the time at which a PONG is due: it stands behind the answer.
func (p *bankPeer) heard() {
	if _, out := p.c.pongDue(); out {
		p.c.heard = time.Now()
		p.c.arm()
	}
}

// anotherAnswer tells whether one more answer has come already.
func (p *bankPeer) anotherAnswer() bool {
	f, ok := p.c.rd.Peek()
	if !ok || f.Proto != rspro.ProtoOSMO {
		return false
	}
	if _, err := p.peek.Decode(f.Payload); err != nil {
		return false // refused when its turn comes
	}
	_, ok = p.peek.Msg.(*rspro.TpduCardToModem)
	return ok
}

// Send sends one command TPDU. See card.Bank.
func (p *bankPeer) Send(tpdu []byte) error {
	if len(tpdu) < card.MinTPDU || len(tpdu) > card.MaxTPDU {
		return fmt.Errorf("send command to the bank: %d bytes, %d to %d are possible", len(tpdu), card.MinTPDU, card.MaxTPDU)
	}
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	var err error
	if c.buf, err = rspro.AppendTpduModemToCard(c.buf[:0], c.client, p.slot, tpdu); err != nil {
		return err
	}
	p.outstanding.Add(1)
	return c.flush()
}

// Lines tells the bank of a reset. See card.Bank.
//
// A bank compares with the values that it was told last, by us or by any client
// that its worker had before. So the edge is made whole: unless the bank is known
// to think that the card runs, it is told so first. What is no reset is not sent.
func (p *bankPeer) Lines(l card.Lines) error {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	before, now := p.modem, lines{powered: l.Powered, reset: l.Reset}
	p.modem = now
	cold := before.powered && !now.powered
	warm := before.powered && now.powered && !before.reset && now.reset
	if !cold && !warm {
		return nil
	}
	if !p.knows || p.told != running {
		if err := p.tell(running, true); err != nil {
			return err
		}
	}
	return p.tell(now, l.Clock)
}

// tell sends a clientSlotStatusInd. Call with the lock held.
func (p *bankPeer) tell(l lines, clock bool) error {
	var err error
	p.c.buf, err = rspro.AppendFrame(p.c.buf[:0], &rspro.ClientSlotStatusInd{
		FromClientSlot: p.c.client, ToBankSlot: p.slot,
		SlotPhysStatus: rspro.SlotPhysStatus{ResetActive: l.reset, VCCPresent: rspro.MaybeOf(l.powered), CLKActive: rspro.MaybeOf(clock)},
	})
	if err != nil {
		return err
	}
	p.told, p.knows = l, true
	return p.c.flush()
}

// Drop ends the connection. See card.Bank.
func (p *bankPeer) Drop(reason error) {
	p.c.cancel(&fault{text: reason.Error(), cause: reason})
}

func statusText(s rspro.SlotPhysStatus) string {
	word := func(m rspro.Maybe) string {
		switch m {
		case rspro.True:
			return "yes"
		case rspro.False:
			return "no"
		}
		return "unknown"
	}
	return fmt.Sprintf("the bank reports its slot: reset %v, powered %s, clock %s, card present %s",
		s.ResetActive, word(s.VCCPresent), word(s.CLKActive), word(s.CardPresent))
}
