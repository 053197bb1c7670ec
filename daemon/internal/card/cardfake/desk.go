package cardfake

import (
	"context"
	"fmt"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// Desk serves a front from a card beside it: a relay without a network. What the front
// tells of itself and of the contacts it hands on, and it can hold commands back.
type Desk struct {
	Card  *Card
	Up    chan struct{}   // one token for each FrontUp
	Down  chan error      // what FrontDown said
	Edges chan card.Lines // every edge
	Held  chan Held       // commands that are held back

	front card.Front

	mu   sync.Mutex
	last card.Lines
	hold bool
}

// Held is a command that the desk has not answered.
type Held struct {
	ID   uint64
	TPDU []byte
}

var _ card.Handler = (*Desk)(nil)

// NewDesk makes the desk of a front with a default card on it. The front is to be run with
// it, by the caller.
func NewDesk(front card.Front) *Desk {
	return &Desk{
		Card: New(Default()), front: front,
		Up: make(chan struct{}, 16), Down: make(chan error, 16), Edges: make(chan card.Lines, 4096), Held: make(chan Held, 16),
	}
}

// FrontUp is the front's.
func (d *Desk) FrontUp(card.Front) { d.Up <- struct{}{} }

// FrontDown is the front's.
func (d *Desk) FrontDown(err error) { d.Down <- err }

// Lines powers and resets the card as its contacts say.
func (d *Desk) Lines(l card.Lines) {
	d.mu.Lock()
	switch was := d.last; {
	case was.Powered && !l.Powered:
		d.Card.PowerOff()
	case !was.Powered && l.Powered:
		d.Card.Reset(true)
	case !was.Reset && l.Reset && l.Powered:
		d.Card.Reset(false)
	}
	d.last = l
	d.mu.Unlock()
	d.Edges <- l
}

// Command answers with what the card says, or holds the command back.
func (d *Desk) Command(id uint64, tpdu []byte) {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold {
		d.Held <- Held{id, append([]byte(nil), tpdu...)}
		return
	}
	_ = d.front.Answer(id, d.Card.Transmit(tpdu)) // whether the modem is still there is not the card's concern
}

// Hold has commands held back, or answered again.
func (d *Desk) Hold(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = on
}

// Busy does something while whatever the front tells has to wait.
func (d *Desk) Busy(meanwhile func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	meanwhile()
}

// NextHeld waits for a command that is held back.
func (d *Desk) NextHeld(ctx context.Context) (Held, error) {
	select {
	case h := <-d.Held:
		return h, nil
	case <-ctx.Done():
		return Held{}, fmt.Errorf("wait for a command: %w", ctx.Err())
	}
}

// WaitLines waits for edges until want comes, and returns what came.
func (d *Desk) WaitLines(ctx context.Context, want card.Lines) (seen []card.Lines, err error) {
	for {
		select {
		case l := <-d.Edges:
			if seen = append(seen, l); l == want {
				return seen, nil
			}
		case <-ctx.Done():
			return seen, fmt.Errorf("wait for an edge to %+v, only %+v came: %w", want, seen, ctx.Err())
		}
	}
}
