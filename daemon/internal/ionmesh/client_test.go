package ionmesh_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func TestRegistersBeatsAndKeepsItsCard(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		pass(10 * time.Second)
		state, l := w.now("primary")
		require.Equal(t, model.MeshRegistered, state.State)
		require.True(t, l.May)
		require.Equal(t, model.BankSlot{ID: 1, Slot: 0}, l.Card.Bank, "0 is a valid slot")
		require.Equal(t, model.MeshAddress{Host: "192.0.2.7", Port: 9999}, l.Card.Bankd)
		require.NotZero(t, l.Ends)
		pass(time.Hour)
		seen, ok := w.fake.Client("router")
		require.True(t, ok)
		require.InDelta(t, 12, seen.Beats, 2)
		require.Equal(t, "active", seen.Status)
		require.Equal(t, -71, seen.Stats.RSSI)
		require.Equal(t, 1, w.pipes.dials, "one connection for all of it")
		require.Equal(t, 1, w.fake.Requests()["GET discover"])
		require.Less(t, w.memory.writes, 6, "renewals are not written to flash one by one")
	})
}

func TestOldOrchestrator(t *testing.T) {
	bubble(t, ionmeshfake.Options{}, func(w *world) {
		pass(time.Hour)
		state, l := w.now("primary")
		require.Equal(t, model.MeshRegistered, state.State)
		require.True(t, l.May)
		require.Zero(t, l.Ends, "it knows no leases")
		w.fake.Stop()
		pass(24 * time.Hour)
		state, l = w.now("primary")
		require.Equal(t, model.MeshSilent, state.State)
		require.Equal(t, model.PeerConnectRefused, state.Code)
		require.True(t, l.May, "without a lease the card is kept")
		w.restart()
		pass(time.Minute)
		_, l = w.now("primary")
		require.True(t, l.May, "over a restart too")
	})
}

func TestOutageAndRestartKeepTheCardUntilTheLeaseEnds(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		pass(10 * time.Second)
		w.fake.Stop()
		begun := time.Now()
		pass(20 * time.Minute)
		w.restart()
		pass(time.Second)
		require.Equal(t, 0, w.slot(), "a restart in an outage")
		_, l := w.now("primary")
		pass(time.Until(l.Ends) - 2*time.Second)
		require.Equal(t, 0, w.slot())
		_, near := w.now("primary")
		require.True(t, near.Near)
		pass(3 * time.Second)
		require.Equal(t, -1, w.slot())
		_, l = w.now("primary")
		require.Equal(t, model.MeshLeaseEnded, l.Code)
		require.LessOrEqual(t, time.Since(begun), time.Hour)
		require.NoError(t, w.fake.Resume())
		pass(6 * time.Minute)
		require.Equal(t, 0, w.slot(), "and back")
	})
}

func TestRebootWaitsForTrustedTime(t *testing.T) {
	for name, c := range map[string]struct {
		off  time.Duration
		set  func(w *world)
		slot int
		code string
	}{
		"nothing tells the time":    {time.Minute, func(*world) {}, -1, model.MeshLeaseUnproven},
		"the clock is set in time":  {time.Minute, func(w *world) { w.clock.trusted = true }, 0, ""},
		"the clock is set, too off": {58 * time.Minute, func(w *world) { w.clock.trusted, w.clock.bound = true, 5*time.Minute }, -1, model.MeshLeaseEnded},
		"it was off for too long":   {2 * time.Hour, func(w *world) { w.clock.trusted = true }, -1, model.MeshLeaseEnded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, modern(), func(w *world) {
				pass(10 * time.Second)
				w.fake.Stop()
				w.reboot(c.off)
				pass(20 * time.Second)
				_, l := w.now("primary")
				require.False(t, l.May)
				require.NotNil(t, l.Card, "it says which card to ask for")
				w.clock.mu.Lock()
				c.set(w)
				w.clock.mu.Unlock()
				pass(20 * time.Second)
				require.Equal(t, c.slot, w.slot())
				_, l = w.now("primary")
				require.Equal(t, c.code, l.Code)
			})
		})
	}
}

func TestEveryModemHasAClientOfItsOwn(t *testing.T) {
	bubble(t, lean(), func(w *world) {
		w.stop()
		w.plan = plan(w.fake.URL(), "primary", "second")
		w.begin()
		pass(time.Hour)
		for _, id := range []string{"router", "router/second"} {
			seen, ok := w.fake.Client(id)
			require.True(t, ok, id)
			require.True(t, seen.Lean)
			require.Greater(t, seen.Beats, 8)
		}
		require.Equal(t, 1, w.fake.Requests()["hello"], "both beat on one connection")
	})
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		fault ionmeshfake.Fault
		state model.MeshState
		code  string
	}{
		"key":           {ionmeshfake.Fault{Status: 401, Body: `{"status":"error","message":"bad key"}`}, model.MeshRefused, model.MeshKeyRefused},
		"tenant":        {ionmeshfake.Fault{Status: 404, Body: `{"status":"error","message":"no such tenant"}`}, model.MeshRefused, model.MeshTenantUnknown},
		"no pool":       {ionmeshfake.Fault{Status: 404, Body: `{"status":"error","message":"no pool"}`}, model.MeshRefused, model.MeshPoolExhausted},
		"no slot":       {ionmeshfake.Fault{Status: 409, Body: `{"status":"error","message":"taken"}`}, model.MeshRefused, model.MeshNoSlot},
		"exhausted":     {ionmeshfake.Fault{Status: 503, Body: `{"status":"error","message":"none free","available_modes":[]}`}, model.MeshRefused, model.MeshPoolExhausted},
		"bad request":   {ionmeshfake.Fault{Status: 400, Body: `{"status":"error","message":"client_id required"}`}, model.MeshRefused, model.MeshRequest},
		"stated in 200": {ionmeshfake.Fault{Status: 200, Body: `{"status":"error","message":"no"}`}, model.MeshRefused, model.MeshRequest},
		"overload":      {ionmeshfake.Fault{Status: 503, Body: `upstream`}, model.MeshRegistering, model.MeshBusy},
		"not found":     {ionmeshfake.Fault{Status: 404, Body: `not here`}, model.MeshRegistering, model.MeshBadAnswer},
		"wrong type":    {ionmeshfake.Fault{Status: 200, Body: `{"status":"success","bank_id":"one","slot_id":1}`}, model.MeshRegistering, model.MeshBadAnswer},
		"no slot named": {ionmeshfake.Fault{Status: 200, Body: `{"status":"success","bank_id":1,"bankd_endpoint":"h"}`}, model.MeshRegistering, model.MeshBadAnswer},
		"out of range":  {ionmeshfake.Fault{Status: 200, Body: `{"status":"success","bank_id":1024,"slot_id":1,"bankd_endpoint":"h"}`}, model.MeshRegistering, model.MeshBadAnswer},
		"no json":       {ionmeshfake.Fault{Status: 200, Body: `{"status":"succ`}, model.MeshRegistering, model.MeshBadAnswer},
		"redirect":      {ionmeshfake.Fault{Status: 302, Location: "http://192.0.2.1/", Body: `{}`}, model.MeshRegistering, model.MeshRedirected},
		"html":          {ionmeshfake.Fault{Kind: ionmeshfake.HTML}, model.MeshRegistering, model.MeshBadAnswer},
		"a megabyte":    {ionmeshfake.Fault{Kind: ionmeshfake.Huge}, model.MeshRegistering, model.MeshBadAnswer},
		"half":          {ionmeshfake.Fault{Kind: ionmeshfake.Half}, model.MeshRegistering, model.PeerClosed},
		"slow-loris":    {ionmeshfake.Fault{Kind: ionmeshfake.Drip}, model.MeshRegistering, model.MeshTimeout},
		"hang":          {ionmeshfake.Fault{Kind: ionmeshfake.Hang}, model.MeshRegistering, model.MeshTimeout},
		"hang up":       {ionmeshfake.Fault{Kind: ionmeshfake.Hangup}, model.MeshRegistering, model.PeerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			if c.fault.Kind == "" {
				c.fault.Kind = ionmeshfake.Answer
			}
			bubble(t, modern(), func(w *world) {
				w.fake.Misbehave(c.fault)
				pass(20 * time.Second)
				state, l := w.now("primary")
				require.Equal(t, c.code, state.Code, state.Reason)
				require.Equal(t, c.state, state.State)
				require.NotEmpty(t, state.Reason)
				require.False(t, l.May)
				w.fake.Clear()
				pass(6 * time.Minute)
				require.Equal(t, 0, w.slot(), "it tries again by itself")
				state, _ = w.now("primary")
				require.Empty(t, state.Code)

				w.fake.Misbehave(c.fault)
				pass(20 * time.Minute)
				require.Equal(t, 0, w.slot(), "what goes wrong later takes no card away")
				require.True(t, w.codes[c.code] || c.code == model.MeshTenantUnknown || c.code == model.MeshPoolExhausted)
			})
		})
	}
}

func TestLostAnswerGivesNoSecondCard(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		w.fake.Misbehave(ionmeshfake.Fault{Kind: ionmeshfake.Lose, Name: "register-client", Times: 3})
		pass(10 * time.Minute)
		require.Equal(t, 0, w.slot())
		seen, _ := w.fake.Client("router")
		require.EqualValues(t, 1, seen.Epoch, "it is the same registration each time")
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		w.fake.Misbehave(ionmeshfake.Fault{Kind: ionmeshfake.Answer, Status: 429, RetryAfter: "1800", Body: `{"status":"error","message":"slow down"}`, Times: 1})
		pass(29 * time.Minute)
		require.Equal(t, 1, w.fake.Requests()["POST register-client"])
		state, _ := w.now("primary")
		require.Equal(t, model.MeshBusy, state.Code)
		pass(7 * time.Minute)
		require.Equal(t, 0, w.slot())
	})
}

func TestIntervalOfTheOrchestratorIsObeyed(t *testing.T) {
	o := modern()
	o.Interval = time.Minute
	bubble(t, o, func(w *world) {
		pass(time.Hour)
		seen, _ := w.fake.Client("router")
		require.InDelta(t, 60, seen.Beats, 5)
	})
}

func TestShortLeaseIsRenewedInTime(t *testing.T) {
	o := modern()
	o.Lease = time.Minute // the interval is five
	bubble(t, o, func(w *world) {
		pass(10 * time.Second)
		for range 100 {
			pass(7 * time.Second)
			require.Equal(t, 0, w.slot())
		}
	})
}

func TestForgottenClientRegistersAgain(t *testing.T) {
	for _, o := range []ionmeshfake.Options{modern(), lean()} {
		bubble(t, o, func(w *world) {
			pass(10 * time.Second)
			w.fake.Forget()
			pass(6 * time.Minute)
			_, ok := w.fake.Client("router")
			require.True(t, ok)
			require.Equal(t, 0, w.slot())
		})
	}
}

func TestRevokedLeaseEndsAtOnce(t *testing.T) {
	for _, o := range []ionmeshfake.Options{modern(), lean()} {
		bubble(t, o, func(w *world) {
			pass(10 * time.Second)
			require.Equal(t, 0, w.slot())
			w.fake.Misbehave(ionmeshfake.Fault{Kind: ionmeshfake.Answer, Name: "register-client", Status: 503, Body: `{"status":"error","message":"none free"}`})
			require.NoError(t, w.fake.Revoke("router"))
			pass(6 * time.Minute)
			require.Equal(t, -1, w.slot())
		})
	}
}

func TestStaleEpochIsNotObeyed(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		pass(10 * time.Second)
		w.fake.Misbehave(ionmeshfake.Fault{Kind: ionmeshfake.Answer, Status: 200, Body: `{"status":"success","bank_id":1,"slot_id":9,"bankd_endpoint":"h","epoch":0,"lease_id":"x","lease_seconds":99}`, Name: "register-client"})
		w.restart()
		pass(time.Minute)
		state, _ := w.now("primary")
		require.Equal(t, model.MeshStaleEpoch, state.Code)
		require.Equal(t, model.MeshRefused, state.State)
		require.Equal(t, 0, w.slot())
	})
}

func TestLeaseThatCannotBeStoredIsUsedAndSaid(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		w.memory.mu.Lock()
		w.memory.broken = errors.New("no space left on device")
		w.memory.mu.Unlock()
		pass(10 * time.Second)
		state, _ := w.now("primary")
		require.Equal(t, model.MeshUnstored, state.Code)
		require.Equal(t, 0, w.slot())
	})
}

func TestSwitchedOffSaysNothingMore(t *testing.T) {
	bubble(t, lean(), func(w *world) {
		pass(10 * time.Second)
		p := w.plan
		p.Online = false
		w.cell.Set(p)
		pass(time.Second)
		before := w.fake.Requests()
		pass(2 * time.Hour)
		require.Equal(t, before, w.fake.Requests(), "and gives nothing back")
		state, _ := w.now("primary")
		require.Equal(t, model.MeshOff, state.State)
		_, ok := w.fake.Client("router")
		require.True(t, ok)
	})
}

func TestPathThatIsLostEndsWhatIsUnderWay(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		pass(10 * time.Second)
		w.fake.Misbehave(ionmeshfake.Fault{Kind: ionmeshfake.Hang, Times: 1})
		for w.fake.Requests()["POST heartbeat"] == 0 {
			pass(time.Second)
		}
		p := w.plan
		p.Path, p.PathLost, p.Generation = model.Path{Link: "wan", Device: "eth1", Number: 2}, true, 0
		w.cell.Set(p)
		pass(100 * time.Millisecond)
		seen, _ := w.fake.Client("router")
		require.Equal(t, 1, seen.Beats, "the beat went over the other path at once")
	})
}

func TestTestTriesTheWayWithoutRegistering(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		pass(10 * time.Second)
		before := w.fake.Requests()
		steps := w.client.Test(w.t.Context())
		require.Len(t, steps, 2)
		require.True(t, steps[1].OK, steps[1].Text)
		require.Contains(t, steps[1].Text, "ionmesh")
		after := w.fake.Requests()
		require.Equal(t, before["POST register-client"], after["POST register-client"])
		w.fake.Stop()
		steps = w.client.Test(w.t.Context())
		require.False(t, steps[len(steps)-1].OK)
		require.Contains(t, steps[len(steps)-1].Text, "connection refused")
	})
}
