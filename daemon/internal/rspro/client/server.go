package client

import (
	"fmt"
	"net/netip"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// maxID is the highest client, bank and slot number of RSPRO.
const maxID = 1023

// serverPeer is our side of the connection to a server.
type serverPeer struct{ c *conn }

func newServerPeer(c *conn, _ *target) peer { return &serverPeer{c: c} }

func (p *serverPeer) kind() (rspro.ComponentType, string) { return rspro.RemsimServer, "the server" }
func (p *serverPeer) connected()                          {}
func (p *serverPeer) busy() bool                          { return false }
func (p *serverPeer) down(error)                          {}

func (p *serverPeer) message(m rspro.Message) error {
	switch m := m.(type) {
	case *rspro.ConfigClientBankReq:
		return p.configBank(m)
	case *rspro.ConfigClientIDReq:
		return p.configID(m)
	case *rspro.ResetStateReq:
		if err := p.c.send(&rspro.ResetStateRes{}); err != nil {
			return err
		}
		p.note("the server asked to reset all state")
		p.c.s.resetState()
	case *rspro.ErrorInd:
		p.note(errorText(m))
	default:
		p.note("the server sent " + m.Name() + ", which is ignored")
	}
	return nil
}

func (p *serverPeer) note(text string) { p.c.note(model.KindServer, text) }

// configBank takes an assignment. It is answered first, like the C client does,
// then acted upon.
func (p *serverPeer) configBank(m *rspro.ConfigClientBankReq) error {
	a, result, err := announced(m)
	if err != nil {
		p.note("the server assigns what cannot be: " + err.Error())
	}
	if err := p.c.send(&rspro.ConfigClientBankRes{Result: result}); err != nil {
		return err
	}
	if result == rspro.ResultOK {
		p.c.s.assign(a)
	}
	return nil
}

// announced reads an assignment; nil means that no bank is assigned.
func announced(m *rspro.ConfigClientBankReq) (*assignment, rspro.ResultCode, error) {
	switch {
	case !inRange(m.BankSlot.BankID, maxID):
		return nil, rspro.ResultIllegalBankID, fmt.Errorf("bank id %d is not in 0..%d", m.BankSlot.BankID, maxID)
	case !inRange(m.BankSlot.SlotNr, maxID):
		return nil, rspro.ResultIllegalSlotID, fmt.Errorf("bank slot %d is not in 0..%d", m.BankSlot.SlotNr, maxID)
	case m.Bankd.Port == 0:
		return nil, rspro.ResultOK, nil
	case !inRange(m.Bankd.Port, 65535):
		return nil, rspro.ResultIllegalBankID, fmt.Errorf("port %d is not in 0..65535", m.Bankd.Port)
	}
	ip, ok := netip.AddrFromSlice(m.Bankd.IP.Bytes)
	if !ok || ip.Is6() != m.Bankd.IP.V6 {
		return nil, rspro.ResultIllegalBankID, fmt.Errorf("an address of %d bytes", len(m.Bankd.IP.Bytes))
	}
	slot := model.BankSlot{ID: uint16(m.BankSlot.BankID), Slot: uint16(m.BankSlot.SlotNr)}
	return &assignment{slot: slot, addr: netip.AddrPortFrom(ip.Unmap(), uint16(m.Bankd.Port))}, rspro.ResultOK, nil
}

func inRange(v, highest int64) bool { return v >= 0 && v <= highest }

// configID takes another identity; the next connections use it.
func (p *serverPeer) configID(m *rspro.ConfigClientIDReq) error {
	if !inRange(m.ClientSlot.ClientID, maxID) || !inRange(m.ClientSlot.SlotNr, maxID) {
		p.note(fmt.Sprintf("the server assigns what cannot be: client slot %s is not in 0..%d", m.ClientSlot, maxID))
		return p.c.send(&rspro.ConfigClientIDRes{Result: rspro.ResultIllegalClientID})
	}
	p.c.s.setClient(model.ClientSlot{ID: uint16(m.ClientSlot.ClientID), Slot: uint16(m.ClientSlot.SlotNr)})
	p.note(fmt.Sprintf("the server calls this client %s from the next connection on", m.ClientSlot))
	return p.c.send(&rspro.ConfigClientIDRes{})
}
