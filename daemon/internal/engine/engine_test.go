package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// bench is an engine at work, in the time of a synctest bubble.
type bench struct {
	*testing.T
	*engine.Engine
	news []journal.Entry
}

// settings is one remote modem on a server, and an iot modem with a local card.
func settings() engine.Settings {
	return engine.Settings{
		Valid: true, Enabled: true, DeviceID: "router-1", Grace: 300 * time.Second,
		Modems: []engine.Modem{
			{Name: "primary", Role: model.RolePrimary, Source: model.SourceRemote, Front: "vpcd",
				Session: model.SessionPlan{Client: model.ClientSlot{ID: 7, Slot: 1}, Servers: []model.Endpoint{{Host: "127.0.0.1", Port: 9998}}},
				Banks:   map[uint16]model.Endpoint{4: {Host: "bank4.example.com", Port: 9999, TLS: &model.TLSFiles{}}}},
			{Name: "iot", Role: model.RoleIoT, Source: model.SourceLocal, NoFront: "its source is local"},
		},
	}
}

func run(t *testing.T, s engine.Settings, test func(b *bench)) {
	runFrom(t, time.Time{}, s, test)
}

// runFrom begins at a date; a bubble's clock begins in the year 2000.
func runFrom(t *testing.T, begin time.Time, s engine.Settings, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(begin))
		b := &bench{T: t}
		b.Engine = engine.New(engine.Options{Version: "test", First: 1 << 32,
			Publish: func(_ *model.Snapshot, news []journal.Entry) { b.news = append(b.news, news...) }})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- b.Engine.Run(ctx) }()
		require.NoError(t, b.Apply(ctx, s))
		test(b)
		cancel()
		require.NoError(t, <-done)
	})
}

func now() model.At { return model.At{Time: time.Now()} }

// tell sends events and waits until they are folded.
func (b *bench) tell(events ...model.Event) *model.Snapshot {
	for _, ev := range events {
		b.Tell(ev)
	}
	synctest.Wait()
	return b.Snapshot()
}

func serverUp() model.Event {
	return model.PeerChanged{At: now(), Modem: "primary", Peer: model.PeerServer, State: model.ConnConnected, Address: "127.0.0.1:9998"}
}

func assigned() model.Event {
	return model.Assigned{At: now(), Modem: "primary", Client: model.ClientSlot{ID: 7, Slot: 1}, Bank: &model.BankSlot{ID: 1, Slot: 2}, By: "server"}
}

func bankUp() model.Event {
	return model.PeerChanged{At: now(), Modem: "primary", Peer: model.PeerBankd, State: model.ConnConnected, Address: "127.0.0.1:9999"}
}

func bankLost(code, reason string) model.Event {
	return model.PeerChanged{At: now(), Modem: "primary", Peer: model.PeerBankd, State: model.ConnBackoff, Address: "127.0.0.1:9999", Code: code, Reason: reason}
}

func cardIs(state model.CardState, reason string) model.Event {
	return model.CardChanged{At: now(), Modem: "primary", State: state, Front: "vpcd", ATR: "3B00", ICCID: "8988211000000000011", Reason: reason}
}

func TestWayToOperationalAndThroughAnOutage(t *testing.T) {
	run(t, settings(), func(b *bench) {
		synctest.Wait()
		require.Equal(t, model.StateStarting, b.Snapshot().State)

		s := b.tell(serverUp())
		require.Equal(t, model.StateWaiting, s.State)
		require.Equal(t, "primary: registered as client 7 slot 1, no card assigned yet", s.Reason)
		require.Equal(t, "no-assignment", s.Health.Findings[0].Code)

		s = b.tell(assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
		require.Equal(t, model.StateOperational, s.State)
		require.Equal(t, "primary uses the card in bank 1 slot 2", s.Reason)
		require.Empty(t, s.Health.Findings)
		require.Equal(t, 100, s.Health.Score)
		require.Equal(t, model.ConnConnected, s.Sessions[0].State)
		require.Len(t, s.Sessions, 1, "the iot modem has no RSPRO session")

		s = b.tell(bankLost(model.PeerClosed, "the bank closed the connection"), cardIs(model.CardLost, "bank away, card held"))
		require.Equal(t, model.StateRideThrough, s.State)
		require.Equal(t, "bank-peer-closed", s.Health.Findings[0].Code)
		require.Len(t, s.Health.Findings, 1, "what follows from the lost bank is not shown beside it")

		time.Sleep(299 * time.Second)
		synctest.Wait()
		require.Equal(t, model.StateRideThrough, b.Snapshot().State)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, model.StateDegraded, b.Snapshot().State, "time alone ends the grace")
		require.True(t, b.Plans("primary").Card.Get().Show, "the end of grace does not withdraw the card")

		s = b.tell(bankUp(), cardIs(model.CardReady, "bank back"))
		require.Equal(t, model.StateOperational, s.State)
		require.Empty(t, s.Health.Findings)
	})
}

func TestPeerThatRefusesEveryAttemptDoesNotLookHealthyBetweenThem(t *testing.T) {
	run(t, settings(), func(b *bench) {
		refused := model.PeerChanged{At: now(), Modem: "primary", Peer: model.PeerServer, State: model.ConnBackoff,
			Address: "127.0.0.1:9998", Code: model.PeerConnectRefused, Reason: "connection refused"}
		connecting := refused
		connecting.State, connecting.Code, connecting.Reason = model.ConnConnecting, "", ""
		for range 3 {
			s := b.tell(refused)
			require.Equal(t, "server-connect-refused", s.Health.Findings[0].Code)
			s = b.tell(connecting)
			require.Equal(t, "server-connect-refused", s.Health.Findings[0].Code)
			require.Equal(t, model.StateWaiting, s.State)
		}
		entries, err := b.Events(context.Background(), 0, 100, model.KindServer)
		require.NoError(t, err)
		require.Len(t, entries, 1, "repetitions are counted")
		require.Equal(t, 3, entries[0].Count)
	})
}

func TestSequenceGrowsOnlyWithChanges(t *testing.T) {
	run(t, settings(), func(b *bench) {
		s := b.tell(serverUp())
		require.Greater(t, s.Sequence, int64(1)<<32)
		time.Sleep(time.Hour)
		synctest.Wait()
		again := b.Snapshot()
		require.Same(t, s, again)
	})
}

func TestCommands(t *testing.T) {
	tests := []struct {
		name    string
		cmd     model.Command
		refused string
		plan    func(t *testing.T, s model.SessionPlan, c model.CardPlan)
	}{
		{name: "map to a configured bank takes its address and TLS", cmd: model.MapBank{Slot: model.BankSlot{ID: 4, Slot: 0}},
			plan: func(t *testing.T, s model.SessionPlan, _ model.CardPlan) {
				require.Equal(t, "bank4.example.com", s.Bank.Endpoint.Host)
				require.NotNil(t, s.Bank.Endpoint.TLS)
				require.Equal(t, int64(1), s.Generation)
			}},
		{name: "map to an unknown bank needs a host", cmd: model.MapBank{Modem: "primary", Slot: model.BankSlot{ID: 5}},
			refused: "argument host is missing: bank 5 is in no bank section and was not reached yet"},
		{name: "map refuses ids above 1023", cmd: model.MapBank{Host: "h", Slot: model.BankSlot{ID: 1024}},
			refused: "bank_id 1024, slot 0: each must be 0..1023"},
		{name: "map of a modem without front", cmd: model.MapBank{Modem: "iot", Host: "h"},
			refused: "modem iot cannot take a remote card: its source is local"},
		{name: "unmap takes the card away", cmd: model.Unmap{},
			plan: func(t *testing.T, s model.SessionPlan, c model.CardPlan) {
				require.True(t, s.Unmapped)
				require.True(t, s.Online, "the server connection stays: it may assign anew")
				require.False(t, c.Show)
			}},
		{name: "local source goes offline", cmd: model.SetSource{Modem: "primary", Source: model.SourceLocal},
			plan: func(t *testing.T, s model.SessionPlan, c model.CardPlan) {
				require.False(t, s.Online)
				require.False(t, c.Show)
			}},
		{name: "source is one of two words", cmd: model.SetSource{Modem: "primary", Source: "card"},
			refused: `source "card" is neither remote nor local`},
		{name: "unknown modem", cmd: model.Unmap{Modem: "second"},
			refused: `there is no modem "second"; configured: primary, iot`},
		{name: "tracing", cmd: model.SetTracing{On: true},
			plan: func(t *testing.T, _ model.SessionPlan, c model.CardPlan) { require.True(t, c.TraceActive) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, settings(), func(b *bench) {
				seq, err := b.Do(context.Background(), tt.cmd)
				if tt.refused != "" {
					var refusal *model.CommandError
					require.ErrorAs(b.T, err, &refusal)
					require.Equal(b.T, tt.refused, refusal.Message)
					return
				}
				require.NoError(b.T, err)
				synctest.Wait()
				require.GreaterOrEqual(b.T, b.Snapshot().Sequence, seq)
				plans := b.Plans("primary")
				tt.plan(b.T, plans.Session.Get(), plans.Card.Get())
			})
		})
	}
}

func TestSwitchedOffOrInvalidTouchesNothing(t *testing.T) {
	off := settings()
	off.Enabled = false
	run(t, off, func(b *bench) {
		synctest.Wait()
		require.Equal(t, model.StateStopped, b.Snapshot().State)
		require.False(t, b.Plans("primary").Session.Get().Online)
		require.False(t, b.Plans("primary").Card.Get().Show)
		require.Equal(t, "disabled", b.Snapshot().Health.Findings[0].Code)
	})
	run(t, engine.Settings{DeviceID: "router-1", Errors: []string{"modem primary: client_id 5000"}}, func(b *bench) {
		synctest.Wait()
		require.Equal(t, model.StateStopped, b.Snapshot().State)
		require.Equal(t, "config-invalid", b.Snapshot().Health.Findings[0].Code)
		require.Contains(t, b.Snapshot().Health.Findings[0].Text, "client_id 5000")
	})
}

func TestReloadKeepsWhatIsKnownOfAModem(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
		changed := settings()
		changed.Grace = time.Minute
		require.NoError(t, b.Apply(context.Background(), changed))
		require.Equal(t, model.StateOperational, b.Snapshot().State)
	})
}

func TestSilentCardIsForgottenWhenItComesBack(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
		s := b.tell(model.CommandMuted{At: now(), Modem: "primary", Reason: "READ BINARY got no answer within 30 s"})
		require.Equal(t, model.StateDegraded, s.State)
		require.Equal(t, "card-silent", s.Health.Findings[0].Code)
		b.tell(bankLost(model.PeerNoCard, "no card"), cardIs(model.CardLost, "held"))
		time.Sleep(time.Second)
		s = b.tell(bankUp(), cardIs(model.CardReady, "bank back"))
		require.Equal(t, model.StateOperational, s.State)
		require.Empty(t, s.Health.Findings)
	})
}

func TestBankThatTheRelayDropsIsNotBack(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
		time.Sleep(time.Minute)
		s := b.tell(cardIs(model.CardLost, "the bank is out of step")) // before the connection is reported lost
		require.Contains(t, s.Reason, "is away")
		time.Sleep(time.Second)
		require.Contains(t, b.tell(bankUp()).Reason, "is back")
	})
}

func TestCardOfAnotherSlotIsNotHeld(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp(), cardIs(model.CardReady, "card inserted"))
		require.True(t, b.Plans("primary").Card.Get().Hold)
		b.tell(bankLost(model.PeerClosed, "gone"), cardIs(model.CardLost, "held"))
		require.True(t, b.Plans("primary").Card.Get().Hold, "through an outage the card is held")
		moved := assigned().(model.Assigned)
		moved.Bank = &model.BankSlot{ID: 1, Slot: 3}
		b.tell(moved)
		require.False(t, b.Plans("primary").Card.Get().Hold, "the modem must not go on with a card that was taken away")
	})
}

func TestMapWithoutAddressFindsABankThatWasReached(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp())
		_, err := b.Do(context.Background(), model.Unmap{})
		require.NoError(t, err)
		_, err = b.Do(context.Background(), model.MapBank{Slot: model.BankSlot{ID: 1, Slot: 2}})
		require.NoError(t, err)
		synctest.Wait()
		bank := b.Plans("primary").Session.Get().Bank
		require.Equal(t, "127.0.0.1", bank.Endpoint.Host)
		require.Equal(t, uint16(9999), bank.Endpoint.Port)
		require.Nil(t, bank.Endpoint.TLS, "reached as it was before")
	})
}

func TestIdentitiesAreMaskedInTheJournal(t *testing.T) {
	run(t, settings(), func(b *bench) {
		b.tell(cardIs(model.CardReady, "card inserted"))
		for _, e := range b.news {
			require.NotContains(t, e.Text+e.Data["iccid"], "898821100000000001")
		}
	})
}
