package engine

import (
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cardswitch"
	"github.com/terminills/remsim-openwrt/daemon/internal/fronts"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// modem is what the engine knows and wants of one configured modem.
type modem struct {
	conf Modem

	// Wanted, by command; they hold until the daemon ends.
	source     model.Source // "" as configured
	mapped     *model.BankAssignment
	unmapped   bool
	tracing    bool
	generation int64

	// Seen.
	server, bankd peer
	client        model.ClientSlot
	assigned      *model.BankSlot
	shownSlot     model.BankSlot            // where the card that is shown came from
	banks         map[uint16]model.Endpoint // banks that were reached, by id, for `map` without an address
	front         frontSeen
	choice        fronts.Choice    // the front it shall have, or why none
	faults        map[string]fault // of the front, by finding code
	card          model.Card
	tpdu          model.TPDU
	bankUp        time.Time // when the bank was last connected
	lostSince     time.Time // when the bank was lost while the card was held
	answeredAt    time.Time // when the card last answered a command
	muted         string    // why the last command got no answer; "" after one did

	// The modem itself, if option match names one.
	seen                   *model.ObservedModem // nil: not there
	goneSince, failedSince time.Time
	registeredAt           time.Time // when it last came to be registered
	sick                   string    // why the failover wants it reset; "" if it does not
	atPort                 string    // as last seen
	vendor, product        string
	netdev                 string       // likewise
	line                   model.Source // where the SIM line stands, "" unknown
	lineErr                string
	unlock                 model.UnlockDone
	trouble                map[string]string // by finding code

	mesh mesh // the orchestrator

	// The card switch.
	switchGeneration int64 // grows when somebody asks for a source
	reset            cardswitch.Reset
	memory           cardswitch.Memory
	done             []model.ActionDone
	plan             model.SwitchPlan
	status           model.SwitchStatus
}

// peer is one end of the session as last reported.
type peer struct {
	model.Peer
	code string    // finding code that names the failure
	upAt time.Time // when it was last connected
}

// frontSeen is the state of the card front.
type frontSeen struct {
	reported bool
	up       bool
	removes  bool // the modem sees when the front's card goes
	kind     string
	device   string
	reason   string
	since    time.Time
}

func newModem(conf Modem) *modem {
	m := &modem{}
	m.server.State, m.bankd.State = model.ConnIdle, model.ConnIdle
	m.card.State = model.CardNone
	m.client = conf.Session.Client
	return m
}

// reconfigure takes new settings. An assignment given by command survives: it
// is newer than the file.
func (m *modem) reconfigure(conf Modem) {
	m.conf = conf
	m.client = conf.Session.Client
}

// managed tells that there is a modem to look after. A front without one, a
// reader of pcscd say, only needs its card.
func (m *modem) managed() bool { return m.conf.Match.By != "" }

func (m *modem) foldUnlock(ev model.UnlockDone) { m.unlock = ev }

func (m *modem) foldTrouble(ev model.ModemTrouble) {
	if m.trouble == nil {
		m.trouble = make(map[string]string)
	}
	if ev.Reason == "" {
		delete(m.trouble, ev.Code)
		return
	}
	m.trouble[ev.Code] = ev.Reason
}

// wantsRemote tells whether the remote card is to be used.
func (m *modem) wantsRemote() bool { return m.wantedSource() == model.SourceRemote }

func (m *modem) wantedSource() model.Source {
	if m.source != "" {
		return m.source
	}
	return m.conf.Source
}

// view is the modem as published.
func (m *modem) view() model.Modem {
	v := model.Modem{
		Name: m.conf.Name, Role: m.conf.Role, Network: m.conf.Network,
		State: "absent", Card: m.card,
	}
	v.Card.Source = m.wantedSource()
	v.Card.Front = m.frontKind()
	if m.conf.FrontAuto && v.Card.Front != "" {
		v.Card.FrontDetail = m.choice.Why
	}
	v.Card.FrontDevice = orElse(m.front.device, m.choice.Device)
	if v.Card.Front == "" {
		v.Card.FrontDevice, v.Card.Detail = "", m.noFront()
	}
	if !m.wantsRemote() {
		v.Card = model.Card{Source: v.Card.Source, State: model.CardNone}
	}
	if o := m.seen; o != nil {
		v.Present, v.State, v.Device = true, o.State, o.Device
		v.Model, v.Manufacturer, v.Revision = o.Model, o.Maker, o.Revision
		v.Operator, v.AccessTechnology = o.OperatorName, o.AccessTechnology
		v.Registration, v.RejectCause, v.Signal = o.Registration, o.RejectCause, o.Signal
		if !m.wantsRemote() && o.SIM != nil {
			v.Card.ICCID = o.SIM.ICCID
		}
	}
	return v
}

// identity is the modem's numbers in whole, for the method that may show them.
func (m *modem) identity() model.Identity {
	id := model.Identity{Name: m.conf.Name, ICCID: m.card.ICCID.String()}
	if o := m.seen; o != nil {
		id.IMEI = o.IMEI.String()
		if o.SIM != nil {
			id.IMSI, id.EID = o.SIM.IMSI.String(), o.SIM.EID.String()
			if o.SIM.ICCID != "" {
				id.ICCID = o.SIM.ICCID.String()
			}
		}
	}
	return id
}

// session is the RSPRO session as published, nil for a modem without one.
func (m *modem) session() *model.Session {
	if m.conf.Source != model.SourceRemote && m.source != model.SourceRemote {
		return nil
	}
	s := &model.Session{
		Modem: m.conf.Name, State: m.sessionState(),
		Server: m.server.Peer, Bankd: m.bankd.Peer, TPDU: m.tpdu,
	}
	client := m.client
	s.Client = &client
	if m.assigned != nil {
		bank := *m.assigned
		s.Bank = &bank
	}
	return s
}

// sessionState sums both connections up: the bank's decides once a slot is
// assigned, the server's before that.
func (m *modem) sessionState() model.ConnState {
	if m.assigned != nil {
		return m.bankd.State
	}
	if m.server.State == model.ConnConnected {
		return model.ConnIdle // registered, waiting for a slot
	}
	return m.server.State
}

// cardHeld tells that the modem is shown a card whose bank is away.
func (m *modem) cardHeld() bool { return m.card.State == model.CardLost }

// cardWorks tells that the modem is shown a card that answers.
func (m *modem) cardWorks() bool {
	switch m.card.State {
	case model.CardPresent, model.CardPowered, model.CardReset, model.CardReady:
		return true
	}
	return false
}
