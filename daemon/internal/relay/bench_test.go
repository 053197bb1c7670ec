package relay_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

// nullFront and nullBank do nothing, so that only the session is measured.
type nullFront struct{ answered int }

func (*nullFront) Run(context.Context, card.Handler) error { return nil }
func (*nullFront) Insert(card.ATR) error                   { return nil }
func (*nullFront) Remove() error                           { return nil }
func (f *nullFront) Answer(uint64, []byte) error           { f.answered++; return nil }
func (*nullFront) Mute(uint64) error                       { return nil }
func (*nullFront) Info() card.Info                         { return card.Info{Kind: "null"} }
func (*nullFront) Limits() card.Limits {
	return card.Limits{Answer: 10 * time.Second, MaxATR: 33, Removes: true}
}

type nullBank struct{ sent int }

func (b *nullBank) Send([]byte) error    { b.sent++; return nil }
func (*nullBank) Lines(card.Lines) error { return nil }
func (*nullBank) Drop(error)             {}

// inUse is a session whose card is in use, with a front and a bank that do nothing.
func inUse(front card.Front, bank card.Bank) *relay.Session {
	s := relay.New(relay.Config{Modem: "primary", Events: func(model.Event) {}})
	s.SetPlan(model.CardPlan{Show: true, Hold: true})
	s.FrontUp(front)
	s.BankUp(bank)
	s.ATR(bank, mustHex("3B00"))
	for _, r := range []string{"9000", "9000", "988812010000000000109000"} {
		s.Response(bank, mustHex(r))
	}
	s.Lines(card.Lines{Powered: true})
	return s
}

// trip is one command and its answer.
func trip(s *relay.Session, bank card.Bank, id uint64, tpdu, response []byte) {
	s.Command(id, tpdu)
	s.Response(bank, response)
}

var benched = []struct{ name, tpdu, response string }{
	{"READ BINARY 255", "00B00000FF", string(make([]byte, 0))},
	{"SELECT", "00A40004026F07", "6119"},
	{"STATUS", "80F2000C00", "9000"},
	{"AUTHENTICATE", "008800812210AABB00112233445566778899AABBCCDD10AABB00112233445566778899AABBCCDD", "6135"},
}

func bytesOf(response string) []byte {
	if response == "" {
		return append(make([]byte, 255), 0x90, 0x00)
	}
	return mustHex(response)
}

func BenchmarkTPDU(b *testing.B) {
	for _, c := range benched {
		b.Run(c.name, func(b *testing.B) {
			front, bank := &nullFront{}, &nullBank{}
			s := inUse(front, bank)
			defer s.Close()
			tpdu, response := mustHex(c.tpdu), bytesOf(c.response)
			b.ReportAllocs()
			id := uint64(0)
			for b.Loop() {
				id++
				trip(s, bank, id, tpdu, response)
			}
			require.Equal(b, int(id), front.answered)
		})
	}
}

func TestACommandAllocatesNothing(t *testing.T) {
	for _, c := range benched {
		t.Run(c.name, func(t *testing.T) {
			front, bank := &nullFront{}, &nullBank{}
			s := inUse(front, bank)
			defer s.Close()
			tpdu, response := mustHex(c.tpdu), bytesOf(c.response)
			id := uint64(0)
			trip(s, bank, id, tpdu, response) // the first one arms the timer
			require.Zero(t, testing.AllocsPerRun(1000, func() {
				id++
				trip(s, bank, id, tpdu, response)
			}))
			require.Equal(t, int(id)+1, front.answered)
		})
	}
}
