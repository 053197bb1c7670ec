package vpcd_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
)

// patience bounds every wait: generous, for a busy machine.
const patience = 30 * time.Second

// desk runs a front on a cardfake.Desk.
type desk struct {
	*cardfake.Desk
	front *vpcd.Front
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// serve runs the front until the test ends and has a card in it.
func serve(t *testing.T, front *vpcd.Front) *desk {
	t.Helper()
	d := &desk{Desk: cardfake.NewDesk(front), front: front}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx, d) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		require.ErrorIs(t, <-d.Down, context.Canceled)
	})
	<-d.Up
	require.NoError(t, front.Insert(cardfake.Default().ATR))
	return d
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
