package cardem_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
)

// patience bounds every wait: generous, for a busy machine.
const patience = 30 * time.Second

// desk runs a front on a cardfake.Desk.
type desk struct {
	*cardfake.Desk
	front  *cardem.Front
	ended  chan error // what Run returned
	cancel context.CancelFunc
}

func newDesk(front *cardem.Front) *desk {
	return &desk{Desk: cardfake.NewDesk(front), front: front, ended: make(chan error, 16)}
}

// run runs the front once, and waits until its device is open.
func (d *desk) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go func() { d.ended <- d.front.Run(ctx, d) }()
	select {
	case <-d.Up:
	case err := <-d.ended:
		cancel()
		require.FailNow(t, "the front did not come up", "%v", err)
	case <-time.After(patience):
		require.FailNow(t, "the front did not come up in time")
	}
}

// serve runs the front until the test ends and has a card in it.
func serve(t testing.TB, front *cardem.Front) *desk {
	t.Helper()
	d := newDesk(front)
	d.run(t)
	t.Cleanup(func() { d.stop(t) })
	require.NoError(t, front.Insert(cardfake.Default().ATR))
	return d
}

// stop ends Run, if it has not ended.
func (d *desk) stop(t testing.TB) {
	if d.cancel == nil {
		return
	}
	d.cancel()
	d.cancel = nil
	require.NoError(t, d.end(t))
	require.ErrorIs(t, <-d.Down, context.Canceled)
}

// end waits for Run to end by itself.
func (d *desk) end(t testing.TB) error {
	t.Helper()
	select {
	case err := <-d.ended:
		return err
	case <-time.After(patience):
		require.FailNow(t, "Run hangs")
		return nil
	}
}

// nextHeld waits for a command that is held back.
func (d *desk) nextHeld(t testing.TB) cardfake.Held {
	t.Helper()
	h, err := d.NextHeld(within(t))
	require.NoError(t, err)
	return h
}

// waitLines waits for edges until want comes, and returns what came.
func (d *desk) waitLines(t testing.TB, want card.Lines) []card.Lines {
	t.Helper()
	seen, err := d.WaitLines(within(t), want)
	require.NoError(t, err)
	return seen
}
