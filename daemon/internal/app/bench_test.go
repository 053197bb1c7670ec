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

// BenchmarkRoundTrip is a command from the front through relay and RSPRO client
// to a bank on the loopback and back.
func BenchmarkRoundTrip(b *testing.B) {
	bank := benchBank(b)
	s := relay.New(relay.Config{Modem: "primary", Events: func(model.Event) {}})
	defer s.Close()
	s.SetPlan(model.CardPlan{Show: true, Hold: true})
	plan := cell.New(model.SessionPlan{}, client.SamePlan)
	plan.Set(model.SessionPlan{Online: true, Client: router, Bank: &model.BankAssignment{
		Slot: slot, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: bank.Port()}}})
	session := client.New(client.Config{Modem: "primary", Hostname: "bench", Version: "1", Plan: plan, Events: func(model.Event) {}, Bank: s})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- session.Run(ctx) }()
	defer func() { cancel(); <-done }()

	f := &handFront{inserted: make(chan struct{}), answers: make(chan struct{}, 1)}
	s.FrontUp(f)
	<-f.inserted
	s.Lines(card.Lines{Powered: true, Clock: true})
	times := make([]time.Duration, 0, 1<<20)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		s.Command(uint64(i+1), readBinary)
		<-f.answers
		times = append(times, time.Since(start))
	}
	b.StopTimer()
	report(b, times)
	s.FrontDown(context.Canceled)
}

// BenchmarkRawSocket is the floor: the same frames to the same bank, by a bare
// socket that decodes nothing.
func BenchmarkRawSocket(b *testing.B) {
	bank := benchBank(b)
	c, err := net.Dial("tcp", bank.Addr())
	require.NoError(b, err)
	defer c.Close()
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
	times := make([]time.Duration, 0, 1<<20)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		start := time.Now()
		_, err := c.Write(frame)
		if err == nil {
			_, err = r.Next()
		}
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	b.StopTimer()
	report(b, times)
}
