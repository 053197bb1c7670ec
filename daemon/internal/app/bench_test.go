package app_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

// instant is a card that answers at once, so that the figures are ours.
type instant struct{ answer []byte }

func (c instant) Reset(bool) []byte      { return cardfake.Default().ATR }
func (c instant) Transmit([]byte) []byte { return c.answer }
func (c instant) PowerOff()              {}

// handFront is a front whose modem is the benchmark.
type handFront struct {
	inserted chan struct{}
	once     sync.Once
	answers  chan struct{}
}

func (f *handFront) Run(context.Context, card.Handler) error { return nil }
func (f *handFront) Insert(card.ATR) error                   { f.once.Do(func() { close(f.inserted) }); return nil }
func (f *handFront) Remove() error                           { return nil }
func (f *handFront) Answer(uint64, []byte) error             { f.answers <- struct{}{}; return nil }
func (f *handFront) Mute(uint64) error                       { return nil }
func (f *handFront) Info() card.Info                         { return card.Info{Kind: "bench"} }
func (f *handFront) Limits() card.Limits {
	return card.Limits{Answer: time.Minute, MaxATR: 33, Removes: true}
}

// report prints the median and the 99th percentile of what was measured.
func report(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-us")
}

func benchBank(b *testing.B) *rsprofake.Bank {
	bank, err := rsprofake.StartBank(rsprofake.BankConfig{ID: slot.ID, Slots: 4})
	require.NoError(b, err)
	b.Cleanup(bank.Close)
	bank.Insert(int(slot.Slot), instant{answer: append(make([]byte, 64), 0x90, 0x00)})
	bank.Map(int(slot.Slot), router)
	return bank
}

var readBinary = []byte{0x00, 0xB0, 0x00, 0x00, 0x40}

// throughRelay is a command from the front through relay and RSPRO client to a bank on the
// loopback and back.
func throughRelay(b *testing.B) (exchange func() error) {
	bank := benchBank(b)
	s := relay.New(relay.Config{Modem: "primary", Events: func(model.Event) {}})
	b.Cleanup(s.Close)
	s.SetPlan(model.CardPlan{Show: true, Hold: true})
	plan := cell.New(model.SessionPlan{}, client.SamePlan)
	plan.Set(model.SessionPlan{Online: true, Client: router, Bank: &model.BankAssignment{
		Slot: slot, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: bank.Port()}}})
	session := client.New(client.Config{Modem: "primary", Hostname: "bench", Version: "1", Plan: plan, Events: func(model.Event) {}, Bank: s})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- session.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })

	f := &handFront{inserted: make(chan struct{}), answers: make(chan struct{}, 1)}
	s.FrontUp(f)
	<-f.inserted
	s.Lines(card.Lines{Powered: true, Clock: true})
	b.Cleanup(func() { s.FrontDown(context.Canceled) })
	id := uint64(0)
	return func() error {
		id++
		s.Command(id, readBinary)
		<-f.answers
		return nil
	}
}

// bareSocket is the floor: the same frames to the same bank, by a socket that decodes
// nothing.
func bareSocket(b *testing.B) (exchange func() error) {
	bank := benchBank(b)
	c, err := net.Dial("tcp", bank.Addr())
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	cs, bs := rspro.ClientSlot{ClientID: 7, SlotNr: 1}, rspro.BankSlot{BankID: int64(slot.ID), SlotNr: int64(slot.Slot)}
	hello, err := rspro.AppendFrame(nil, &rspro.ConnectClientReq{
		Identity: rspro.ComponentIdentity{Name: "raw", Software: "raw", SWVersion: "1"}, ClientSlot: &cs})
	require.NoError(b, err)
	_, err = c.Write(hello)
	require.NoError(b, err)
	r := rspro.NewReader(c)
	for {
		f, err := r.Next()
		require.NoError(b, err)
		var p rspro.PDU
		if _, err := p.Decode(f.Payload); err == nil && p.Msg != nil && p.Msg.Name() == "setAtrReq" {
			break
		}
	}
	frame, err := rspro.AppendTpduModemToCard(nil, cs, bs, readBinary)
	require.NoError(b, err)
	return func() error {
		_, err := c.Write(frame)
		if err == nil {
			_, err = r.Next()
		}
		return err
	}
}

func measure(b *testing.B, exchange func() error) {
	times := make([]time.Duration, 0, 1<<20)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		times = append(times, timed(b, exchange))
	}
	b.StopTimer()
	report(b, times)
}

func timed(b *testing.B, exchange func() error) time.Duration {
	start := time.Now()
	if err := exchange(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkRoundTrip is a command through relay and client.
func BenchmarkRoundTrip(b *testing.B) { measure(b, throughRelay(b)) }

// BenchmarkRawSocket is the same without us.
func BenchmarkRawSocket(b *testing.B) { measure(b, bareSocket(b)) }

// BenchmarkAddedPerTPDU is what relay and client add to a round trip: the difference of the
// two, measured in turns, so that a busy machine slows both.
func BenchmarkAddedPerTPDU(b *testing.B) {
	ours, floor := throughRelay(b), bareSocket(b)
	with, without := make([]time.Duration, 0, 1<<20), make([]time.Duration, 0, 1<<20)
	b.ResetTimer()
	for i := range b.N {
		if i%2 == 0 { // neither is always the one that finds the processor awake
			with = append(with, timed(b, ours))
		}
		without = append(without, timed(b, floor))
		if i%2 != 0 {
			with = append(with, timed(b, ours))
		}
	}
	b.StopTimer()
	slices.Sort(with)
	slices.Sort(without)
	added := func(percent int) float64 {
		at := len(with) * percent / 100
		return float64((with[at] - without[at]).Nanoseconds()) / 1000
	}
	b.ReportMetric(added(50), "added-p50-us")
	b.ReportMetric(added(99), "added-p99-us")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStartUpOnLoopback is a whole start-up at a distance of nothing: a PC/SC program,
// front vpcd, relay, client and bank on sockets of this machine.
func BenchmarkStartUpOnLoopback(b *testing.B) {
	u := cardfake.StartUps()[0]
	for _, mode := range []string{"off", "safe", "full"} {
		b.Run(mode, func(b *testing.B) {
			c := newChain(b, viaVPCD(b), mode, false)
			here := cardfake.Home(c.card)
			c.start(b, u, here) // what is measured is warm
			var spent time.Duration
			commands := 0
			for range b.N {
				log, took := c.timedStart(b, u, here)
				spent, commands = spent+took, commands+len(log)
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/1000, "ms/start-up")
			b.ReportMetric(float64(spent.Nanoseconds())/float64(commands)/1000, "us/command")
			b.ReportMetric(0, "ns/op")
		})
	}
}
