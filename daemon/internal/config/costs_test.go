package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func TestCostsOfAWorkingConfiguration(t *testing.T) {
	cfg, got := lines(t, working+"config ionmesh 'ionmesh'\n\toption enabled '1'\n\toption url 'https://h'\n")
	require.Empty(t, got)
	require.Equal(t, []model.Cost{
		{Setting: "primary: pings with the server every 30 s, both ends", Seconds: 40, MBMonth: 35.94},
		{Setting: "primary: no pings with the bank, which shows at the next command that it is gone", Seconds: 600},
		{Setting: "primary.status_interval=600, card_cache=safe", Seconds: 600, MBMonth: 1.48},
		{Setting: "ionmesh.heartbeat_interval=300, one connection that stays (lean-beat)", Seconds: 310, MBMonth: 2.26},
		{Setting: "ionmesh.heartbeat_interval=300, REST on a connection that is kept", Seconds: 310, MBMonth: 5.58},
		{Setting: "ionmesh.heartbeat_interval=300, REST with a new connection per beat", Seconds: 310, MBMonth: 39.35},
		{Setting: "failover.detect=normal on primary, idle", Seconds: 14.8, MBMonth: 29.03},
		{Setting: "failover.detect=normal on primary, an answer is overdue", Seconds: 6},
		{Setting: "failover.detect=normal on iot, idle (metered)", Seconds: 304.8, MBMonth: 0.97},
		{Setting: "failover.detect=normal on iot, an answer is overdue", Seconds: 6},
		{Setting: "failover.detect=normal on wan, idle", Seconds: 14.8, MBMonth: 29.03},
		{Setting: "failover.detect=normal on wan, an answer is overdue", Seconds: 6},
	}, cfg.Costs(), "what has no effect yet costs nothing")
	var later []model.Cost
	cfg.beatCosts(addTo(&later))
	require.Equal(t, []model.Cost{
		{Setting: "ionmesh.heartbeat_interval=300, one connection that stays (lean-beat)", Seconds: 310, MBMonth: 2.26},
		{Setting: "ionmesh.heartbeat_interval=300, REST on a connection that is kept", Seconds: 310, MBMonth: 5.58},
		{Setting: "ionmesh.heartbeat_interval=300, REST with a new connection per beat", Seconds: 310, MBMonth: 39.35},
	}, later)
}

// The figures that the contract and the reference name come out of the bytes.
func TestCostsAgreeWithTheReference(t *testing.T) {
	text := "config modem 'a'\n\toption client_id '1'\n\toption card_cache 'off'\nconfig server\n\toption host 'localhost'\n\toption tls '0'\n" +
		"config ionmesh 'ionmesh'\n\toption enabled '1'\n\toption heartbeat_interval '60'\n\toption url 'http://127.0.0.1'\n"
	cfg, got := lines(t, text)
	require.Empty(t, got)
	costs := cfg.Costs()
	require.InDelta(t, 2*14.2, costs[0].MBMonth, 0.5, "a stock server's pings alone are about 15 MB a month")
	require.InDelta(t, 25.8, costs[2].MBMonth, 0.1, "every STATUS to the card at 30 s")
	require.InDelta(t, 10.6, costs[3].MBMonth, 0.1, "the original's 60 s, at best")
	require.InDelta(t, 41.7, costs[5].MBMonth, 0.1, "the original's 60 s, as it did it")
}

func TestCostsOfADirectBank(t *testing.T) {
	cfg, got := lines(t, "config modem 'a'\n\toption client_id '1'\n\toption status_interval '0'\nconfig bank\n\toption host 'h'\n\tlist modem 'a'\n")
	require.Empty(t, got)
	require.Equal(t, []model.Cost{
		{Setting: "a: no pings with the bank, which shows at the next command that it is gone", Seconds: 30},
		{Setting: "a.status_interval=0, card_cache=safe", Seconds: 30, MBMonth: 29.64},
	}, cfg.Costs())
}

// Slower detection always costs less, and a metered link is never watched
// more than one that is not.
func TestDetectionIsATradeOff(t *testing.T) {
	for _, metered := range []bool{false, true} {
		last := Detect("").Probing(metered)
		for i, d := range []Detect{DetectFast, DetectNormal, DetectFrugal} {
			p := d.Probing(metered)
			require.GreaterOrEqual(t, p.Idle(), p.Busy())
			require.GreaterOrEqual(t, p.Silence, p.Suspect)
			require.Greater(t, p.Probes, 1)
			require.LessOrEqual(t, p.Retry, p.RetryMost)
			if i > 0 {
				require.Greater(t, p.Idle(), last.Idle())
				require.Greater(t, p.Busy(), last.Busy())
				require.Less(t, p.Month(), last.Month())
			}
			last = p
		}
	}
	for _, d := range []Detect{DetectFast, DetectNormal, DetectFrugal} {
		require.Less(t, d.Probing(true).Month(), d.Probing(false).Month())
	}
	for _, metered := range []bool{false, true} {
		require.Equal(t, 2500*time.Millisecond, DetectFast.Probing(metered).Busy())
		require.Equal(t, 6*time.Second, DetectNormal.Probing(metered).Busy())
	}
	require.Less(t, DetectNormal.Probing(true).Month(), 1.0, "an idle IoT link keeps within 3 MB a month with its STATUS commands")
}
