package ubusfake

import (
	"encoding/binary"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// monitor is a peer that sees every message.
type monitor struct {
	peer *peer
	seq  uint16
}

// The attributes of a MONITOR message.
const (
	monClient ubus.AttrID = iota
	monPeer
	monSend
	monSeq
	monType
	monData
)

func (b *Broker) invokeMonitor(p *peer, a *ubus.Attrs) ubus.Status {
	if !p.trusted || p.uid == 0 && p.gid != 0 {
		return ubus.StatusPermissionDenied
	}
	switch a.Method {
	case "add", "remove":
		b.monitors = slices.DeleteFunc(b.monitors, func(mon *monitor) bool { return mon.peer == p })
		if a.Method == "add" {
			b.monitors = append(b.monitors, &monitor{peer: p})
		}
		return ubus.StatusOK
	}
	return ubus.StatusMethodNotFound
}

// monitor shows a message that the broker received from p or sends to p.
func (b *Broker) monitor(p *peer, m ubus.Message, sent bool) {
	for _, mon := range b.monitors {
		mon.seq++
		frame := ubus.Begin(nil, ubus.MsgMonitor, mon.seq, 0).
			Uint32(monClient, p.id).Uint32(monPeer, m.Peer).Uint32(monSeq, uint32(m.Seq)).
			Uint32(monType, uint32(m.Type)).Bool(monSend, sent).Nested(monData, m.Body).Frame()
		b.send(mon.peer, frame)
	}
}

func (b *Broker) monitorFrame(p *peer, frame []byte) {
	if len(b.monitors) == 0 || ubus.MsgType(frame[1]) == ubus.MsgMonitor {
		return
	}
	b.monitor(p, ubus.Message{
		Version: frame[0], Type: ubus.MsgType(frame[1]), Seq: binary.BigEndian.Uint16(frame[2:]),
		Peer: binary.BigEndian.Uint32(frame[4:]), Body: frame[12:],
	}, true)
}
