package relay_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

// echoBank answers each command from a goroutine of its own, as a connection does,
// and dies after a number of them.
type echoBank struct {
	session *relay.Session
	lives   int
	work    chan []byte
	drop    chan struct{}
	once    sync.Once
}

func (b *echoBank) Send(tpdu []byte) error {
	select {
	case b.work <- append([]byte(nil), tpdu...):
		return nil
	default:
		return errors.New("more than one command at a time")
	}
}
func (b *echoBank) Lines(card.Lines) error { return nil }
func (b *echoBank) Drop(error)             { b.once.Do(func() { close(b.drop) }) }

// run is the connection's life. It returns false when it was dropped, which this
// bank gives no reason for.
func (b *echoBank) run() bool {
	b.session.BankUp(b)
	b.session.ATR(b, []byte{0x3B, 0x00})
	for range b.lives {
		select {
		case tpdu := <-b.work:
			b.session.Response(b, echo(tpdu))
		case <-b.drop:
			return false
		}
	}
	b.session.BankDown(b, errors.New("cut"))
	return true
}

// echo answers READ BINARY with the offset that was asked for, so that each answer
// belongs to one command.
func echo(tpdu []byte) []byte {
	switch {
	case tpdu[1] == 0xB0 && tpdu[4] == 10:
		return append([]byte("\x98\x88\x01\x02\x03\x04\x05\x06\x07\x08"), 0x90, 0x00)
	case tpdu[1] == 0xB0:
		return []byte{tpdu[2], tpdu[3], 0x90, 0x00}
	}
	return []byte{0x90, 0x00}
}

// TestGoroutines runs modem, bank, plans, traces and probes at the same time.
func TestGoroutines(t *testing.T) {
	const commands = 3000
	s := relay.New(relay.Config{Modem: "primary", Events: func(model.Event) {}})
	defer s.Close()
	answers := make(chan []byte, 1)
	front := &fakeFront{say: func(string, ...any) {}, limits: card.Limits{Answer: time.Minute, MaxATR: 33, Removes: true}}
	front.answer = func(_ uint64, r []byte) { answers <- append([]byte(nil), r...) }
	front.muted = func(uint64) { answers <- nil }
	s.SetPlan(model.CardPlan{Show: true, Hold: true})
	s.FrontUp(front)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := ctx.Done()
	var wg sync.WaitGroup
	problems := make(chan error, 2)
	wg.Go(func() {
		for lives := 3; ; lives = (lives*7 + 5) % 97 {
			b := &echoBank{session: s, lives: lives + 4, work: make(chan []byte, 1), drop: make(chan struct{})}
			stop := make(chan struct{})
			wg.Go(func() {
				select {
				case <-done:
					b.Drop(nil)
				case <-stop:
				}
			})
			ok := b.run()
			close(stop)
			select {
			case <-done:
				return
			default:
				if !ok {
					problems <- errors.New("the bank was dropped")
					return
				}
			}
		}
	})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			s.SetTracing(i%2 == 0)
			s.SetPlan(model.CardPlan{Show: true, Hold: true, Limit: time.Duration(30+i%2) * time.Second})
			s.Trace(0, 10)
			s.Stats()
			if _, err := s.Probe(ctx); err != nil {
				problems <- fmt.Errorf("probe: %w", err)
				return
			}
		}
	})
	waitShown(t, front)
	s.Lines(card.Lines{Powered: true, Reset: true})
	s.Lines(card.Lines{Powered: true})
	for i := range uint16(commands) {
		tpdu := []byte{0x00, 0xB0, 0, 0, 2}
		binary.BigEndian.PutUint16(tpdu[2:], i&0x7FFF)
		front.command(s, tpdu)
		select {
		case got := <-answers:
			require.Equal(t, []byte{byte(i >> 8), byte(i), 0x90, 0x00}, got)
		case err := <-problems:
			t.Fatal(err)
		case <-time.After(time.Minute):
			t.Fatalf("command %d got no answer", i)
		}
	}
	cancel()
	wg.Wait()
}

// waitShown waits until the card is inserted.
func waitShown(t *testing.T, f *fakeFront) {
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.inserted != nil
	}, time.Minute, time.Millisecond)
}
