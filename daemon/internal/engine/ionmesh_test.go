package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// orchestrated is settings where the orchestrator gives the card.
func orchestrated() engine.Settings {
	s := settings()
	s.IonMesh = model.IonMeshPlan{URL: "https://ionmesh.example.com", Members: []model.MeshMember{{Modem: "primary", ClientID: "router-1"}}}
	s.Modems[0].DefaultBank = model.Endpoint{Port: 9999, TLS: &model.TLSFiles{}}
	s.Modems[0].Loopback = func(host string) bool { return host == "127.0.0.1" }
	return s
}

func given(epoch int64, c *model.MeshCard) model.LeaseChanged {
	return model.LeaseChanged{At: now(), Modem: "primary", Card: c, May: c != nil, ID: "L", Epoch: epoch, Ends: time.Now().Add(time.Hour)}
}

func meshCard(bank, slot uint16) *model.MeshCard {
	return &model.MeshCard{Bank: model.BankSlot{ID: bank, Slot: slot}, Client: &model.ClientSlot{ID: 3, Slot: 4}, Bankd: model.MeshAddress{Host: "bank.example.com", Port: 9998}}
}

func registered() model.IonMeshChanged {
	return model.IonMeshChanged{At: now(), Modem: "primary", ClientID: "router-1", URL: "https://ionmesh.example.com", State: model.MeshRegistered, Transport: "rest",
		LastBeat: time.Now(), NextBeat: time.Now().Add(5 * time.Minute)}
}

func silent() model.IonMeshChanged {
	ev := registered()
	ev.State, ev.Code, ev.Reason = model.MeshSilent, model.PeerConnectRefused, "connect to x: connection refused"
	return ev
}

func TestOrchestratorGivesTheCard(t *testing.T) {
	run(t, orchestrated(), func(b *bench) {
		require.False(b, b.Plans("primary").Session.Get().Online, "without a card nothing is connected to")
		require.True(b, b.IonMeshPlan().Get().Online)
		s := b.tell(registered(), given(1, meshCard(0, 0)))
		p := b.Plans("primary").Session.Get()
		require.True(b, p.Online)
		require.Empty(b, p.Servers)
		require.Equal(b, model.ClientSlot{ID: 3, Slot: 4}, p.Client)
		require.Equal(b, &model.BankAssignment{Slot: model.BankSlot{}, By: "ionmesh", Endpoint: model.Endpoint{Host: "bank.example.com", Port: 9998, TLS: &model.TLSFiles{}}}, p.Bank)
		require.Equal(b, "registered", s.IonMesh.State)
		require.EqualValues(b, 1, s.IonMesh.Lease.Epoch)

		c := meshCard(4, 1)
		c.Client = nil
		b.tell(given(2, c))
		require.Equal(b, model.ClientSlot{ID: 4, Slot: 1}, b.Plans("primary").Session.Get().Client, "as the original project has it")
		require.Equal(b, "bank4.example.com", b.Plans("primary").Session.Get().Bank.Endpoint.Host, "a bank section corrects the answer")

		c = meshCard(1, 1)
		c.Server = &model.MeshAddress{Host: "127.0.0.1", Port: 9998}
		b.tell(given(3, c))
		p = b.Plans("primary").Session.Get()
		require.Nil(b, p.Bank)
		require.Equal(b, "127.0.0.1", p.Servers[0].Host)
		require.Nil(b, p.Servers[0].TLS)
	})
}

func TestCardGoesWithItsLease(t *testing.T) {
	run(t, orchestrated(), func(b *bench) {
		s := b.tell(registered(), given(1, meshCard(1, 2)), assigned(), bankUp(), cardIs(model.CardReady, ""))
		require.Equal(b, model.StateOperational, s.State)
		require.True(b, b.Plans("primary").Card.Get().Show)
		over := given(1, meshCard(1, 2))
		over.May, over.Code, over.Reason = false, model.MeshLeaseEnded, "the lease has ended"
		s = b.tell(over)
		require.False(b, b.Plans("primary").Card.Get().Show)
		require.False(b, b.Plans("primary").Session.Get().Online)
		require.Equal(b, model.StateWaiting, s.State)
		require.Equal(b, "primary: the lease has ended", s.Reason)
		require.Equal(b, "ionmesh-lease-ended", s.Health.Findings[0].Code)
	})
}

func TestSilenceOnlyRaisesDegradedAfterGrace(t *testing.T) {
	run(t, orchestrated(), func(b *bench) {
		b.tell(registered(), given(1, meshCard(1, 2)), assigned(), bankUp(), cardIs(model.CardReady, ""))
		s := b.tell(silent())
		require.Equal(b, model.StateOperational, s.State)
		require.Equal(b, "ionmesh-connect-refused", s.Health.Findings[0].Code)
		time.Sleep(200 * time.Second)
		b.tell(silent())
		time.Sleep(101 * time.Second)
		synctest.Wait()
		s = b.Snapshot()
		require.Equal(b, model.StateDegraded, s.State, "time alone ends the grace")
		require.Len(b, s.Health.Findings, 2)
		require.True(b, b.Plans("primary").Card.Get().Show, "the card stays")
		s = b.tell(registered())
		require.Equal(b, model.StateOperational, s.State)
		require.Empty(b, s.Health.Findings)
	})
}

func TestMoveMapAndUnmapUnderTheOrchestrator(t *testing.T) {
	run(t, orchestrated(), func(b *bench) {
		bank := func() model.BankSlot { return b.Plans("primary").Session.Get().Bank.Slot }
		do := func(c model.Command) { _, err := b.Do(context.Background(), c); require.NoError(b, err) }
		b.tell(registered(), given(1, meshCard(1, 2)))
		do(model.MapBank{Modem: "primary", Host: "other.example.com", Port: 1, Slot: model.BankSlot{ID: 9, Slot: 9}})
		b.tell(given(1, meshCard(1, 2)))
		require.EqualValues(b, 9, bank().ID, "a renewal does not undo what a person has mapped")
		do(model.Moved{Modem: "primary", Card: *meshCard(1, 3)})
		b.tell(given(2, meshCard(1, 3)))
		require.Equal(b, model.BankSlot{ID: 1, Slot: 3}, bank())
		do(model.Unmap{Modem: "primary"})
		b.tell(given(2, meshCard(1, 3)))
		require.Nil(b, b.Plans("primary").Session.Get().Bank, "a renewal is no new assignment")
		b.tell(given(3, meshCard(1, 3)))
		require.NotNil(b, b.Plans("primary").Session.Get().Bank, "a new epoch is one")
		_, err := b.Do(context.Background(), model.Moved{Modem: "iot", Card: *meshCard(1, 3)})
		require.ErrorContains(b, err, "gets its card from elsewhere")
	})
}

func TestCommandThatCameToNothingIsAFinding(t *testing.T) {
	run(t, orchestrated(), func(b *bench) {
		b.tell(registered(), given(1, meshCard(1, 2)), assigned(), bankUp(), cardIs(model.CardReady, ""))
		s := b.tell(model.MeshOrderDone{At: now(), Modem: "primary", ID: "c", Command: "reset", Status: "refused", Message: "no line"})
		require.Equal(b, "ionmesh-command-refused", s.Health.Findings[0].Code)
		s = b.tell(model.MeshOrderDone{At: now(), Modem: "primary", ID: "d", Command: "collect", Status: "done"})
		require.Empty(b, s.Health.Findings)
	})
}
