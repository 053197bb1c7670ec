package cardem_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
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
	front *cardem.Front
	sim   *cardfake.Card
	up    chan struct{} // one token for each FrontUp
	down  chan error    // what FrontDown said
	ended chan error    // what Run returned
	held  chan heldCommand
	lines chan card.Lines // every edge

	mu     sync.Mutex
	last   card.Lines
	hold   bool
	cancel context.CancelFunc
}

func newDesk(front *cardem.Front) *desk {
	return &desk{
		front: front, sim: cardfake.New(cardfake.Default()),
		up: make(chan struct{}, 16), down: make(chan error, 16), ended: make(chan error, 16),
		held: make(chan heldCommand, 16), lines: make(chan card.Lines, 4096),
	}
}

// run runs the front once, and waits until its device is open.
func (d *desk) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go func() { d.ended <- d.front.Run(ctx, d) }()
	select {
	case <-d.up:
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
	require.ErrorIs(t, <-d.down, context.Canceled)
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

func (d *desk) FrontUp(card.Front) { d.up <- struct{}{} }

func (d *desk) FrontDown(err error) { d.down <- err }

func (d *desk) Lines(l card.Lines) {
	d.mu.Lock()
	switch was := d.last; {
	case was.Powered && !l.Powered:
		d.sim.PowerOff()
	case !was.Powered && l.Powered:
		d.sim.Reset(true)
	case !was.Reset && l.Reset && l.Powered:
		d.sim.Reset(false)
	}
	d.last = l
	d.mu.Unlock()
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
	_ = d.front.Answer(id, d.sim.Transmit(tpdu)) // a device that went away is for the test to see
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
		require.FailNow(t, "no command came")
		return heldCommand{}
	}
}

// waitLines waits for edges until want comes, and returns what came.
func (d *desk) waitLines(t *testing.T, want card.Lines) (seen []card.Lines) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case l := <-d.lines:
			if seen = append(seen, l); l == want {
				return seen
			}
		case <-timeout:
			require.FailNow(t, fmt.Sprintf("no edge to %+v, only %+v", want, seen))
		}
	}
}
