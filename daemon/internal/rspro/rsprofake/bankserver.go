package rsprofake

import (
	"fmt"
	"net"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// again is how long the bank waits before it tries its server once more; the
// real one takes 0 to 10 s.
const again = 100 * time.Millisecond

// register keeps the bank connected to its server until it is stopped.
func (b *Bank) register(stopped <-chan struct{}) {
	for {
		addr := b.cfg.ServerAddr
		if b.cfg.Server != nil {
			addr = b.cfg.Server.Addr()
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			b.registered(c, stopped)
		}
		t := time.NewTimer(again)
		select {
		case <-stopped:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// registered runs one connection to the server.
func (b *Bank) registered(c net.Conn, stopped <-chan struct{}) {
	l := newLink(c, b.cfg.Ping)
	defer l.close()
	b.tasks.Go(func() {
		select {
		case <-stopped:
			l.close()
		case <-l.done:
		}
	})
	l.send(frame(&rspro.ConnectBankReq{Identity: identity(rspro.RemsimBankd, b.cfg.Name, "remsim-bankd"), BankID: int64(b.cfg.ID), NumberOfSlots: int64(b.cfg.Slots)}))
	open := &gateway{}
	err := l.run(open, func(m rspro.Message) error { return b.fromServer(l, m) })
	b.trace("server gone: %v", err)
}

func (b *Bank) fromServer(l *link, m rspro.Message) error {
	switch m := m.(type) {
	case *rspro.ConnectBankRes:
		if m.Identity.Type != rspro.RemsimServer || m.Result != rspro.ResultOK {
			return fmt.Errorf("server is a %v and says %v", m.Identity.Type, m.Result)
		}
	case *rspro.CreateMappingReq:
		result := b.checkSlot(m.Bank)
		if result == rspro.ResultOK {
			b.createMap(modelBank(m.Bank), modelClient(m.Client))
		}
		l.send(frame(&rspro.CreateMappingRes{Result: result}))
	case *rspro.RemoveMappingReq:
		result := b.checkSlot(m.Bank)
		if result == rspro.ResultOK && !b.removeMap(modelBank(m.Bank)) {
			result = rspro.ResultUnknownSlotmap
		}
		l.send(frame(&rspro.RemoveMappingRes{Result: result}))
	case *rspro.ResetStateReq:
		b.resetState()
		l.send(frame(&rspro.ResetStateRes{}))
	}
	return nil
}

func (b *Bank) checkSlot(s rspro.BankSlot) rspro.ResultCode {
	switch {
	case s.BankID != int64(b.cfg.ID):
		return rspro.ResultIllegalBankID
	case s.SlotNr < 0 || s.SlotNr >= int64(b.cfg.Slots):
		return rspro.ResultIllegalSlotID
	}
	return rspro.ResultOK
}

// resetState removes all maps and drops all clients.
func (b *Bank) resetState() {
	b.state.Lock()
	defer b.state.Unlock()
	b.state.maps = map[model.BankSlot]model.ClientSlot{}
	for _, c := range b.state.opening {
		_ = c.Close()
	}
}
