package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

// chain is front vpcd, relay, RSPRO client and fake bank, on real sockets.
type chain struct {
	reader  *vpcdfake.Reader
	session *relay.Session
	card    *cardfake.Card

	mu    sync.Mutex
	notes []string
}

func newChain(t *testing.T, mode string, check bool) *chain {
	c := &chain{card: cardfake.New(cardfake.Default())}
	var err error
	c.reader, err = vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.reader.Close() })
	bank, err := rsprofake.StartBank(rsprofake.BankConfig{ID: slot.ID, Slots: 4})
	require.NoError(t, err)
	t.Cleanup(bank.Close)
	bank.Insert(int(slot.Slot), c.card)
	bank.Map(int(slot.Slot), router)

	c.session = relay.New(relay.Config{Modem: "primary", Check: check, Events: func(e model.Event) {
		if n, ok := e.(model.Noted); ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.notes = append(c.notes, n.Text)
		}
	}})
	c.session.SetPlan(model.CardPlan{Show: true, Hold: true, Cache: mode, StatusInterval: 600e9})
	plan := cell.New(model.SessionPlan{}, client.SamePlan)
	plan.Set(model.SessionPlan{Online: true, Client: router, Bank: &model.BankAssignment{
		Slot: slot, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: bank.Port()}}})
	session := client.New(client.Config{Modem: "primary", Hostname: "test", Version: "1", Plan: plan, Events: func(model.Event) {}, Bank: c.session})
	front, err := vpcd.New(c.reader.Addr())
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = session.Run(ctx) })
	running.Go(func() { _ = front.Run(ctx, c.session) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		c.session.Close()
	})
	return c
}

// start runs one start-up of a PC/SC program that behaves as a modem.
func (c *chain) start(t *testing.T, u cardfake.StartUp, challenge func() (rand, autn [16]byte)) []cardfake.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for _, w := range cardfake.Wants() {
		require.NoError(t, c.card.QueueProactive(w))
	}
	_, err := c.reader.WaitCard(ctx)
	require.NoError(t, err)
	_, err = c.reader.PowerOn(ctx)
	require.NoError(t, err)
	log, err := u.Run(func(b []byte) ([]byte, error) { return c.reader.Transmit(ctx, b) }, challenge)
	require.NoError(t, err)
	require.NoError(t, c.reader.PowerOff(ctx))
	return log
}

func homeOf(c *cardfake.Card) func() (rand, autn [16]byte) {
	var n uint32
	return func() (rand, autn [16]byte) {
		n++
		binary.BigEndian.PutUint32(rand[:], n)
		autn, _, _, _ = c.Milenage().Challenge(rand, c.SQN()+32, [2]byte{0x80})
		return rand, autn
	}
}

// TestStartUpThroughVPCDAndBank has a modem start up three times through front, relay and a
// bank on sockets: its card answers as it would in the modem's slot.
func TestStartUpThroughVPCDAndBank(t *testing.T) {
	for _, m := range []struct {
		mode  string
		check bool
	}{{"off", false}, {"safe", false}, {"full", false}, {"safe", true}, {"full", true}} {
		for _, u := range cardfake.StartUps() {
			name := u.Name + " " + m.mode
			if m.check {
				name += " check"
			}
			t.Run(name, func(t *testing.T) {
				c, twin := newChain(t, m.mode, m.check), cardfake.New(cardfake.Default())
				here, there := homeOf(c.card), homeOf(twin)
				total := 0
				for range 3 {
					for _, w := range cardfake.Wants() {
						require.NoError(t, twin.QueueProactive(w))
					}
					twin.Reset(true)
					want, err := u.Run(func(b []byte) ([]byte, error) { return twin.Transmit(b), nil }, there)
					require.NoError(t, err)
					got := c.start(t, u, here)
					require.Len(t, got, len(want))
					for i := range want {
						require.True(t, bytes.Equal(want[i].Command, got[i].Command) && bytes.Equal(want[i].Response, got[i].Response),
							"command %d: in the slot %v, through the bank %v", i+1, want[i], got[i])
					}
					total += len(got)
				}
				require.Equal(t, twin.TerminalResponses(), c.card.TerminalResponses())
				stats := c.session.Stats()
				t.Logf("%d commands, %d answered here", total, stats.Cached)
				require.Equal(t, int64(total), stats.Sent+stats.Cached)
				require.Equal(t, m.mode != "off" && !m.check, stats.Cached > 0)
				c.mu.Lock()
				defer c.mu.Unlock()
				require.Empty(t, c.notes)
			})
		}
	}
}
