package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/budget"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// withBudget is two links, the IoT link with 10 MB a month.
func withBudget(atLimit string) engine.Settings {
	s := twoLinks()
	s.Budgets = []budget.Policy{{Link: "iot", Limit: 10_000_000, ResetDay: 1, AtLimit: atLimit}}
	return s
}

// metered is a reading of the IoT link's counters.
func metered(epoch string, bank, server int64) model.Metered {
	return model.Metered{At: now(), Epoch: epoch, Counts: []model.MeterCount{
		{Link: "iot", Rx: bank / 2, Tx: bank - bank/2 + server, Purposes: map[string]int64{"bank": bank, "server": server}},
	}}
}

func TestMeterPlanFollowsLinksAndPolicies(t *testing.T) {
	run(t, withBudget("essential"), func(b *bench) {
		b.tell()
		require.Nil(t, b.MeterPlan().Get().Links, "before netifd has spoken, the fences of an earlier life stay")
		b.bothUp()
		plan := b.MeterPlan().Get()
		require.Equal(t, []model.MeterLink{
			{Name: "primary", Number: 1, Device: "wwan0"},
			{Name: "iot", Number: 2, Device: "wwan1", Fence: true},
		}, plan.Links)
		b.tell(metered("a", 1000, 0))
		essential := []model.Purpose{model.PurposeBank, model.PurposeOrchestrator, model.PurposeDNS}
		require.Equal(t, model.MeterLink{Name: "iot", Number: 2, Device: "wwan1", Fence: true, Until: 10_000_000, UntilEpoch: "a", Then: essential},
			b.MeterPlan().Get().Links[1])
		before := b.MeterPlan().Get()
		b.tell(metered("a", 2000, 500))
		require.Equal(t, before, b.MeterPlan().Get(), "the limit stays where it is while bytes flow towards it")
		b.tell(metered("b", 100, 0))
		require.Equal(t, int64(10_000_000-2500), b.MeterPlan().Get().Links[1].Until, "a new table counts from 0")
	})
}

func TestBudgetInTheStatusAndInFindings(t *testing.T) {
	run(t, withBudget("essential"), func(b *bench) {
		s := b.bothUp()
		require.Equal(t, []model.Budget{{Link: "iot", Limit: 10_000_000, State: "uncounted", Purposes: map[string]int64{}}}, s.Budget)
		s = b.tell(metered("a", 7_000_000, 999_999))
		require.Empty(t, s.Health.Findings)
		require.Equal(t, []model.Budget{{Link: "iot", Month: 7_999_999, Limit: 10_000_000, Forecast: 7_999_999, State: "ok",
			Purposes: map[string]int64{"bank": 7_000_000, "server": 999_999}}}, s.Budget)
		require.Equal(t, []int64{3_500_000, 4_499_999}, []int64{s.Links[1].RxBytes, s.Links[1].TxBytes})
		s = b.tell(metered("a", 7_000_000, 1_000_000))
		require.Equal(t, "budget-near", s.Health.Findings[0].Code)
		require.Equal(t, "the link has carried 80 % of its monthly budget: 8.0 MB of 10.0 MB, and 8.0 MB by the end of the month at this rate", s.Health.Findings[0].Text)
		s = b.tell(metered("a", 9_000_000, 1_000_000))
		require.Equal(t, "budget-reached", s.Health.Findings[0].Code)
		require.Contains(t, s.Health.Findings[0].Text, "10.0 MB of 10.0 MB; only beats, AUTHENTICATE and its answer still pass")
	})
}

// At the limit AUTHENTICATE goes to the card and STATUS does not; nothing is
// probed; and all of that ends with the month.
func TestAtTheLimitOnlyWhatIsEssentialPasses(t *testing.T) {
	runFrom(t, time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC), withBudget("essential"), func(b *bench) {
		b.bothUp()
		b.tell(metered("a", 1, 0))
		before := b.Plans("primary").Card.Get()
		s := b.tell(metered("a", 10_000_000, 0))
		require.Equal(t, "reached", s.Budget[0].State)
		plan := b.MeterPlan().Get().Links[1]
		require.Equal(t, []model.Purpose{model.PurposeBank, model.PurposeOrchestrator, model.PurposeDNS}, plan.Allow)
		require.Empty(t, plan.UntilEpoch)
		card := b.Plans("primary").Card.Get()
		require.True(t, card.Show)
		require.Equal(t, "safe", card.Cache)
		require.Greater(t, card.StatusInterval, 50*365*24*time.Hour)
		require.Equal(t, []bool{false, true}, []bool{b.PathPlans().Probe.Get().Links[0].Quiet, b.PathPlans().Probe.Get().Links[1].Quiet})

		time.Sleep(time.Until(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)))
		synctest.Wait()
		s = b.Snapshot()
		require.Equal(t, "ok", s.Budget[0].State, "the engine wakes when the month begins")
		require.Zero(t, s.Budget[0].Month)
		require.Nil(t, b.MeterPlan().Get().Links[1].Allow)
		require.Equal(t, before, b.Plans("primary").Card.Get())
	})
}

func TestAtTheLimitAsTheOwnerSays(t *testing.T) {
	for atLimit, want := range map[string][]model.Purpose{"warn": nil, "stop": {}} {
		run(t, withBudget(atLimit), func(b *bench) {
			b.bothUp()
			b.tell(metered("a", 10_000_000, 0))
			require.Equal(t, want, b.MeterPlan().Get().Links[1].Allow)
			require.Equal(t, atLimit == "stop", b.PathPlans().Probe.Get().Links[1].Quiet)
		})
	}
}

func TestFencesFollowUserTraffic(t *testing.T) {
	s := withBudget("essential")
	s.Links[1].User = model.UserEmergency
	run(t, s, func(b *bench) {
		b.bothUp()
		require.True(t, b.MeterPlan().Get().Links[1].Fence)
		b.tell(judged("primary", false, "no answer"))
		require.Equal(t, "iot", b.Snapshot().Failover.Data)
		require.False(t, b.MeterPlan().Get().Links[1].Fence, "now it is an emergency")
		b.tell(model.RoutesChanged{At: now(), Applied: true, Neighbour: "mwan3", Evidence: "its rules"}, judged("primary", true, ""))
		require.False(t, b.MeterPlan().Get().Links[1].Fence, "another program decides")
	})
}

func TestFindingsOfTheMeter(t *testing.T) {
	run(t, withBudget("essential"), func(b *bench) {
		s := b.bothUp()
		require.Empty(t, s.Health.Findings)
		s = b.tell(iface("wwan1", "wwan1", "10.2.0.2/24"))
		require.Equal(t, []string{"peerdns-on-closed-link", "defaultroute-on-closed-link"}, []string{s.Health.Findings[0].Code, s.Health.Findings[1].Code})
		require.Contains(t, s.Health.Findings[0].Text, "interface wwan1")
		b.tell(closed(iface("wwan1", "wwan1", "10.2.0.2/24")))
		m := metered("a", 1000, 0)
		m.Counts[0].Unasked = 499_999
		require.Empty(t, b.tell(m).Health.Findings)
		m.Counts[0].Unasked = 500_000
		s = b.tell(m)
		require.Equal(t, "unsolicited-inbound", s.Health.Findings[0].Code)
		s = b.tell(model.Metered{At: now(), Reason: "/usr/sbin/nft is not installed (package nftables-json)"})
		require.Equal(t, "traffic-not-counted", s.Health.Findings[0].Code)
		require.Contains(t, s.Health.Findings[0].Text, "nftables-json")
		require.Equal(t, int64(1000), s.Budget[0].Month)
	})
}

func TestSwitchedOffCountsNothingAndUnreadableSaysNothing(t *testing.T) {
	s := withBudget("essential")
	s.Enabled = false
	run(t, s, func(b *bench) {
		b.tell()
		require.Equal(t, []model.MeterLink{}, b.MeterPlan().Get().Links)
	})
	run(t, engine.Settings{}, func(b *bench) {
		b.tell()
		require.Nil(t, b.MeterPlan().Get().Links, "what an earlier life has left stays")
	})
}

func TestAccountsOutliveARestart(t *testing.T) {
	var kept []byte
	run(t, withBudget("essential"), func(b *bench) {
		b.bothUp()
		b.tell(metered("a", 5000, 0))
		var err error
		kept, err = b.KeepBudget(b.Context())
		require.NoError(t, err)
	})
	e := engine.New(engine.Options{})
	require.ErrorIs(t, e.RestoreBudget([]byte("{")), budget.ErrMalformed)
	require.NoError(t, e.RestoreBudget(kept))
}

func TestALookAtTheStatusReadsTheCounters(t *testing.T) {
	run(t, withBudget("essential"), func(b *bench) {
		b.bothUp()
		for range 20 {
			b.Look()
		}
		b.tell()
		require.Equal(t, int64(1), b.MeterPlan().Get().Generation, "a page that polls is not a reading each time")
		time.Sleep(5 * time.Second)
		b.Look()
		b.tell()
		require.Equal(t, int64(2), b.MeterPlan().Get().Generation)
	})
}
