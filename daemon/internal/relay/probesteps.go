package relay

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// probeStatuses is how many STATUS commands the round trip is taken from.
const probeStatuses = 20

// probeStage is which command of the test comes next.
type probeStage uint8

const (
	probeStatus probeStage = iota
	probeOpen              // MANAGE CHANNEL
	probeSelect            // the USIM, on that channel
	probeTable             // READ BINARY EF.UST
	probeAuth              // AUTHENTICATE with a challenge of no network
	probeClose             // MANAGE CHANNEL
)

// probe is the test of a card: its own commands, each waiting for a gap between the
// modem's.
type probe struct {
	gsm     bool
	stage   probeStage
	channel byte // open on the card for the test; 0: none
	le      byte // P3 of READ BINARY, as the card named it
	times   []float64
	sentAt  instant
	buf     [5 + 34]byte
	steps   []model.Step
	failed  bool
	checks  bool // it has refused the challenge
	rush    bool // nobody waits any more: only close the channel
	done    chan []model.Step
}

// usimAID is the beginning of every USIM's (ETSI TS 101 220 annex E).
var usimAID = [...]byte{0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02}

// command is the next TPDU. STATUS is the one with "no indication" and "no data" (ETSI TS
// 102 221 §11.1.2): it selects nothing, and a proactive command that its 91xx announces is
// announced again with the modem's next command. A card of class A0 only has no such
// form, and is asked for the first byte.
func (p *probe) command() []byte {
	b := p.buf[:0]
	switch p.stage {
	case probeOpen:
		return append(b, 0x00, insManageChannel, 0x00, 0x00, 0x01)
	case probeSelect:
		return append(append(b, p.cla(), insSelect, 0x04, 0x0C, byte(len(usimAID))), usimAID[:]...)
	case probeTable:
		return append(b, p.cla(), insReadBinary, 0x84, 0x00, p.le) // SFI 04 (TS 31.102 annex H)
	case probeAuth:
		// RAND and AUTN are zeros, so that the MAC is wrong. The card checks it
		// before the sequence number, which stays (TS 33.102 §6.3.3).
		b = append(b, p.cla(), insAuthenticate, 0x00, 0x81, 34, 16)
		b = append(append(b, make([]byte, 16)...), 16)
		return append(b, make([]byte, 16)...)
	case probeClose:
		return append(b, 0x00, insManageChannel, 0x80, p.channel, 0x00)
	}
	if p.gsm {
		return append(b, 0xA0, insStatus, 0, 0, 1)
	}
	return append(b, 0x80, insStatus, 0, 0x0C, 0)
}

func (p *probe) cla() byte { return card.OnChannel(0x00, p.channel) }

// take takes the answer to the present command and goes on to the next. It tells whether
// that was the last one. ms is how long the card took.
func (p *probe) take(response []byte, ms float64) (over bool) {
	data, sw1, sw2 := split(response)
	sw := uint16(sw1)<<8 | uint16(sw2)
	switch p.stage {
	case probeStatus:
		return p.tookStatus(sw, ms)
	case probeOpen:
		if !taken(sw1) || len(data) != 1 || data[0] == 0 || data[0] >= maxChannels {
			p.say("services", ms, "not read: the card opens no logical channel beside the modem's ("+card.StatusText(sw)+")")
			return true
		}
		p.channel, p.stage = data[0], probeSelect
		if p.rush {
			p.stage = probeClose
		}
	case probeSelect:
		p.stage = probeTable
		if !taken(sw1) {
			p.say("services", ms, "not read: the card has no USIM, or none for a second channel ("+card.StatusText(sw)+")")
			p.stage = probeClose
		}
	case probeTable:
		p.tookTable(data, sw1, sw, ms)
	case probeAuth:
		p.tookAuth(sw, ms)
		p.stage = probeClose
	case probeClose:
		p.channel = 0
		return true
	}
	return false
}

func (p *probe) tookStatus(sw uint16, ms float64) (over bool) {
	ok := sw>>8 == 0x90 || sw>>8 == 0x91 || sw>>8 == 0x6C || sw>>8 == 0x9F
	p.times = append(p.times, ms)
	if !ok {
		p.fail("the card answered " + card.StatusText(sw))
		return true
	}
	if len(p.times) < probeStatuses {
		return false
	}
	slices.Sort(p.times)
	n := len(p.times)
	p.say("status", p.times[n/2], fmt.Sprintf("%d round trips: p50 %.1f ms, p99 %.1f ms; last %s",
		n, p.times[(n-1)/2], p.times[(n*99+99)/100-1], card.StatusText(sw)))
	if p.gsm {
		p.say("services", 0, "not read: a card of class A0 has no channel beside the modem's")
		return true
	}
	p.stage = probeOpen
	return false
}

func (p *probe) tookTable(data []byte, sw1 byte, sw uint16, ms float64) {
	if sw1 == 0x6C && p.le == 0 {
		p.le = byte(sw)
		return // ask again, with the length that the card named
	}
	p.stage = probeAuth
	if sw1 != 0x90 && sw1 != 0x91 {
		p.say("services", ms, "not read: "+card.StatusText(sw))
		return
	}
	n := 0
	for _, b := range data {
		n += bits.OnesCount8(b)
	}
	p.say("services", ms, fmt.Sprintf("the service table (EF.UST) names %d services of %d", n, 8*len(data)))
}

func (p *probe) tookAuth(sw uint16, ms float64) {
	switch sw {
	case 0x9862:
		p.checks = true
		p.say("authentication", ms, "the card refused a challenge of no network with a MAC failure, as it should")
	case 0x6982:
		p.say("authentication", ms, "not tried: the PIN has not been given")
	default:
		p.add(model.Step{Name: "authentication", MS: ms, Text: "the card should have refused a challenge of no network with 9862, it answered " + card.StatusText(sw)})
	}
}

// say adds a step that is well.
func (p *probe) say(name string, ms float64, text string) {
	p.add(model.Step{Name: name, OK: true, MS: ms, Text: text})
}

// fail adds the step that ended the test.
func (p *probe) fail(text string) {
	name := "status"
	if p.stage > probeStatus {
		name = "services"
	}
	p.add(model.Step{Name: name, Text: text})
}

func (p *probe) add(st model.Step) {
	if p.failed {
		return // what came first is the reason
	}
	p.failed = !st.OK
	p.steps = append(p.steps, st)
}

// hurry has the probe do nothing more but close its channel.
func (p *probe) hurry(why string) {
	p.rush = true
	if p.stage < probeClose && p.stage > probeOpen {
		p.say("rest", 0, "not tried: "+why)
		p.stage = probeClose
	}
}

// finish gives the steps to whoever waits, the verdict last.
func (p *probe) finish() {
	if !p.failed {
		p.add(model.Step{Name: "verdict", OK: true, Text: p.verdict()})
	}
	p.done <- p.steps
}

// verdict is the test in one sentence.
func (p *probe) verdict() string {
	how := "quickly"
	switch slowest := p.times[len(p.times)-1]; { // sorted
	case slowest > 5000:
		how = "too slowly for some modems"
	case p.times[len(p.times)/2] > 500:
		how = "slowly"
	}
	if p.checks {
		return "The card is there, answers " + how + ", and refuses a forged challenge as a working card does."
	}
	return "The card is there and answers " + how + "; its authentication was not tried."
}
