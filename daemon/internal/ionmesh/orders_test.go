package ionmesh_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh/ionmeshfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// both runs a test on REST and on the lean beat.
func both(t *testing.T, test func(w *world)) {
	for name, o := range map[string]ionmeshfake.Options{"rest": modern(), "lean": lean()} {
		t.Run(name, func(t *testing.T) {
			bubble(t, o, func(w *world) {
				pass(10 * time.Second)
				require.Equal(w.t, 0, w.slot())
				test(w)
			})
		})
	}
}

// order gives a command and waits until its result must be there.
func (w *world) order(c ionmeshfake.Command) ionmeshfake.Result {
	w.t.Helper()
	id, err := w.fake.Order("router", c)
	require.NoError(w.t, err)
	pass(6 * time.Minute)
	var found []ionmeshfake.Result
	for _, r := range w.fake.Results() {
		if r.ID == id {
			found = append(found, r)
		}
	}
	require.NotEmpty(w.t, found)
	return found[len(found)-1]
}

func TestCommandsAreCarriedOut(t *testing.T) {
	both(t, func(w *world) {
		for _, c := range []struct {
			command ionmeshfake.Command
			ran     string
		}{
			{ionmeshfake.Command{Name: "test", Args: map[string]any{"target": "card"}}, "primary test card"},
			{ionmeshfake.Command{Name: "reset", Args: map[string]any{"method": "gpio"}}, "primary reset gpio"},
			{ionmeshfake.Command{Name: "reset"}, "primary reset"},
			{ionmeshfake.Command{Name: "collect"}, "primary collect"},
			{ionmeshfake.Command{Name: "config"}, "primary config"},
		} {
			r := w.order(c.command)
			require.Equal(w.t, ionmesh.StatusDone, r.Status, r.Message)
			require.Equal(w.t, map[string]any{"ok": true}, r.Data)
			require.Equal(w.t, c.ran, w.ran[len(w.ran)-1])
		}
		require.Len(w.t, w.orders, 5)
	})
}

func TestCommandsThatAreRefused(t *testing.T) {
	both(t, func(w *world) {
		for status, list := range map[string][]ionmeshfake.Command{
			ionmesh.StatusRefused: {
				{Name: "format"}, {Name: "test", Args: map[string]any{"target": "everything"}}, {Name: "reset", Args: map[string]any{"method": 1}},
				{Name: "move", Args: map[string]any{"bank_id": 1}}, {Name: "move", Args: map[string]any{"bank_id": 1, "slot_id": 2000, "bankd_endpoint": "h"}},
			},
			ionmesh.StatusExpired: {{Name: "reset", Expires: w.fake.Expires(-time.Hour)}},
		} {
			for _, c := range list {
				r := w.order(c)
				require.Equal(w.t, status, r.Status, r.Message)
				require.NotEmpty(w.t, r.Message)
			}
		}
		require.Empty(w.t, w.ran)
		w.mu.Lock()
		w.refuse = &model.CommandError{Kind: model.NotSupported, Message: "the modem has no reset line"}
		w.mu.Unlock()
		r := w.order(ionmeshfake.Command{Name: "reset", Args: map[string]any{"method": "gpio"}})
		require.Equal(w.t, ionmesh.StatusRefused, r.Status)
		require.Equal(w.t, "the modem has no reset line", r.Message)
		require.Equal(w.t, ionmesh.StatusRefused, w.orders[len(w.orders)-1].Status)
	})
}

func TestCommandIsDoneOnce(t *testing.T) {
	both(t, func(w *world) {
		c := ionmeshfake.Command{ID: "again", Name: "reset"}
		w.order(c)
		r := w.order(c)
		require.Equal(w.t, ionmesh.StatusDone, r.Status)
		require.Len(w.t, w.ran, 1)
		w.restart()
		pass(10 * time.Second)
		r = w.order(c)
		require.Equal(w.t, ionmesh.StatusDone, r.Status, "its result outlives a restart")
		require.Empty(w.t, w.ran)
	})
}

func TestCommandThatExpiresOnItsWay(t *testing.T) {
	bubble(t, modern(), func(w *world) {
		pass(10 * time.Second)
		r := w.order(ionmeshfake.Command{Name: "reset", Expires: w.fake.Expires(30 * time.Second)})
		require.Equal(t, ionmesh.StatusExpired, r.Status, "it waited for the next beat")
		require.Empty(t, w.ran)
	})
}

func TestMove(t *testing.T) {
	both(t, func(w *world) {
		_, before := w.now("primary")
		_, err := w.fake.Move("router", 1, 3)
		require.NoError(w.t, err)
		w.fake.Set(func(o *ionmeshfake.Options) { o.Interval = 20 * time.Second })
		pass(6 * time.Minute)
		require.Equal(w.t, []string{"primary move"}, w.ran)
		if w.slot() != 3 {
			w.t.Log(w.fake)
		}
		require.Equal(w.t, 3, w.slot())
		_, after := w.now("primary")
		require.Greater(w.t, after.Epoch, before.Epoch)
		pass(3 * time.Hour)
		require.Equal(w.t, 3, w.slot(), "its lease is renewed")
		w.restart()
		pass(time.Minute)
		require.Equal(w.t, 3, w.slot())
	})
}

func TestMoveThatTheEngineRefusesChangesNothing(t *testing.T) {
	both(t, func(w *world) {
		w.refuse = &model.CommandError{Kind: model.NotSupported, Message: "no front"}
		r := w.order(ionmeshfake.Command{Name: "move", Args: map[string]any{"bank_id": 1, "slot_id": 3, "bankd_endpoint": "tls://192.0.2.7:9999", "epoch": 99}})
		require.Equal(w.t, ionmesh.StatusRefused, r.Status)
		require.Equal(w.t, 0, w.slot())
	})
}

func TestMoveUnderTheLeaseThatRuns(t *testing.T) {
	both(t, func(w *world) {
		_, before := w.now("primary")
		w.fake.Misbehave(ionmeshfake.Fault{Name: "heartbeat", Kind: ionmeshfake.Answer, Status: 200, Times: 1,
			Body: `{"status":"success","commands":[{"id":"m","command":"move","args":{"bank_id":2,"slot_id":7,"bankd_endpoint":"http://192.0.2.9:9999"}}]}`})
		if w.fake.Requests()["hello"] == 0 {
			pass(6 * time.Minute)
		} else {
			w.order(ionmeshfake.Command{ID: "m", Name: "move", Args: map[string]any{"bank_id": 2, "slot_id": 7, "bankd_endpoint": "http://192.0.2.9:9999"}})
		}
		require.Equal(w.t, 7, w.slot())
		_, after := w.now("primary")
		require.Equal(w.t, before.Epoch, after.Epoch)
		require.NotZero(w.t, after.Ends)
	})
}
