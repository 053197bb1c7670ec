package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// autoSettings are one remote modem with front auto at usb:9-1.
func autoSettings() engine.Settings {
	s := settings()
	s.Modems = s.Modems[:1]
	s.Modems[0].Front, s.Modems[0].FrontAuto = "", true
	s.Modems[0].Match = engine.Match{By: "usb", Value: "9-1"}
	return s
}

func plugged(fronts ...model.FrontSeen) model.Event {
	return model.FrontsSeen{At: now(), Fronts: fronts}
}

func simtrace(path string) model.FrontSeen {
	return model.FrontSeen{Kind: "cardem", Device: "usb:" + path + ":0", Model: "SIMtrace2", USBPath: path, State: model.FrontOffered}
}

func frontUp(kind, device string) model.Event {
	return model.FrontChanged{At: now(), Modem: "primary", Kind: kind, Device: device, Up: true}
}

func codes(s *model.Snapshot) (out []string) {
	for _, f := range s.Health.Findings {
		if f.Code != health.ModemManagerMissing {
			out = append(out, f.Code)
		}
	}
	return out
}

func TestFrontAutoInTheEngine(t *testing.T) {
	run(t, autoSettings(), func(b *bench) {
		synctest.Wait()
		s := b.Snapshot()
		require.Equal(t, model.StateStarting, s.State)
		require.Equal(t, "primary: looking for a card front: what is plugged in was not looked at yet", s.Reason)
		require.Empty(t, codes(s), "it may be found yet")
		require.True(t, b.FrontWatch().Get().On)
		require.Empty(t, b.FrontPlans().Get())

		s = b.tell(plugged())
		require.Equal(t, model.StateDegraded, s.State)
		require.Equal(t, []string{health.FrontNone}, codes(s))
		_, verdict := health.Diagnose(s, "primary")
		require.Equal(t, "primary front: the modem has no way to take a remote card: the modem shows no QMI or MBIM port that fits, and no card emulator is plugged in", verdict)

		port := model.FrontSeen{Kind: "uim-remote", Device: "qmi:/dev/cdc-wdm0", USBPath: "9-1", Port: "cdc-wdm0"}
		b.tell(plugged(port))
		require.Equal(t, []string{"qmi:/dev/cdc-wdm0"}, b.FrontWatch().Get().Probe)
		time.Sleep(26 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{health.FrontNone}, codes(b.Snapshot()), "time alone ends the wait for an answer")

		s = b.tell(plugged(port, simtrace("1-1")))
		require.Equal(t, map[string]model.FrontPlan{"primary": {Kind: "cardem", Device: "usb:1-1:0"}}, b.FrontPlans().Get())
		require.Equal(t, "SIMtrace2 at usb:1-1:0 is the only card emulator that is free", s.Modems[0].Card.FrontDetail)

		// It works: what else comes, or is not seen for a moment, changes nothing.
		b.tell(frontUp("cardem", "usb:1-1:0"))
		port.State = model.FrontOffered
		b.tell(plugged(port, simtrace("1-2")))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, "usb:1-1:0", b.FrontPlans().Get()["primary"].Device)

		off := autoSettings()
		off.Enabled = false
		require.NoError(t, b.Apply(context.Background(), off))
		require.Empty(t, b.FrontPlans().Get())
		require.False(t, b.FrontWatch().Get().On)
	})
}

func TestFrontAutoOfAModemWithItsLocalCard(t *testing.T) {
	local := autoSettings()
	local.Modems[0].Source = model.SourceLocal
	run(t, local, func(b *bench) {
		b.tell(plugged())
		_, err := b.Do(context.Background(), model.SetSource{Modem: "primary", Source: model.SourceRemote})
		var refused *model.CommandError
		require.True(t, errors.As(err, &refused))
		require.Contains(t, refused.Message, "no card emulator is plugged in")
		s := b.tell(plugged(simtrace("1-1")))
		require.Empty(t, b.FrontPlans().Get())
		require.Empty(t, s.Modems[0].Card.Front)
		_, err = b.Do(context.Background(), model.SetSource{Modem: "primary", Source: model.SourceRemote})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, "usb:1-1:0", b.FrontPlans().Get()["primary"].Device)
	})
}

func TestFaultsOfAFront(t *testing.T) {
	fault := func(code, reason string, hold time.Duration) model.Event {
		return model.FrontFault{At: now(), Modem: "primary", Code: code, Reason: reason, Hold: hold}
	}
	run(t, settings(), func(b *bench) {
		b.tell(serverUp(), assigned(), bankUp(), frontUp("vpcd", "x"), cardIs(model.CardReady, "ready"))

		// One that lasts says more than that the front is down, or that its task fails.
		s := b.tell(fault(health.FrontGone, "pulled out", 0),
			model.FrontChanged{At: now(), Modem: "primary", Kind: "vpcd", Device: "x", Reason: "pulled out"},
			model.TaskFailed{At: now(), Task: "primary front", Err: "pulled out"})
		require.Equal(t, []string{health.FrontGone}, codes(s))
		s = b.tell(fault(health.FrontGone, "", 0), model.TaskRecovered{At: now(), Task: "primary front"}, frontUp("vpcd", "x"))
		require.Empty(t, codes(s))
		s = b.tell(model.FrontChanged{At: now(), Modem: "primary", Kind: "vpcd", Device: "x", Reason: "no idea"})
		require.Equal(t, []string{health.FrontDown}, codes(s))
		b.tell(frontUp("vpcd", "x"))

		// One that is over is shown for its time.
		s = b.tell(fault(health.CardCut, "cut", 10*time.Minute))
		require.Equal(t, []string{health.CardCut}, codes(s))
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		require.Equal(t, []string{health.CardCut}, codes(b.Snapshot()))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, codes(b.Snapshot()), "time alone ends it")

		// With the bank away, nobody is slow.
		b.tell(fault(health.CardSlow, "slow", 0))
		require.Equal(t, []string{health.CardSlow}, codes(b.Snapshot()))
		s = b.tell(bankLost(model.PeerClosed, "gone"), cardIs(model.CardLost, "held"))
		require.NotContains(t, codes(s), health.CardSlow)
	})
}
