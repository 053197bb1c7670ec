package vpcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
)

// patience bounds every wait: generous, for a busy machine.
const patience = 30 * time.Second

// heldCommand is a command that the desk does not answer by itself.
type heldCommand struct {
	id   uint64
	tpdu []byte
}

// desk is a handler that serves a front from a software card beside it: a relay
// without a network.
type desk struct {
	front *vpcd.Front
	sim   *cardfake.Card
	up    chan struct{} // closed by FrontUp
	held  chan heldCommand
	lines chan card.Lines // every edge

	mu   sync.Mutex
	last card.Lines
	hold bool
	down error
}

// serve runs the front until the test ends and has a card in it.
func serve(t *testing.T, front *vpcd.Front) *desk {
	t.Helper()
	d := &desk{
		front: front, sim: cardfake.New(cardfake.Default()),
		up: make(chan struct{}), held: make(chan heldCommand, 16), lines: make(chan card.Lines, 4096),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx, d) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		d.mu.Lock()
		defer d.mu.Unlock()
		require.ErrorIs(t, d.down, context.Canceled)
	})
	<-d.up
	require.NoError(t, front.Insert(cardfake.Default().ATR))
	return d
}

func (d *desk) FrontUp(card.Front) { close(d.up) }

func (d *desk) FrontDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

func (d *desk) Lines(l card.Lines) {
	switch {
	case d.last.Powered && !l.Powered:
		d.sim.PowerOff()
	case !d.last.Powered && l.Powered:
		d.sim.Reset(true)
	case !d.last.Reset && l.Reset:
		d.sim.Reset(false)
	}
	d.last = l
	d.lines <- l
}

func (d *desk) Command(id uint64, tpdu []byte) {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold {
		d.held <- heldCommand{id, append([]byte(nil), tpdu...)}
		return
	}
	_ = d.front.Answer(id, d.sim.Transmit(tpdu)) // a reader that went away is for the test to see
}

// keep has commands held back, or answered again.
func (d *desk) keep(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = on
}

// nextHeld waits for a command that is held back.
func (d *desk) nextHeld(t *testing.T) heldCommand {
	t.Helper()
	select {
	case h := <-d.held:
		return h
	case <-time.After(patience):
		require.Fail(t, "no command came")
		return heldCommand{}
	}
}

// waitLines waits for edges until want comes.
func (d *desk) waitLines(t *testing.T, want card.Lines) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case l := <-d.lines:
			if l == want {
				return
			}
		case <-timeout:
			require.Fail(t, fmt.Sprintf("no edge to %+v", want))
		}
	}
}
