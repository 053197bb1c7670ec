package ionmesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// book keeps the leases: it takes answers in, writes them down, and tells when a
// card may be used and when not any more. It has a goroutine of its own: no slow
// answer holds up the end of a lease.
type book struct {
	clock Clock
	store Store
	tell  func(model.Event)
	poke  chan struct{} // the earliest end may be another now

	mu       sync.Mutex
	kept     Kept
	told     map[string]model.LeaseChanged // by modem, as last told
	written  time.Duration                 // boot clock of the last write to flash
	unstored string                        // why the last write failed
}

// keepResults is how many results of commands are remembered.
const keepResults = 64

// flashTime is the least time between two writes to flash that only lengthen a
// lease.
const flashTime = time.Hour

// trustPoll is how often to look whether the system's clock can be trusted by now,
// while a lease waits for that.
const trustPoll = 15 * time.Second

func newBook(clock Clock, store Store, tell func(model.Event)) *book {
	b := &book{clock: clock, store: store, tell: tell, poke: make(chan struct{}, 1), told: make(map[string]model.LeaseChanged)}
	var err error
	if b.kept, err = store.Load(); err != nil {
		b.unstored = err.Error()
	}
	return b
}

// run tells of ends until ctx ends.
func (b *book) run(ctx context.Context) {
	for ctx.Err() == nil {
		at := b.look()
		waiting, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			select {
			case <-b.poke:
				cancel()
			case <-waiting.Done():
			}
		}()
		b.clock.Wait(waiting, at)
		cancel()
		<-done
	}
}

func (b *book) wake() {
	select {
	case b.poke <- struct{}{}:
	default: // it will look anyway
	}
}

// idleLook is how often to look when nothing ends.
const idleLook = 24 * time.Hour

// look judges every lease and returns when to look again.
func (b *book) look() (at time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Read()
	at = now.Boot + idleLook
	for modem, r := range b.kept.Leases {
		if proven, ok := lease.ProveBySystem(r, now); ok {
			b.put(modem, proven, now)
			r = proven
		}
		state, left := lease.Judge(r, now)
		switch {
		case state == lease.Unproven && r.Leased:
			at = min(at, now.Boot+trustPoll)
		case state == lease.Held && left > nearEnd(r):
			at = min(at, r.End-nearEnd(r))
		case state == lease.Held:
			at = min(at, r.End)
		}
		b.announce(modem, r, now)
	}
	return at
}

// nearEnd is how long before its end a lease that was not renewed is worth a
// finding.
func nearEnd(r lease.Record) time.Duration { return r.Length / 4 }

// adopt makes sure that what is kept for a modem is of this client of this
// orchestrator; what another one gave is no longer ours.
func (b *book) adopt(modem, client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, ok := b.kept.Leases[modem]; !ok || r.Client != client {
		b.put(modem, lease.Record{Client: client}, b.clock.Read())
	}
}

// keepOnly forgets modems that the orchestrator gives no card to any more.
func (b *book) keepOnly(members []model.MeshMember) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for modem := range b.kept.Leases {
		known := false
		for _, m := range members {
			known = known || m.Modem == modem
		}
		if !known {
			b.tellOf(modem, model.LeaseChanged{})
			delete(b.told, modem)
			delete(b.kept.Leases, modem)
			b.save(true)
		}
	}
}

// record is what is kept for a modem.
func (b *book) record(modem string) lease.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.Leases[modem]
}

// ask is the state of clocks and lease when a request leaves.
func (b *book) ask(modem string) lease.Answer {
	return lease.Answer{Asked: b.clock.Read(), AskedEpoch: b.record(modem).Epoch}
}

// take enters what an answer says to the question asked.
func (b *book) take(modem string, asked lease.Answer, a Answer, keep bool) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.kept.Leases[modem]
	r, err := lease.Take(old, old.Client, entry(asked, a, keep))
	now := b.clock.Read()
	if err == nil {
		b.put(modem, r, now)
		b.announce(modem, r, now)
	}
	if proven, ok := lease.ProveByServer(b.kept.Leases[modem], now, asked.Asked.Boot, a.ServerTime); ok {
		b.put(modem, proven, now)
		b.announce(modem, proven, now)
	}
	b.wake()
	return takeFault(err)
}

// would tells whether take would take an answer.
func (b *book) would(modem string, asked lease.Answer, a Answer, keep bool) *Fault {
	old := b.record(modem)
	_, err := lease.Take(old, old.Client, entry(asked, a, keep))
	return takeFault(err)
}

// newGrant is the code of a fault that a registration cures.
const newGrant = "new-grant"

func takeFault(err error) *Fault {
	switch {
	case err == nil, errors.Is(err, lease.ErrLate): // a later answer was there first: nothing is wrong
		return nil
	case errors.Is(err, lease.ErrNewGrant):
		return &Fault{Code: newGrant, Text: err.Error(), cause: err}
	case errors.Is(err, lease.ErrStale):
		return faultf(model.MeshStaleEpoch, err, "the answer is not obeyed: %v", err)
	}
	return faultf(model.MeshBadAnswer, err, "the answer cannot be used: %v", err)
}

func entry(asked lease.Answer, a Answer, keep bool) lease.Answer {
	asked.Card, asked.ID, asked.Epoch = a.Card, a.LeaseID, a.Epoch
	asked.HasLength, asked.Length, asked.Until, asked.ServerTime = a.HasLength, a.Length, a.Until, a.ServerTime
	asked.Keep = keep && a.LeaseID == "" && !a.HasLength && a.Until.IsZero()
	return asked
}

// time uses the orchestrator's time for every lease that waits for a proof.
func (b *book) time(asked time.Duration, server time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Read()
	for modem, r := range b.kept.Leases {
		if proven, ok := lease.ProveByServer(r, now, asked, server); ok {
			b.put(modem, proven, now)
			b.announce(modem, proven, now)
		}
	}
	b.wake()
}

// put stores a record, on flash if that is worth it.
func (b *book) put(modem string, r lease.Record, now lease.Clock) {
	old, had := b.kept.Leases[modem]
	b.kept.Leases[modem] = r
	durable := !had || lease.Worth(old, r) || now.Boot-b.written >= flashTime
	if durable {
		b.written = now.Boot
	}
	b.save(durable)
}

func (b *book) save(durable bool) {
	b.unstored = ""
	if err := b.store.Save(b.kept, durable); err != nil {
		b.unstored = err.Error()
	}
}

// trouble is why leases cannot be kept, "" if they can.
func (b *book) trouble() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unstored
}

// announce tells how a lease stands, if that is another than what was told.
func (b *book) announce(modem string, r lease.Record, now lease.Clock) {
	state, left := lease.Judge(r, now)
	ev := model.LeaseChanged{Card: r.Card, ID: r.ID, Epoch: r.Epoch}
	switch state {
	case lease.Nothing:
		ev = model.LeaseChanged{Epoch: r.Epoch}
	case lease.Free:
		ev.May = true
	case lease.Held:
		ev.May, ev.Near = true, left <= nearEnd(r)
		ev.Ends = now.Wall.Add(left).Round(time.Second)
	case lease.Ended:
		ev.Code, ev.Reason = model.MeshLeaseEnded, fmt.Sprintf("the lease of bank %d slot %d has ended and was not renewed", r.Card.Bank.ID, r.Card.Bank.Slot)
	case lease.Unproven:
		ev.Code, ev.Reason = model.MeshLeaseUnproven, unproven(r, now)
	}
	b.tellOf(modem, ev)
}

// unproven says what a lease of an earlier boot waits for.
func unproven(r lease.Record, now lease.Clock) string {
	text := fmt.Sprintf("since the restart of the router nobody has said whether bank %d slot %d is still ours", r.Card.Bank.ID, r.Card.Bank.Slot)
	switch {
	case !r.Leased || r.Local.IsZero():
		return text + ": only the orchestrator can"
	case !now.Trusted:
		return text + ": neither has the orchestrator answered nor is the clock set"
	}
	return text
}

func (b *book) tellOf(modem string, ev model.LeaseChanged) {
	ev.Modem = modem
	old, told := b.told[modem]
	same := told && old.Card.Same(ev.Card)
	old.Card = ev.Card
	if same && old == ev {
		return
	}
	b.told[modem] = ev
	ev.Time = time.Now()
	b.tell(ev)
}
