package ionmesh_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

func TestLeanBeatKeepsTheLease(t *testing.T) {
	bubble(t, lean(), func(w *world) {
		pass(10 * time.Second)
		before := w.fake.Requests()
		pass(5 * time.Hour)
		after := w.fake.Requests()
		require.Equal(t, before["POST heartbeat"], after["POST heartbeat"], "no REST beside it")
		require.InDelta(t, 60, after["beat"], 5)
		require.Equal(t, 1, after["hello"])
		require.Equal(t, 0, w.slot(), "the lease of an hour was renewed")
		state, _ := w.now("primary")
		require.Equal(t, "lean", state.Transport)
		require.WithinDuration(t, time.Now(), state.LastBeat, 6*time.Minute)
	})
}

func TestLeanCountersReachTheOrchestrator(t *testing.T) {
	bubble(t, lean(), func(w *world) {
		pass(10 * time.Second)
		w.mu.Lock()
		w.stats = model.MeshStats{Status: "warning", Sent: 1000, Received: 999, Errors: 1, RSSI: -90, RSRP: -110, DataRx: 1 << 33, DataTx: 5, Uptime: 60}
		w.mu.Unlock()
		pass(6 * time.Minute)
		seen, _ := w.fake.Client("router")
		require.Equal(t, "warning", seen.Status)
		require.Equal(t, ionmeshfake.Stats{Uptime: 60, Sent: 1000, Received: 999, Errors: 1, RSSI: -90, RSRP: -110, DataRx: 1 << 33, DataTx: 5}, seen.Stats)
		require.Equal(t, 1, w.fake.Requests()["metrics"])
	})
}

func TestOneNewHandshakeADay(t *testing.T) {
	bubble(t, lean(), func(w *world) {
		pass(10 * time.Second)
		dials := w.pipes.dials
		pass(5 * 24 * time.Hour)
		require.InDelta(t, 5, w.pipes.dials-dials, 1)
		require.Equal(t, 0, w.slot())
	})
}

func TestLeanBeatFallsBackToREST(t *testing.T) {
	for name, break_ := range map[string]func(w *world){
		"an answer never comes": func(w *world) { w.fake.Misbehave(ionmeshfake.Fault{Name: "beat", Kind: ionmeshfake.Hang}) },
		"the connection ends":   func(w *world) { w.fake.Misbehave(ionmeshfake.Fault{Name: "beat", Kind: ionmeshfake.Hangup}) },
		"it cannot be opened": func(w *world) {
			w.fake.Misbehave(ionmeshfake.Fault{Name: "lean-beat", Kind: ionmeshfake.HTML})
			w.fake.CutLean()
		},
		"opening hangs": func(w *world) {
			w.fake.Misbehave(ionmeshfake.Fault{Name: "lean-beat", Kind: ionmeshfake.Hang})
			w.fake.CutLean()
		},
		"opening is never answered whole": func(w *world) {
			w.fake.Misbehave(ionmeshfake.Fault{Name: "lean-beat", Kind: ionmeshfake.Drip})
			w.fake.CutLean()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, lean(), func(w *world) {
				pass(10 * time.Second)
				break_(w)
				pass(4 * time.Hour)
				require.Equal(t, 0, w.slot(), "the lease of an hour was renewed")
				seen, _ := w.fake.Client("router")
				require.Greater(t, seen.Beats, 40)
				require.Less(t, w.pipes.dials, 25, "a handshake is expensive: it is not tried at each beat")
				w.fake.Clear()
				pass(13 * time.Hour)
				state, _ := w.now("primary")
				require.Equal(t, "lean", state.Transport, "it comes back by itself")
			})
		})
	}
}

func TestLeanBeatThatIsNotTakenIsTriedAgain(t *testing.T) {
	bubble(t, lean(), func(w *world) {
		pass(10 * time.Second)
		w.fake.Misbehave(ionmeshfake.Fault{Name: "beat", Kind: ionmeshfake.Answer, Times: 1})
		pass(6 * time.Minute)
		require.True(t, w.codes[model.MeshBusy])
		state, _ := w.now("primary")
		require.Equal(t, model.MeshRegistered, state.State)
		require.Equal(t, 1, w.fake.Requests()["hello"])
	})
}
