package rsprofake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// conn is one client of the bank.
type conn struct {
	net.Conn
	bank    *Bank
	worker  *worker
	id      uint64
	stopped <-chan struct{}

	// Under the lock of the bank:
	client *model.ClientSlot // nil: not introduced
	slot   int               // -1: no card
	gone   bool              // the connection is over: no card any more

	last []byte // the answer before, for WrongOrder
}

// Why the real bank drops a client.
var (
	errShortRecv = errors.New("header or body did not come in one piece")
	errProtocol  = errors.New("unexpected message")
	errNoCard    = errors.New("the card is gone")
)

// serve runs one connection, then gives the worker back.
func (b *Bank) serve(c net.Conn, w *worker, idle chan<- *worker, stopped <-chan struct{}) {
	defer func() { idle <- w }()
	b.state.Lock()
	b.state.conns++
	cn := &conn{Conn: c, bank: b, worker: w, id: b.state.conns, stopped: stopped, slot: -1}
	b.state.opening[cn.id] = cn
	greet := b.state.greet
	opening := b.state.opening
	b.state.Unlock()
	defer func() {
		cn.release()
		b.state.Lock()
		delete(opening, cn.id)
		b.state.Unlock()
	}()
	if greet != nil {
		_, _ = c.Write(greet)
		return
	}
	err := cn.run()
	b.trace("connection %d ends: %v", cn.id, err)
	if errors.Is(err, errShortRecv) || errors.Is(err, errProtocol) {
		b.wrong("connection %d: %v", cn.id, err)
	}
}

// run reads as the real bank does: one recv for the header, one for the body, no
// deadline at all.
func (c *conn) run() error {
	b := make([]byte, 1<<16)
	for {
		if !c.bank.stall.wait(c.stopped) {
			return errStopped
		}
		n, err := c.Read(b[:rspro.HeaderLen])
		if err != nil {
			return err
		}
		if n != rspro.HeaderLen {
			return fmt.Errorf("%w: %d bytes of header", errShortRecv, n)
		}
		proto, want := b[2], int(binary.BigEndian.Uint16(b))
		if want == 0 {
			continue // the real one blocks in recv(…, 0) until more comes
		}
		if n, err = c.Read(b[:want]); err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("%w: %d bytes of %d", errShortRecv, n, want)
		}
		if !c.bank.stall.wait(c.stopped) {
			return errStopped
		}
		if err := c.take(proto, b[:want]); err != nil {
			return err
		}
	}
}

func (c *conn) take(proto byte, body []byte) error {
	switch {
	case proto == rspro.ProtoCCM && body[0] == rspro.Ping:
		return c.send(rspro.AppendCCM(nil, rspro.Pong))
	case proto == rspro.ProtoCCM && body[0] == rspro.IDAck:
		return c.send(rspro.AppendCCM(nil, rspro.IDAck))
	case proto == rspro.ProtoCCM:
		return nil
	case proto != rspro.ProtoOSMO || body[0] != rspro.ExtRSPRO:
		return fmt.Errorf("%w: IPA protocol %02x", errProtocol, proto)
	}
	var p rspro.PDU
	if _, err := p.Decode(body[1:]); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	switch m := p.Msg.(type) {
	case *rspro.ConnectClientReq:
		return c.connect(m)
	case *rspro.SetATRRes:
		c.bank.trace("connection %d > setAtrRes %v", c.id, m.Result)
		return nil
	case *rspro.TpduModemToCard:
		return c.tpdu(m)
	case *rspro.ClientSlotStatusInd:
		return c.status(m)
	case *rspro.ErrorInd:
		return nil
	}
	return fmt.Errorf("%w: %s", errProtocol, p.Msg.Name())
}

func (c *conn) send(b []byte) error {
	_, err := c.Write(b)
	return err
}

// connect introduces the client. A client without a map, or whose card cannot be
// had, is told cardNotPresent and kept.
func (c *conn) connect(m *rspro.ConnectClientReq) error {
	b := c.bank
	id := identity(rspro.RemsimBankd, b.cfg.Name, "remsim-bankd")
	b.state.Lock()
	again := c.client != nil
	if m.ClientSlot != nil && !again {
		slot := modelClient(*m.ClientSlot)
		c.client = &slot
	}
	b.state.Unlock()
	if again || m.ClientSlot == nil {
		_ = c.send(connectClientRes(id, rspro.ResultIllegalClientID))
		return fmt.Errorf("%w: connectClientReq without a slot, or twice", errProtocol)
	}
	if !c.open() {
		b.trace("%s: cardNotPresent", m.ClientSlot)
		return c.send(connectClientRes(id, rspro.ResultCardNotPresent))
	}
	atr := c.reset("power-on", true)
	b.trace("%s has slot %d, connection %d", m.ClientSlot, c.slot, c.id)
	if err := c.send(connectClientRes(id, rspro.ResultOK)); err != nil {
		return err
	}
	return c.send(frame(&rspro.SetATRReq{Slot: *m.ClientSlot, ATR: atr}))
}

// open takes the card that is mapped to the client, if nobody has it.
func (c *conn) open() bool {
	b := c.bank
	b.state.Lock()
	defer b.state.Unlock()
	for bank, client := range b.state.maps {
		if client != *c.client || c.gone {
			continue
		}
		s := b.state.slots[bank.Slot]
		if s.card == nil || s.holder != 0 {
			return false
		}
		s.holder = c.id
		c.slot = int(bank.Slot)
		return true
	}
	return false
}

// mapAdded is told of a new map, with the lock held. A client that waits for one
// gets the card, but no setAtrReq: that is how the real bank does it.
func (c *conn) mapAdded(client model.ClientSlot) {
	if c.client == nil || *c.client != client || c.slot >= 0 {
		return
	}
	c.bank.tasks.Go(func() { // the real one does it in the worker's thread, from a signal
		if c.open() {
			c.reset("power-on", true)
		}
	})
}

// holds tells whether the client has this slot; call with the lock held.
func (c *conn) holds(bank model.BankSlot) bool {
	return c.slot == int(bank.Slot) && bank.ID == c.bank.cfg.ID
}

// card is the card of the slot that the client holds.
func (c *conn) card() (*bankSlotState, Card) {
	c.bank.state.Lock()
	defer c.bank.state.Unlock()
	if c.slot < 0 {
		return nil, nil
	}
	s := c.bank.state.slots[c.slot]
	return s, s.card
}

func (c *conn) reset(kind string, cold bool) []byte {
	s, card := c.card()
	if card == nil {
		return nil
	}
	s.use.Lock()
	defer s.use.Unlock()
	atr := card.Reset(cold)
	c.bank.note(Entry{Conn: c.id, Slot: c.slot, Kind: kind})
	return atr
}

// release gives the card up, which takes its power away.
func (c *conn) release() {
	c.bank.state.Lock()
	c.gone = true
	c.bank.state.Unlock()
	s, card := c.card()
	if s == nil {
		return
	}
	if card != nil {
		s.use.Lock()
		card.PowerOff()
		s.use.Unlock()
		c.bank.note(Entry{Conn: c.id, Slot: c.slot, Kind: "power-off"})
	}
	c.bank.state.Lock()
	defer c.bank.state.Unlock()
	s.holder = 0
	c.slot = -1
}

// status resets the card on edges, against the last values of the worker.
func (c *conn) status(m *rspro.ClientSlotStatusInd) error {
	st, w := m.SlotPhysStatus, c.worker
	switch {
	case st.VCCPresent == rspro.False:
		if w.lastVCC {
			c.reset("cold-reset", true)
		}
	case st.ResetActive && !w.lastReset:
		c.reset("warm-reset", false)
	}
	if st.VCCPresent != rspro.Absent {
		w.lastVCC = st.VCCPresent == rspro.True
	}
	w.lastReset = st.ResetActive
	return nil
}

// tpdu runs one command, with every check of the real bank.
func (c *conn) tpdu(m *rspro.TpduModemToCard) error {
	s, card := c.card()
	from, to := modelClient(m.FromClientSlot), modelBank(m.ToBankSlot)
	switch {
	case s == nil:
		return fmt.Errorf("%w: TPDU without a card", errProtocol)
	case to.ID != c.bank.cfg.ID || int(to.Slot) != c.slot || from != *c.client:
		return fmt.Errorf("%w: TPDU from %s to %s, this is %s and slot %d", errProtocol, m.FromClientSlot, m.ToBankSlot, clientSlot(*c.client), c.slot)
	case len(m.Data) < 5 || len(m.Data) > 260:
		return fmt.Errorf("%w: TPDU of %d bytes", errProtocol, len(m.Data))
	}
	b := c.bank
	b.state.Lock()
	delay, fault := b.state.delay, Fault(-1)
	if len(b.state.faults) > 0 {
		fault, b.state.faults = b.state.faults[0], b.state.faults[1:]
	}
	b.state.Unlock()
	if card == nil { // SCardTransmit fails: no answer, the client goes
		b.note(Entry{Conn: c.id, Slot: c.slot, Kind: "tpdu", Command: m.Data})
		return errNoCard
	}
	if fault == CutBefore {
		b.note(Entry{Conn: c.id, Slot: c.slot, Kind: "tpdu", Command: m.Data})
		return errStopped
	}
	s.use.Lock()
	answer := card.Transmit(m.Data)
	s.use.Unlock()
	at := b.note(Entry{Conn: c.id, Slot: c.slot, Kind: "tpdu", Command: m.Data, Answer: answer})
	if !c.sleep(delay) {
		return errStopped
	}
	b.noteSent(at, true) // first: who has the answer finds it in the log
	sent, err := c.answer(fault, m, answer)
	if !sent || err != nil {
		b.noteSent(at, false)
	}
	c.last = answer
	return err
}

// sleep waits for d; it is false if the bank stops.
func (c *conn) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.stopped:
		return false
	}
}

// answer writes the answer as the fault has it, and tells whether the client can
// have got it.
func (c *conn) answer(fault Fault, m *rspro.TpduModemToCard, answer []byte) (sent bool, err error) {
	reply := func(to rspro.ClientSlot, data []byte) []byte {
		return frame(&rspro.TpduCardToModem{FromBankSlot: m.ToBankSlot, ToClientSlot: to, Data: data})
	}
	right := reply(m.FromClientSlot, answer)
	switch fault {
	case StallAnswer:
		<-c.stopped // like a mute card: the worker hangs, the client's FIN goes unseen
		return false, errStopped
	case CutAfter:
		return false, errStopped
	case ResetAfter:
		cut(c.Conn, true)
		return false, errStopped
	case Duplicate:
		return true, c.send(append(right, right...))
	case WrongOrder:
		stale := c.last
		if stale == nil {
			stale = []byte{0x6f, 0x00}
		}
		return true, c.send(append(reply(m.FromClientSlot, stale), right...))
	case BadBER:
		return false, c.send(badBER())
	case HTTP:
		return false, c.send([]byte(httpAnswer))
	case ShortAnswer:
		return false, c.send(reply(m.FromClientSlot, []byte{0x90}))
	case LongAnswer:
		return false, c.send(reply(m.FromClientSlot, make([]byte, 259)))
	case WrongSlot:
		other := m.FromClientSlot
		other.ClientID++
		return false, c.send(reply(other, answer))
	case Dribble:
		for i := range right {
			if err := c.send(right[i : i+1]); err != nil {
				return false, err
			}
		}
		return true, nil
	case Extra:
		if err := c.send(right); err != nil {
			return false, err
		}
		return true, c.send(right)
	}
	return true, c.send(right)
}
