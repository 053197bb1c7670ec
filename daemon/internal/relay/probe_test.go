package relay_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// probe tests the card while the modem is quiet, in a bubble.
func (a *attach) probe(t *testing.T) []model.Step {
	var steps []model.Step
	done := make(chan error)
	go func() {
		var err error
		steps, err = a.session.Probe(t.Context())
		done <- err
	}()
	synctest.Wait()
	a.work()
	require.NoError(t, <-done)
	return steps
}

// TestTheTestOfACardDisturbsNothing tests a card in the middle of a modem's day: SQN,
// selection, channels, PIN and cache are what they were, and the answers after it are
// those of a card that nobody has tested.
func TestTheTestOfACardDisturbsNothing(t *testing.T) {
	for _, mode := range []string{"off", "full"} {
		synctest.Test(t, func(t *testing.T) {
			u := cardfake.StartUps()[0]
			a, twin := newAttach(t, mode, false, cardfake.Default()), cardfake.New(cardfake.Default())
			here, there := cardfake.Home(a.card), cardfake.Home(twin)
			for range 2 {
				requireSame(t, direct(t, twin, u, there), a.start(u, here))
			}
			for _, c := range []string{"00A4000C026F7E", "00B0000004", "01A4000C026F38"} {
				want := twin.Transmit(mustHex(c))
				got, err := a.send(mustHex(c))
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			sqn := a.card.SQN()
			steps := a.probe(t)
			names := make([]string, 0, len(steps))
			for _, st := range steps {
				require.True(t, st.OK, "%+v", st)
				names = append(names, st.Name)
			}
			require.Equal(t, []string{"bank", "card", "atr", "iccid", "status", "services", "authentication", "verdict"}, names)
			require.Contains(t, steps[5].Text, "names 16 services of 136")
			require.Equal(t, sqn, a.card.SQN(), "the dry AUTHENTICATE does not move the sequence number")
			for _, c := range []string{"80F2000C00", "00B0000004", "01B0000004", "0070000001", "00A40004026F07", "00C0000019", "00D6000001FF", "00A4000C026F7E", "00B000000B"} {
				want := twin.Transmit(mustHex(c))
				got, err := a.send(mustHex(c))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("%X", want), fmt.Sprintf("%X", got), c)
			}
		})
	}
}

func TestTheTestOfACardWithItsPIN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		profile := cardfake.Default()
		profile.PINEnabled = true
		a := newAttach(t, "safe", false, profile)
		a.power()
		steps := a.probe(t)
		require.Equal(t, "not tried: the PIN has not been given", steps[6].Text)
		require.Contains(t, steps[7].Text, "its authentication was not tried")
		pin, _ := a.card.Tries(cardfake.PIN1)
		require.Equal(t, 3, pin)
	})
}
