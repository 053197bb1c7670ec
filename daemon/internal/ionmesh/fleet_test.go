package ionmesh_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
)

// TestThousandRoutersComeBackSpread: after an outage of an hour, which a thousand
// routers have noticed at the same moment, no second sees more than a fiftieth of
// them, and all are back soon.
func TestThousandRoutersComeBackSpread(t *testing.T) {
	const routers = 1000
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		fake, err := ionmeshfake.Start(ionmeshfake.Options{Listen: p.listen, Lease: 2 * time.Hour, Capabilities: []string{"lease"}})
		require.NoError(t, err)
		defer fake.Close()
		for n := range routers {
			fake.Add(ionmeshfake.Card{Bank: n / 500, Slot: n % 500, Endpoint: "h"})
		}
		for n := range routers {
			pl := plan(fake.URL())
			pl.Members[0].ClientID = "router" + strconv.Itoa(n)
			r := start(t, setup{plan: pl, clock: newClock(), store: &memory{}, dial: p.dial, seed: uint64(n)})
			defer r.stop()
		}
		pass(10 * time.Minute)
		require.GreaterOrEqual(t, fake.Requests()["POST register-client"], routers)
		fake.Stop()
		pass(time.Hour)
		before := fake.Requests()["POST heartbeat"]
		require.NoError(t, fake.Resume())
		peak, last, back := 0, before, 0
		for back < routers*99/100 {
			pass(time.Second)
			n := fake.Requests()["POST heartbeat"]
			peak, last = max(peak, n-last), n
			back = n - before
		}
		require.Less(t, peak, routers/50)
		t.Logf("the busiest second after the outage had %d of %d routers", peak, routers)
	})
}
