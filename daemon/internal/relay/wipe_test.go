package relay

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

type quietFront struct{}

func (quietFront) Run(context.Context, card.Handler) error { return nil }
func (quietFront) Insert(card.ATR) error                   { return nil }
func (quietFront) Remove() error                           { return nil }
func (quietFront) Answer(uint64, []byte) error             { return nil }
func (quietFront) Mute(uint64) error                       { return nil }
func (quietFront) Info() card.Info                         { return card.Info{} }
func (quietFront) Limits() card.Limits                     { return card.Limits{Answer: time.Minute, Removes: true} }

type quietBank struct{ _ byte }

func (*quietBank) Send([]byte) error      { return nil }
func (*quietBank) Lines(card.Lines) error { return nil }
func (*quietBank) Drop(error)             {}

// holds looks for a PIN in everything that the session keeps.
func holds(s *Session, pin []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)), pin) {
		return true
	}
	for _, st := range s.play.steps {
		if bytes.Contains(st.tpdu, pin) {
			return true
		}
	}
	return false
}

// TestPINIsWiped: a PIN is kept while it may have to be repeated, and not longer.
func TestPINIsWiped(t *testing.T) {
	pin := []byte("7391\xFF\xFF\xFF\xFF")
	verify := append([]byte{0x00, 0x20, 0x00, 0x01, 0x08}, pin...)
	identified := [][]byte{{0x90, 0}, {0x90, 0}, {0x98, 0x88, 1, 2, 3, 4, 5, 6, 7, 8, 0x90, 0}}
	for _, end := range []struct {
		name string
		do   func(s *Session, b card.Bank)
	}{
		{"reset", func(s *Session, _ card.Bank) { s.Lines(card.Lines{Powered: true, Reset: true}) }},
		{"power off", func(s *Session, _ card.Bank) { s.Lines(card.Lines{}) }},
		{"removal", func(s *Session, _ card.Bank) { s.SetPlan(model.CardPlan{}) }},
		{"front gone", func(s *Session, _ card.Bank) { s.FrontDown(nil) }},
		{"refused PIN", func(s *Session, b card.Bank) {
			s.Command(9, append([]byte{0, 0x20, 0, 1, 8}, "0000\xFF\xFF\xFF\xFF"...))
			s.Response(b, []byte{0x63, 0xC2})
		}},
		{"loss without hold", func(s *Session, b card.Bank) {
			s.SetPlan(model.CardPlan{Show: true})
			s.BankDown(b, errors.New("cut"))
		}},
		{"close", func(s *Session, _ card.Bank) { s.Close() }},
	} {
		t.Run(end.name, func(t *testing.T) {
			s := New(Config{Modem: "primary"})
			defer s.Close()
			s.SetPlan(model.CardPlan{Show: true, Hold: true})
			s.FrontUp(quietFront{})
			connect := func() *quietBank {
				b := &quietBank{}
				s.BankUp(b)
				s.ATR(b, []byte{0x3B, 0})
				for _, r := range identified {
					s.Response(b, r)
				}
				return b
			}
			b := connect()
			s.Lines(card.Lines{Powered: true})
			s.Command(1, verify)
			require.True(t, holds(s, pin), "while it is pending")
			s.Response(b, []byte{0x90, 0})
			require.True(t, holds(s, pin), "while it may have to be repeated")
			s.BankDown(b, errors.New("cut"))
			b = connect()
			require.Len(t, s.play.steps, 1)
			step := s.play.steps[0].tpdu
			require.Equal(t, verify, step)
			s.Response(b, []byte{0x90, 0})
			require.NotContains(t, string(step), string(pin), "after the replay")
			end.do(s, b)
			require.False(t, holds(s, pin), "afterwards")
		})
	}
}
