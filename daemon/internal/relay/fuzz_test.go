package relay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

// FuzzSession lets modem and card say anything: whatever they do, the session does not
// panic, sends no second command while an answer is owed, and answers each command
// at most once.
func FuzzSession(f *testing.F) {
	f.Add([]byte("\x00\x07\x00\xA4\x00\x0C\x02\x3F\x00\x01\x02\x90\x00\x02\x00\x01\x02\x90\x00"))
	f.Add([]byte("\x00\x0D\x00\x20\x00\x01\x081234\xFF\xFF\xFF\xFF\x01\x02\x90\x00\x02\x00\x01\x02\x63\xC2"))
	f.Add([]byte("\x00\x05\x00\x70\x00\x00\x01\x01\x03\x01\x90\x00\x00\x05\x01\xB2\x01\x1C\x02\x01\x02\x6C\x02\x02\x00\x03\x00\x04\x00"))
	f.Add([]byte("\x00\x06\x80\x10\x00\x00\x01\xFF\x01\x02\x91\x05\x00\x05\x80\x12\x00\x00\x05\x02\x00"))
	f.Add([]byte("\x00\x07\x00\xA4\x00\x0C\x02\x6F\x07\x01\x02\x90\x00\x03\x00\x09\x00\x00\x07\x00\xA4\x00\x0C\x02\x6F\x07\x00\x05\x00\xB0\x00\x00\x09\x01\x02\x90\x00\x01\x02\x90\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		answered := map[uint64]bool{}
		front := &fakeFront{say: func(string, ...any) {}, limits: card.Limits{Answer: 1e18, MaxATR: 33, Removes: true}}
		front.answer = func(id uint64, _ []byte) {
			require.False(t, answered[id], "command %d was answered twice", id)
			answered[id] = true
		}
		s := relay.New(relay.Config{Modem: "primary", Events: func(model.Event) {}, Owed: 1e18, Setup: 1e18})
		defer s.Close()
		s.SetPlan(model.CardPlan{Show: true, Hold: true, TraceActive: true, Cache: "full", StatusInterval: time.Hour})
		s.FrontUp(front)
		bank, owed := connectFuzz(t, s)
		for len(script) > 1 {
			op, n := script[0], min(int(script[1]), len(script)-2)
			part := script[2 : 2+n]
			script = script[2+n:]
			if op%6 == 1 {
				owed.n = max(0, owed.n-1)
			}
			owed.idle = owed.n == 0
			switch op % 6 {
			case 0:
				front.command(s, part)
			case 1:
				s.Response(bank, part)
			case 2:
				s.BankDown(bank, errors.New("cut"))
				bank, owed = connectFuzz(t, s)
			case 3:
				front.reset()
				s.Lines(card.Lines{Powered: n%2 == 0, Reset: op > 6})
			case 4:
				s.ATR(bank, part)
			case 5:
				s.SetPlan(model.CardPlan{Show: n%3 != 0, Hold: n%2 == 0, ATR: part, Cache: []string{"full", "off", "safe"}[n%3], StatusInterval: time.Hour})
			}
		}
	})
}

// debt is what a bank owes.
type debt struct {
	n    int
	idle bool   // it owed nothing when the present event came
	last []byte // the command before, in one flight
}

// connectFuzz connects a bank with the same card as ever. Only what selects may have
// another command behind it in its flight.
func connectFuzz(t *testing.T, s *relay.Session) (*fakeBank, *debt) {
	owed := &debt{idle: true}
	b := &fakeBank{say: func(string, ...any) {}}
	b.sent = func(tpdu []byte) {
		require.True(t, owed.idle, "a command was sent while an answer was owed")
		if owed.n > 0 {
			require.Contains(t, []byte{0xA4, 0xB0, 0xB2}, owed.last[1])
		}
		owed.n++
		owed.last = tpdu
	}
	s.BankUp(b)
	s.ATR(b, []byte{0x3B, 0x00})
	for _, r := range []string{"9000", "9000", "988812010000000000109000"} {
		owed.n, owed.idle = 0, true
		s.Response(b, mustHex(r))
	}
	s.Lines(card.Lines{Powered: true})
	return b, owed
}
