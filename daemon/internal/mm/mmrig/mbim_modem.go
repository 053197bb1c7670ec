package mmrig

import "fmt"

// MBIM status codes (§9.4.5).
const (
	statusFailure       = 2
	statusNoSIM         = 3
	statusPINRequired   = 5
	statusNoService     = 9 // NO_DEVICE_SUPPORT
	statusNotRegistered = 7
)

// Basic Connect command ids (§10.5).
const (
	cidDeviceCaps      = 1
	cidSubscriber      = 2
	cidRadio           = 3
	cidPIN             = 4
	cidPINList         = 5
	cidRegister        = 9
	cidPacketService   = 10
	cidSignal          = 11
	cidConnect         = 12
	cidServices        = 16
	cidIPConfiguration = 15
	cidSubscribe       = 19
	cidStatistics      = 20
	cidReset           = 10 // of Microsoft's Basic Connect Extensions
)

// answerCommand answers one command; a muted modem does not.
func (m *Modem) answerCommand(ch *mbimChannel, q request) {
	m.mu.Lock()
	if m.muted {
		m.mu.Unlock()
		return
	}
	if q.service == msBasicExt && q.cid == cidReset && q.set {
		m.mu.Unlock()
		ch.done(q, 0, nil)
		m.reset()
		return
	}
	status, data, after := m.answerMBIM(q)
	if status == statusNoService {
		m.unknown = append(m.unknown, fmt.Sprintf("MBIM %x cid %d", q.service[:4], q.cid))
	}
	m.mu.Unlock()
	ch.done(q, status, data)
	for _, what := range after {
		ch.tell(m, what)
	}
}

// answerMBIM returns the answer and what to indicate afterwards. m.mu is held.
func (m *Modem) answerMBIM(q request) (status uint32, data []byte, after []change) {
	if q.service != basicConnect {
		return statusNoService, nil, nil
	}
	switch q.cid {
	case cidServices:
		return 0, m.mbimServices(), nil
	case cidDeviceCaps:
		return 0, m.mbimCaps(), nil
	case cidSubscriber:
		return 0, m.mbimSubscriber(), nil
	case cidRadio:
		if q.set {
			m.radio = q.u32(0) == 1
			after = []change{registrationChanged}
		}
		return 0, (&record{}).u32(1, flag(m.radio)).bytes(), after
	case cidPIN:
		return m.mbimPIN(q)
	case cidPINList:
		return 0, m.mbimPINList(), nil
	case cidRegister:
		return 0, m.mbimRegister(), nil
	case cidPacketService:
		return 0, m.mbimPacketService(), nil
	case cidSignal:
		return 0, m.mbimSignal(), nil
	case cidConnect:
		return m.mbimConnect(q)
	case cidIPConfiguration:
		return 0, mbimIPConfiguration(), nil
	case cidSubscribe:
		return 0, q.data, nil
	case cidStatistics:
		return 0, (&record{}).u32(0, 0).u64(0, 0, 0, 0).u32(0, 0).bytes(), nil
	}
	return statusNoService, nil, nil
}

// tell sends the indications for a change.
func (c *mbimChannel) tell(m *Modem, what change) {
	type indication struct {
		cid  uint32
		data []byte
	}
	m.mu.Lock()
	var all []indication
	switch what {
	case cardChanged:
		all = []indication{{cidSubscriber, m.mbimSubscriber()}, {cidRegister, m.mbimRegister()}, {cidPacketService, m.mbimPacketService()}}
	case registrationChanged:
		all = []indication{{cidRegister, m.mbimRegister()}, {cidPacketService, m.mbimPacketService()}}
	case signalChanged:
		all = []indication{{cidSignal, m.mbimSignal()}}
	}
	if m.muted {
		all = nil
	}
	m.mu.Unlock()
	for _, i := range all {
		c.indicate(i.cid, i.data)
	}
}

func flag(on bool) uint32 {
	if on {
		return 1
	}
	return 0
}

func (m *Modem) mbimServices() []byte {
	cids := []uint32{
		cidDeviceCaps, cidSubscriber, cidRadio, cidPIN, cidPINList, cidRegister, cidPacketService, cidSignal, cidConnect, cidIPConfiguration,
		cidServices, cidSubscribe, cidStatistics,
	}
	basic := (&record{fixed: append([]byte(nil), basicConnect[:]...)}).u32(0, 1, uint32(len(cids))).u32(cids...).fixed
	ext := (&record{fixed: append([]byte(nil), msBasicExt[:]...)}).u32(0, 0, 1, cidReset).fixed
	return (&record{}).u32(2, 0).blob(basic).blob(ext).bytes()
}

func (m *Modem) mbimCaps() []byte {
	const gprsToLTE = 0x3f
	return (&record{}).u32(1, 1, 1, 2, gprsToLTE, 3, 1, 8).text("").text(m.Spec.IMEI).text(m.Spec.Revision).text(m.Spec.Model).bytes()
}

func (m *Modem) mbimSubscriber() []byte {
	const initialized, notInserted, deviceLocked = 1, 2, 6
	switch {
	case m.card == nil:
		return (&record{}).u32(notInserted).text("").text("").u32(0, 0).bytes()
	case m.locked():
		// EF.ICCID is readable without the PIN (TS 102 221 §13.2), the IMSI is not.
		return (&record{}).u32(deviceLocked).text("").text(m.card.ICCID).u32(0, 0).bytes()
	}
	return (&record{}).u32(initialized).text(m.card.IMSI).text(m.card.ICCID).u32(0, 1).text("12025550123").bytes()
}

func (m *Modem) mbimPIN(q request) (uint32, []byte, []change) {
	const pin1, puk1, enter = 2, 11, 0
	if m.card == nil {
		return statusNoSIM, nil, nil
	}
	state := func() []byte {
		if m.card.Tries == 0 {
			return (&record{}).u32(puk1, 1, 10).bytes()
		}
		return (&record{}).u32(pin1, flag(m.locked()), uint32(m.card.Tries)).bytes()
	}
	if !q.set {
		return 0, state(), nil
	}
	if q.u32(0) != pin1 || q.u32(4) != enter {
		return statusNoService, nil, nil
	}
	if !m.enter(q.text(8)) {
		return statusFailure, state(), nil
	}
	return 0, state(), []change{cardChanged}
}

func (m *Modem) mbimPINList() []byte {
	const enabled, disabled, numeric = 1, 2, 1
	mode := uint32(disabled)
	if m.card != nil && m.card.PIN != "" {
		mode = enabled
	}
	r := (&record{}).u32(mode, numeric, 4, 8)
	for range 9 {
		r.u32(0, 0, 0, 0)
	}
	return r.bytes()
}

func (m *Modem) mbimRegister() []byte {
	const deregistered, searching, home, roaming, denied = 1, 2, 3, 4, 6
	const automatic, lte, gsm = 1, 0x20, 1
	switch {
	case m.registered():
		state := uint32(home)
		if m.reg == Roaming {
			state = roaming
		}
		return (&record{}).u32(0, state, automatic, lte, gsm).text("00101").text("Test PLMN 1-1").text("").u32(0).bytes()
	case !m.radio || m.card == nil || m.locked():
		return (&record{}).u32(0, deregistered, automatic, 0, gsm).text("").text("").text("").u32(0).bytes()
	case m.reg == Denied:
		return (&record{}).u32(11, denied, automatic, 0, gsm).text("").text("").text("").u32(0).bytes()
	}
	return (&record{}).u32(0, searching, automatic, 0, gsm).text("").text("").text("").u32(0).bytes()
}

func (m *Modem) mbimPacketService() []byte {
	const attached, detached, lte = 2, 4, 0x20
	if m.registered() {
		return (&record{}).u32(0, attached, lte).u64(50e6, 150e6).bytes()
	}
	return (&record{}).u32(0, detached, 0).u64(0, 0).bytes()
}

// mbimSignal codes RSSI as 0..31 from -113 dBm in steps of 2 (§10.5.12).
func (m *Modem) mbimSignal() []byte {
	return (&record{}).u32(uint32(m.csq()), 99, 30, 2, 0).bytes()
}

func (m *Modem) mbimConnect(q request) (uint32, []byte, []change) {
	const activated, deactivated, ipv4 = 1, 3, 1
	internet := []byte{0x7e, 0x5e, 0x2a, 0x7e, 0x4e, 0x6f, 0x72, 0x72, 0x73, 0x6b, 0x65, 0x6e, 0x7e, 0x5e, 0x2a, 0x7e} // §10.5.12, the "Internet" context
	if q.set {
		switch {
		case q.u32(4) == 0:
			m.apn = ""
		case !m.registered():
			return statusNotRegistered, nil, nil
		default:
			if m.apn = q.text(8); m.apn == "" {
				m.apn = "-"
			}
		}
	}
	state := uint32(deactivated)
	if m.apn != "" {
		state = activated
	}
	r := (&record{}).u32(q.u32(0), state, 0, ipv4)
	r.fixed = append(r.fixed, internet...)
	return 0, r.u32(0).bytes(), nil
}

// mbimIPConfiguration hands out 192.0.2.2/24 (TEST-NET-1, RFC 5737).
func mbimIPConfiguration() []byte {
	const all = 15 // address, gateway, DNS and MTU are given
	r := (&record{}).u32(0, all, 0, 1).offset([]byte{24, 0, 0, 0, 192, 0, 2, 2}).u32(0, 0)
	r.offset([]byte{192, 0, 2, 1}).u32(0, 1).offset([]byte{192, 0, 2, 1})
	return r.u32(0, 0, 1500, 1500).bytes()
}
