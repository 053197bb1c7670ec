package client_test

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

func TestMapMadeAfterConnectingLeadsToTheCard(t *testing.T) {
	w := newWorld(t)
	w.run(w.byServer())
	require.Equal(t, model.PeerChanged{Modem: "primary", Peer: model.PeerServer, State: model.ConnConnecting, Address: w.server.Addr()},
		timeless(w.peer(model.PeerServer, model.ConnConnecting)))
	w.peer(model.PeerServer, model.ConnConnected)

	require.NoError(t, w.server.AddMap(slot0, client1))
	require.Equal(t, &slot0, w.assigned())
	require.Equal(t, w.bank.Addr(), w.peer(model.PeerBankd, model.ConnConnected).Address)
	b := w.ear.hears(t, "up").bank
	require.Equal(t, atr0, w.ear.hears(t, "atr").data)
	w.awaitTrace("setAtrRes ok")
	w.exchange(b, 1, 2, 3)
	w.exchange(b)

	require.NoError(t, w.server.RemoveMap(slot0))
	require.Nil(t, w.assigned())
	require.Same(t, b, w.ear.hears(t, "down").bank)
	require.Error(t, b.Send(command(1)), "a bank that is gone takes nothing")
	require.Equal(t, "no bank is assigned", w.peer(model.PeerBankd, model.ConnIdle).Reason)

	require.NoError(t, w.server.AddMap(slot1, client1))
	require.Equal(t, &slot1, w.assigned())
	w.exchange(w.up(), 9)
	require.Empty(t, w.server.Wrongs())
	require.Empty(t, w.bank.Wrongs())
}

// remap moves the client's map: the old one is gone when the bank has said so.
func (w *world) remap(from, to model.BankSlot) {
	w.t.Helper()
	require.NoError(w.t, w.server.RemoveMap(from))
	w.awaitTrace("removeMappingRes ok")
	require.Eventually(w.t, func() bool { return w.server.AddMap(to, client1) == nil }, patience, time.Millisecond)
}

func timeless(p model.PeerChanged) model.PeerChanged { p.At = model.At{}; return p }

func TestIdenticalConfigChangesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	for range 3 {
		require.NoError(t, w.server.SendConfig(client1, slot0, net.IPv4(127, 0, 0, 1), w.bank.Port()))
		w.awaitTrace("C1:0 > configClientBankRes ok")
	}
	w.exchange(b, 7)
	for _, s := range w.ear.all() {
		require.NotEqual(t, "down", s.what, "%v", s.err)
	}
}

// The bank takes one connection at a time, so a second one before the FIN of the
// first would find nobody.
func TestNewConfigMovesAndNeverHoldsTwoConnections(t *testing.T) {
	w := newWorld(t)
	narrow, err := rsprofake.StartBank(rsprofake.BankConfig{ID: 2, Slots: 4, MaxConns: 1})
	require.NoError(t, err)
	defer narrow.Close()
	narrow.Insert(0, &softCard{atr: atr0})
	narrow.Insert(1, &softCard{atr: atr0})
	narrow.Map(0, client1)
	b := w.connect()
	old := b
	for _, slot := range []uint16{0, 1, 0, 1} {
		narrow.Map(int(slot), client1)
		require.NoError(t, w.server.SendConfig(client1, model.BankSlot{ID: 2, Slot: slot}, net.IPv4(127, 0, 0, 1), narrow.Port()))
		require.Same(t, old, w.ear.hears(t, "down").bank)
		old = w.up()
		w.exchange(old, byte(slot))
	}
	for _, e := range narrow.Log() {
		require.True(t, e.Kind != "tpdu" || e.Sent, "%+v", e)
	}
}

func TestConfigThatCannotBeIsRefused(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	for want, m := range map[string]*rspro.ConfigClientBankReq{
		"illegalBankId": {BankSlot: rspro.BankSlot{BankID: 1024}, Bankd: rspro.IPPort{IP: rspro.IPAddress{Bytes: []byte{127, 0, 0, 1}}, Port: 1}},
		"illegalSlotId": {BankSlot: rspro.BankSlot{SlotNr: -1}, Bankd: rspro.IPPort{IP: rspro.IPAddress{Bytes: []byte{127, 0, 0, 1}}, Port: 1}},
	} {
		require.NoError(t, w.server.Send(client1, m))
		w.awaitTrace("configClientBankRes " + want)
	}
	for _, m := range []*rspro.ConfigClientBankReq{
		{Bankd: rspro.IPPort{IP: rspro.IPAddress{Bytes: []byte{127, 0, 0}}, Port: 1}},
		{Bankd: rspro.IPPort{IP: rspro.IPAddress{Bytes: []byte{127, 0, 0, 1}}, Port: 65536 + 80}},
		{Bankd: rspro.IPPort{IP: rspro.IPAddress{Bytes: []byte{127, 0, 0, 1}, V6: true}, Port: 1}},
	} {
		require.NoError(t, w.server.Send(client1, m))
		w.awaitTrace("configClientBankRes illegalBankId")
	}
	w.exchange(b, 1)
}

func TestBankOfThePlanNeedsNoServer(t *testing.T) {
	w := newWorld(t)
	w.bank.Map(1, client1)
	p := model.SessionPlan{Online: true, Client: client1, Bank: &model.BankAssignment{Slot: slot1, Endpoint: endpoint(w.bank.Port()), By: "config"}}
	w.run(p)
	w.exchange(w.up(), 4)
	require.Equal(t, "no server is configured", w.find(model.PeerServer, model.ConnIdle).Reason)

	// The server is asked nothing when a person takes the card away.
	p.Bank, p.Unmapped, p.Generation = nil, true, 1
	w.plan.Set(p)
	w.ear.hears(t, "down")
	require.Equal(t, "unmapped by hand", w.peer(model.PeerBankd, model.ConnIdle).Reason)
}

// find looks through all events there were.
func (w *world) find(kind model.PeerKind, state model.ConnState) model.PeerChanged {
	w.t.Helper()
	for _, e := range w.events.all() {
		if p, ok := e.(model.PeerChanged); ok && p.Peer == kind && p.State == state {
			return p
		}
	}
	require.Failf(w.t, "no such event", "%s %s", kind, state)
	return model.PeerChanged{}
}

func TestUnmapHoldsUntilTheServerSaysSomethingNew(t *testing.T) {
	w := newWorld(t)
	w.connect()
	require.Equal(t, &slot0, w.assigned())
	p := w.byServer()
	p.Unmapped, p.Generation = true, 1
	w.plan.Set(p)
	w.ear.hears(t, "down")
	require.Nil(t, w.assigned())

	require.NoError(t, w.server.SendConfig(client1, slot0, net.IPv4(127, 0, 0, 1), w.bank.Port()))
	w.awaitTrace("configClientBankRes ok")
	w.remap(slot0, slot1)
	require.Equal(t, &slot1, w.assigned(), "the same assignment once more is not a new one")
	w.exchange(w.up(), 1)
}

func TestGenerationConnectsAnew(t *testing.T) {
	w := newWorld(t)
	w.connect()
	p := w.byServer()
	p.Generation = 5
	w.plan.Set(p)
	w.ear.hears(t, "down")
	w.exchange(w.up(), 1)
	w.awaitTrace("C1:0 > connectClientReq")
	w.awaitTrace("C1:0 > connectClientReq") // the server too
}

func TestBankRestart(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	for range 3 {
		require.NoError(t, w.bank.Restart())
		down := w.ear.hears(t, "down")
		require.Same(t, b, down.bank)
		require.Error(t, down.err)
		b = w.up()
		w.exchange(b, 1)
	}
}

func TestServerRestartLeavesTheBankAlone(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	for range 3 {
		require.NoError(t, w.server.Restart())
		f := w.fails(model.PeerServer, model.PeerClosed)
		// RST if the server closed with something of ours unread.
		require.Contains(t, []string{"the server closed the connection", "the server reset the connection"}, f.Reason)
		w.peer(model.PeerServer, model.ConnConnected)
		w.exchange(b, 2)
	}
	// Its maps are gone. The same map made again is no reason to move.
	require.Eventually(t, func() bool { return w.server.HasBank(1) }, patience, time.Millisecond)
	require.NoError(t, w.server.AddMap(slot0, client1))
	w.awaitTrace("C1:0 > configClientBankRes ok")
	w.exchange(b, 3)
}

func TestClientIdentityOfTheServerIsUsedNextTime(t *testing.T) {
	w := newWorld(t)
	b := w.connect()
	require.NoError(t, w.server.Send(client1, &rspro.ConfigClientIDReq{ClientSlot: rspro.ClientSlot{ClientID: 1024}}))
	w.awaitTrace("configClientIdRes illegalClientId")
	require.NoError(t, w.server.Send(client1, &rspro.ConfigClientIDReq{ClientSlot: rspro.ClientSlot{ClientID: 8, SlotNr: 2}}))
	w.awaitTrace("configClientIdRes ok")
	w.exchange(b, 1) // the connections there are keep theirs
	w.server.Cut(false)
	w.awaitTrace("C8:2 > connectClientReq remsim-client 1.0")
}

func TestResetStateForgetsTheAssignment(t *testing.T) {
	w := newWorld(t)
	w.connect()
	require.Equal(t, &slot0, w.assigned())
	require.NoError(t, w.server.Send(client1, &rspro.ResetStateReq{}))
	w.awaitTrace("resetStateRes ok")
	w.ear.hears(t, "down")
	require.Nil(t, w.assigned())
	w.remap(slot0, slot0)
	w.exchange(w.up(), 1)
}

func TestWhatPeersReportIsNotedAndBounded(t *testing.T) {
	w := newWorld(t)
	w.connect()
	text := "bad\x00\x1b[31m" + strings.Repeat("x", 400)
	require.NoError(t, w.server.Send(client1, &rspro.ErrorInd{Sender: rspro.RemsimServer, Severity: rspro.SeverityFatal, Code: 9,
		BankSlot: &rspro.BankSlot{BankID: 1}, ClientSlot: &rspro.ClientSlot{ClientID: 1}, ErrorString: &text}))
	n := w.noted("remsimServer reports a fatal error: error code 9 at B1:0 at C1:0: bad??[31mxxx")
	require.Less(t, len(n.Text), 300)
	require.Equal(t, "primary", n.Subject)
	require.NotContains(t, n.Text, "\x1b")
	// A flood makes no flood of events, and nothing of it ends the connection.
	for range 200 {
		require.NoError(t, w.server.Send(client1, &rspro.BankSlotStatusInd{}))
	}
	_, err := w.ses.Ping(t.Context(), model.PeerServer)
	require.NoError(t, err)
	notes := 0
	for _, e := range w.events.all() {
		if _, ok := e.(model.Noted); ok {
			notes++
		}
	}
	require.Less(t, notes, 50)
}

func TestServersAreTriedInOrder(t *testing.T) {
	w := newWorld(t)
	first, err := rsprofake.StartServer(rsprofake.ServerConfig{})
	require.NoError(t, err)
	defer first.Close()
	p := w.byServer()
	p.Servers = []model.Endpoint{endpoint(first.Port()), p.Servers[0]}
	first.Stop()
	w.run(p)
	f := w.fails(model.PeerServer, model.PeerConnectRefused)
	require.Equal(t, "connect to "+first.Addr()+": connection refused", f.Reason)
	require.Equal(t, w.server.Addr(), w.peer(model.PeerServer, model.ConnConnected).Address)
	require.NoError(t, first.Start())
	w.server.Cut(true)
	require.Equal(t, first.Addr(), w.peer(model.PeerServer, model.ConnConnected).Address, "back to the first")
}

func TestWhatTheConfigurationKnowsBetterAboutABank(t *testing.T) {
	w := newWorld(t)
	w.server.SetBankPort(1, 9) // what the server announces leads nowhere
	require.NoError(t, w.server.AddMap(slot0, client1))
	p := w.byServer()
	p.Corrections = map[uint16]model.Endpoint{1: {Host: "localhost", Port: w.bank.Port()}, 2: {Host: "192.0.2.1"}}
	w.run(p)
	require.Equal(t, net.JoinHostPort("localhost", strings.Split(w.bank.Addr(), ":")[1]), w.peer(model.PeerBankd, model.ConnConnected).Address)
	w.exchange(w.up(), 1)
	require.Zero(t, pings(w.ses, t), "this correction wants no keep-alive")
}

// pings sends one by hand, to see that it works without keep-alive.
func pings(s *client.Session, t *testing.T) int {
	d, err := s.Ping(t.Context(), model.PeerBankd)
	require.NoError(t, err)
	require.Positive(t, d)
	return 0
}

func TestSwitchingOffClosesInOrder(t *testing.T) {
	w := newWorld(t)
	w.connect()
	off := w.byServer()
	off.Online = false
	w.plan.Set(off)
	require.EqualError(t, w.ear.hears(t, "down").err, "switched off")
	w.peer(model.PeerServer, model.ConnIdle)
	w.awaitTrace("connection 1 ends: EOF")
	w.plan.Set(w.byServer())
	w.exchange(w.up(), 1)
	w.stop()
	w.ear.hears(t, "down")
	w.awaitTrace("ends: EOF")
	require.Empty(t, w.server.Clients())
}

func TestStoppingIsQuickWithAPeerThatDoesNotListen(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.bank.Stall(true)
	w.server.Stall(true)
	begin := time.Now()
	w.stop()
	require.Less(t, time.Since(begin), 10*time.Second) // 1 s and what the machine adds
}

func TestWhyAPeerCannotBeReached(t *testing.T) {
	for code, c := range map[string]struct {
		err  error
		text string
	}{
		model.PeerDNSFailed: {&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "bank.example"}},
			"connect to 127.0.0.1:1: the name bank.example cannot be resolved: no such host"},
		model.PeerConnectRefused: {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, "connect to 127.0.0.1:1: connection refused"},
		model.PeerConnectTimeout: {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.EHOSTUNREACH}, "connect to 127.0.0.1:1: no route to host"},
	} {
		t.Run(code, func(t *testing.T) {
			w := &world{t: t, events: newFeed[model.Event](), ear: ear{newFeed[said]()}}
			w.run(model.SessionPlan{Online: true, Servers: []model.Endpoint{endpoint(1)}}, func(c2 *client.Config) {
				c2.Dial = func(context.Context, model.Path, model.Purpose, string, string) (net.Conn, error) { return nil, c.err }
			})
			require.Equal(t, c.text, w.fails(model.PeerServer, code).Reason)
			w.fails(model.PeerServer, code) // and again: it never gives up
		})
	}
}

func TestRoundTripOfPing(t *testing.T) {
	w := newWorld(t)
	w.connect()
	for _, kind := range []model.PeerKind{model.PeerServer, model.PeerBankd} {
		d, err := w.ses.Ping(t.Context(), kind)
		require.NoError(t, err)
		require.Positive(t, d)
	}
	w.stop()
	_, err := w.ses.Ping(t.Context(), model.PeerBankd)
	require.EqualError(t, err, "ping the bankd: there is no connection")
}
