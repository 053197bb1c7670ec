package cardfake

import "fmt"

// maxProactive is the longest proactive command: FETCH carries it in one answer.
const maxProactive = 255

// toolkit is the card's side of the USIM application toolkit (3GPP TS 31.111): a
// queue of proactive commands, one at a time.
type toolkit struct {
	queue     [][]byte
	profile   []byte // of the terminal; nil: it has not sent one since the reset
	fetched   bool   // the first of the queue waits for TERMINAL RESPONSE
	responses [][]byte
	envelopes [][]byte
}

func (t *toolkit) forget() {
	t.profile = nil
	if t.fetched { // its session ended with the power
		t.queue, t.fetched = t.queue[1:], false
	}
}

// pending is the status word of a command that went well: 91xx while a proactive
// command waits (ETSI TS 102 221 §7.4.2).
func (t *toolkit) pending() sw {
	if t.profile == nil || t.fetched || len(t.queue) == 0 {
		return swOK
	}
	return swFetch | sw(len(t.queue[0]))
}

// command is TERMINAL PROFILE, FETCH, TERMINAL RESPONSE and ENVELOPE (ETSI TS 102
// 221 §11.2).
func (t *toolkit) command(m command) ([]byte, sw) {
	if m.p1 != 0 || m.p2 != 0 {
		return nil, swWrongP1P2
	}
	switch m.ins {
	case insTerminalProfile:
		t.profile = append(make([]byte, 0, len(m.data)), m.data...)
		return nil, swOK
	case insFetch:
		return t.fetch(m)
	case insTerminalResponse:
		if !t.fetched {
			return nil, swConditions
		}
		t.responses = append(t.responses, append([]byte(nil), m.data...))
		t.queue, t.fetched = t.queue[1:], false
		return nil, swOK
	case insEnvelope:
		t.envelopes = append(t.envelopes, append([]byte(nil), m.data...))
		return nil, swOK
	}
	return nil, swNoInstruction
}

func (t *toolkit) fetch(m command) ([]byte, sw) {
	if t.pending() == swOK {
		return nil, swConditions
	}
	if first := t.queue[0]; m.le() != len(first) {
		return nil, swWrongLe | sw(len(first))
	}
	t.fetched = true
	return t.queue[0], swOK
}

// QueueProactive has the card ask for a proactive command (a whole BER-TLV, tag D0)
// after the commands that are queued already. The terminal hears of it with the next
// status word, once it has sent TERMINAL PROFILE.
func (c *Card) QueueProactive(command []byte) error {
	if n := len(command); n < 2 || n > maxProactive || command[0] != 0xD0 {
		return fmt.Errorf("queue proactive command of %d bytes: expected D0 and 2..%d bytes", n, maxProactive)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toolkit.queue = append(c.toolkit.queue, append([]byte(nil), command...))
	return nil
}

// TerminalResponses returns the bodies of all TERMINAL RESPONSEs so far.
func (c *Card) TerminalResponses() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.toolkit.responses...)
}

// Envelopes returns the bodies of all ENVELOPEs so far.
func (c *Card) Envelopes() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.toolkit.envelopes...)
}
