package rsprofake

import (
	"fmt"
	"net"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
)

// rejectedFor is how long the real server keeps a connection that it has
// refused.
const rejectedFor = time.Second

// serverPeer is one connection of a server.
type serverPeer struct {
	s      *Server
	link   *link
	name   string
	client *model.ClientSlot
	bank   *uint16
}

// handle takes one message.
func (p *serverPeer) handle(m rspro.Message) error {
	switch m := m.(type) {
	case *rspro.ConnectClientReq:
		return p.connectClient(m)
	case *rspro.ConnectBankReq:
		return p.connectBank(m)
	case *rspro.CreateMappingRes:
		p.mapped(m.Result)
	case *rspro.RemoveMappingRes:
		p.unmapped(m.Result)
	case *rspro.ConfigClientBankRes:
		p.trace("configClientBankRes %v", m.Result)
	case *rspro.ConfigClientIDRes:
		p.trace("configClientIdRes %v", m.Result)
	case *rspro.ResetStateRes:
		p.trace("resetStateRes %v", m.Result)
	default:
		p.trace("%s, ignored", m.Name())
	}
	return nil
}

func (p *serverPeer) trace(format string, args ...any) {
	p.s.cfg.Trace("server: " + p.name + " > " + fmt.Sprintf(format, args...))
}

func (p *serverPeer) connectClient(m *rspro.ConnectClientReq) error {
	s := p.s
	if m.ClientSlot == nil || m.Identity.Type != rspro.RemsimClient {
		s.wrong("connectClientReq of a %v, slot %v: the real server dies of it", m.Identity.Type, m.ClientSlot)
		return errStopped
	}
	slot := modelClient(*m.ClientSlot)
	p.name = clientSlot(slot).String()
	p.trace("connectClientReq %s %s", m.Identity.Software, m.Identity.SWVersion)
	s.state.Lock()
	id := identity(s.state.claim, s.cfg.Name, "remsim-server")
	result := s.state.refuse
	if _, taken := s.state.clients[slot]; taken && result == rspro.ResultOK {
		result = rspro.ResultIdentityInUse
	}
	if result != rspro.ResultOK {
		s.state.Unlock()
		p.trace("refused: %v", result)
		p.link.send(connectClientRes(id, result))
		p.link.endAfter(rejectedFor)
		return nil
	}
	p.client = &slot
	s.state.clients[slot] = p.link
	delete(s.state.told, slot)
	p.link.send(connectClientRes(id, rspro.ResultOK))
	for _, sm := range s.state.maps {
		if sm.client == slot {
			s.tell(sm)
		}
	}
	s.state.Unlock()
	return nil
}

func (p *serverPeer) connectBank(m *rspro.ConnectBankReq) error {
	s := p.s
	id := uint16(m.BankID)
	p.name = fmt.Sprintf("B%d", id)
	p.trace("connectBankReq, %d slots", m.NumberOfSlots)
	ip := net.IPv4(127, 0, 0, 1)
	if a, ok := p.link.conn.RemoteAddr().(*net.TCPAddr); ok && a.IP.To4() != nil {
		ip = a.IP
	}
	s.state.Lock()
	defer s.state.Unlock()
	result := rspro.ResultOK
	if _, taken := s.state.banks[id]; taken {
		result = rspro.ResultIdentityInUse
	}
	p.link.send(frame(&rspro.ConnectBankRes{Identity: identity(s.state.claim, s.cfg.Name, "remsim-server"), Result: result}))
	if result != rspro.ResultOK {
		p.link.endAfter(rejectedFor)
		return nil
	}
	p.bank = &id
	s.state.banks[id] = bankLink{link: p.link, ip: ip}
	for _, sm := range s.state.maps {
		if sm.bank.ID == id {
			s.create(sm)
		}
	}
	return nil
}

// mapped takes a createMappingRes. The real server matches it with the first map
// that waits, and does not look at the result.
func (p *serverPeer) mapped(r rspro.ResultCode) {
	p.trace("createMappingRes %v", r)
	p.s.state.Lock()
	defer p.s.state.Unlock()
	for _, m := range p.s.state.maps {
		if p.bank != nil && m.bank.ID == *p.bank && m.state == mapUnacked {
			m.state = mapActive
			p.s.tell(m)
			return
		}
	}
}

func (p *serverPeer) unmapped(r rspro.ResultCode) {
	p.trace("removeMappingRes %v", r)
	p.s.state.Lock()
	defer p.s.state.Unlock()
	for _, m := range p.s.state.maps {
		if p.bank != nil && m.bank.ID == *p.bank && m.state == mapDeleting {
			p.s.delete(m)
			return
		}
	}
}

// gone forgets the peer. The maps of a bank stay, and its clients are told
// nothing.
func (p *serverPeer) gone() {
	s := p.s
	s.state.Lock()
	defer s.state.Unlock()
	if p.client != nil && s.state.clients[*p.client] == p.link {
		delete(s.state.clients, *p.client)
	}
	if p.bank != nil && s.state.banks[*p.bank].link == p.link {
		delete(s.state.banks, *p.bank)
		for _, m := range s.state.maps {
			if m.bank.ID == *p.bank && m.state != mapDeleting {
				m.state = mapNew
			}
		}
	}
	p.link.close()
}
