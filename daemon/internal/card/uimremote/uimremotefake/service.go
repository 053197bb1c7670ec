package uimremotefake

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// QMI services that the fake has.
const (
	ctl    = 0x00
	dms    = 0x02
	uim    = 0x0B
	remote = 0x32
)

// QMI errors that it gives.
const (
	codeMalformed  = 1
	codeInternal   = 3
	codeNoClient   = 7
	codeInUse      = 23
	codeNoService  = 31
	codeBadCommand = 71
)

type clientKey struct{ service, client byte }

// fromQMI answers one QMI request through reply.
func (m *Modem) fromQMI(w *wire, b []byte, reply func([]byte)) {
	p, err := decode(b)
	if err != nil || p.kind != isRequest {
		m.log("not a QMI request: % X", b)
		return
	}
	m.mu.Lock()
	if m.off {
		m.mu.Unlock()
		return
	}
	answer := m.respond(w, p)
	hold := m.silent && p.service == remote
	m.mu.Unlock()
	if !hold {
		m.delayed(func() { reply(answer.encode()) })
	}
}

// respond works out the answer. m.mu is held.
func (m *Modem) respond(w *wire, p *packet) *packet {
	if p.service == ctl {
		return m.control(w, p)
	}
	owner, ok := m.clients[clientKey{p.service, p.client}]
	switch {
	case !ok:
		return p.answer(codeNoClient)
	case owner != w:
		m.clients[clientKey{p.service, p.client}] = w // as the proxies' "reowned"
	}
	switch p.service {
	case dms:
		return m.management(p)
	case uim:
		return m.card(p)
	case remote:
		return m.remote(w, p)
	}
	return p.answer(codeBadCommand)
}

// control is the control service, and qmi-proxy's own message.
func (m *Modem) control(w *wire, p *packet) *packet {
	v := p.tlvs[1]
	switch p.id {
	case 0xFF00:
		if !w.proxy {
			return p.answer(codeBadCommand)
		}
		w.mu.Lock()
		w.device = string(v)
		w.mu.Unlock()
		m.logLocked("qmi-proxy opens %s", v)
		return p.answer(0)
	case 0x0021: // versions
		services := []byte{ctl, dms, uim}
		if m.options.Offered {
			services = append(services, remote)
		}
		list := []byte{byte(len(services))}
		for _, s := range services {
			list = append(list, s, 1, 0, 3, 0)
		}
		return p.answer(0).add(1, list)
	case 0x0022: // allocate
		if len(v) < 1 || v[0] == remote && !m.options.Offered || !slices.Contains([]byte{dms, uim, remote}, v[0]) {
			return p.answer(codeNoService)
		}
		m.lastClient++
		m.clients[clientKey{v[0], m.lastClient}] = w
		m.logLocked("client %d of service %02X allocated", m.lastClient, v[0])
		return p.answer(0).add(1, v[0], m.lastClient)
	case 0x0023: // release
		if len(v) < 2 {
			return p.answer(codeMalformed)
		}
		key := clientKey{v[0], v[1]}
		if _, ok := m.clients[key]; !ok {
			return p.answer(codeNoClient)
		}
		delete(m.clients, key)
		m.logLocked("client %d of service %02X released", v[1], v[0])
		if key.service == remote && key.client == m.owner {
			m.lose("the client was released")
		}
		return p.answer(0).add(1, v)
	case 0x0026: // data format
		return p.answer(0).add(0x10, uint16(1))
	case 0x0027: // sync
		m.clients = make(map[clientKey]*wire)
		m.lose("CTL SYNC")
		m.Syncs++
		return p.answer(0)
	}
	return p.answer(codeBadCommand)
}

// management is the device management service.
func (m *Modem) management(p *packet) *packet {
	switch p.id {
	case 0x0021:
		return p.answer(0).add(1, []byte("fake"))
	case 0x0022:
		return p.answer(0).add(1, []byte("UIM-REMOTE-FAKE"))
	case 0x0025:
		return p.answer(0).add(0x10, []byte("0")).add(0x11, []byte("490154203237518"))
	}
	return p.answer(codeBadCommand)
}

// card is the UIM service: the card status, as far as the remote card decides it.
func (m *Modem) card(p *packet) *packet {
	if p.id != 0x002F {
		return p.answer(codeBadCommand)
	}
	none := []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF} // no provisioning sessions
	state, problem := byte(0), byte(0)
	switch {
	case m.failed:
		state, problem = 2, 5 // error, unknown in libqmi's words: ATR failure and the like
	case len(m.atr) > 0:
		state = 1 // present
	}
	// One slot, no applications: PIN state and retries of UPIN are zero.
	return p.answer(0).add(0x10, none, byte(1), state, byte(0), byte(0), byte(0), problem, byte(0))
}

// Events of UIM Remote.
const (
	evUnavailable = iota
	evAvailable
	evInserted
	evRemoved
	evError
	evReset
)

var eventNames = []string{"connection unavailable", "connection available", "card inserted", "card removed", "card error", "card reset"}

// remote is the UIM Remote service, as ddimension/wwand-rsim saw a Quectel RG650E behave.
func (m *Modem) remote(w *wire, p *packet) *packet {
	switch p.id {
	case 0x20:
		// RESET takes the client out of the service's list.
		m.unlisted[p.client] = true
		return p.answer(0)
	case 0x21:
		return m.event(w, p)
	case 0x22:
		return m.answered(p)
	}
	return p.answer(codeBadCommand)
}

// event deals with EVENT.
func (m *Modem) event(w *wire, p *packet) *packet {
	info := p.tlvs[1]
	if len(info) != 8 {
		return p.answer(codeMalformed)
	}
	ev, slot := binary.LittleEndian.Uint32(info), binary.LittleEndian.Uint32(info[4:])
	if ev >= uint32(len(eventNames)) || slot != m.options.Slot {
		return p.answer(codeMalformed)
	}
	atr, hasATR := p.tlvs[0x10]
	if hasATR && (len(atr) < 1 || int(atr[0]) != len(atr)-1 || len(atr) > 33) {
		return p.answer(codeMalformed)
	}
	why, hasCause := p.tlvs[0x12]
	switch {
	case (ev == evInserted || ev == evReset) && len(atr) < 3, ev == evError && (!hasCause || len(why) != 4):
		return p.answer(codeMalformed)
	case m.unlisted[p.client]:
		return p.answer(codeInternal)
	case m.refuse[ev] != 0:
		m.logLocked("%s refused", eventNames[ev])
		return p.answer(m.refuse[ev])
	case m.owner != 0 && m.owner != p.client:
		return p.answer(codeInUse)
	}
	m.logLocked("%s%s", eventNames[ev], detail(ev, atr, why))
	m.apply(w, p.client, ev, atr)
	return p.answer(0)
}

func detail(ev uint32, atr, why []byte) string {
	switch ev {
	case evInserted, evReset:
		return fmt.Sprintf(" %X", atr[1:])
	case evError:
		return fmt.Sprintf(", cause %d", binary.LittleEndian.Uint32(why))
	}
	return ""
}

// apply makes an event true and tells who waits for it.
func (m *Modem) apply(w *wire, client byte, ev uint32, atr []byte) {
	switch ev {
	case evAvailable:
		m.owner, m.wire, m.failed = client, w, false
	case evUnavailable:
		m.lose("the connection became unavailable")
	case evRemoved:
		m.atr = nil
		m.end(ErrNoCard)
	case evError:
		m.atr, m.failed = nil, true
		m.end(ErrCardError)
	case evInserted, evReset:
		m.atr, m.failed = append([]byte(nil), atr[1:]...), false
	}
	m.changed()
}

// answered deals with APDU: it joins the segments of the answer.
func (m *Modem) answered(p *packet) *packet {
	status, slot, id := p.tlvs[1], p.tlvs[2], p.tlvs[3]
	if len(status) != 2 || len(slot) != 4 || len(id) != 4 || binary.LittleEndian.Uint32(slot) != m.options.Slot {
		return p.answer(codeMalformed)
	}
	x := m.exchange
	if x == nil || binary.LittleEndian.Uint32(id) != x.id {
		m.logLocked("answer to a command that is over")
		m.Late++
		return p.answer(codeInternal)
	}
	if binary.LittleEndian.Uint16(status) != 0 {
		m.finish(nil, ErrFailed)
		return p.answer(0)
	}
	part, segment := p.tlvs[0x10], p.tlvs[0x11]
	if len(part) != 8 || len(segment) < 2 || int(binary.LittleEndian.Uint16(segment)) != len(segment)-2 || len(segment) > 2+1024 {
		return p.answer(codeMalformed)
	}
	total, offset := binary.LittleEndian.Uint32(part), binary.LittleEndian.Uint32(part[4:])
	if int(offset) != len(x.got) || int(offset)+len(segment)-2 > int(total) {
		m.finish(nil, fmt.Errorf("%w: segment at %d of %d, have %d", ErrFailed, offset, total, len(x.got)))
		return p.answer(codeMalformed)
	}
	x.got = append(x.got, segment[2:]...)
	if len(x.got) == int(total) {
		m.finish(x.got, nil)
	}
	return p.answer(0)
}
