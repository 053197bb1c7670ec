package ionmesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// job is one command for one modem.
type job struct {
	member model.MeshMember
	order  Order
	// asked is the last request before it: the command was not sent earlier.
	asked lease.Answer
}

// told is a result that the orchestrator is to learn.
type told struct {
	member model.MeshMember
	result Result
}

// desk carries commands out, one after the other and each id once.
type desk struct {
	do      func(ctx context.Context, modem string, o Order) (message string, data json.RawMessage, err error)
	book    *book
	tell    func(model.Event)
	queue   chan job
	results chan told

	mu      sync.Mutex
	waiting map[string]bool // ids in the queue or under way
	server  time.Time       // the orchestrator's time when it answered …
	at      time.Duration   // … a request that left then, by the boot clock
}

// orderTime bounds one command: a reset of a modem is the longest.
const orderTime = 3 * time.Minute

// deskSize is how many commands may wait.
const deskSize = 16

func newDesk(cfg Config, b *book) *desk {
	return &desk{
		do: cfg.Do, book: b, tell: cfg.Events, queue: make(chan job, deskSize),
		results: make(chan told, keepResults), waiting: make(map[string]bool),
	}
}

// time notes the orchestrator's time.
func (d *desk) time(asked time.Duration, server time.Time) {
	if server.IsZero() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.server, d.at = server, asked
}

// expired tells whether a command is too old. What cannot be told counts as too
// old: doing nothing is safe.
func (d *desk) expired(o Order, now time.Duration) bool {
	if o.Expires.IsZero() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.server.IsZero() || !d.server.Add(now-d.at).Before(o.Expires)
}

// accept takes a command in, or answers it at once.
func (d *desk) accept(j job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[j.order.ID] {
		return // its result will be told
	}
	if res, done := d.book.result(j.member.Modem, j.order.ID); done {
		d.report(told{j.member, res}) // asked again: said again, not done again
		return
	}
	select {
	case d.queue <- j:
		d.waiting[j.order.ID] = true
	default:
		d.report(told{j.member, Result{ID: j.order.ID, Status: StatusRefused, Message: "too many commands wait already"}})
	}
}

// report hands a result over; the oldest gives way when nobody takes them.
func (d *desk) report(t told) {
	for {
		select {
		case d.results <- t:
			return
		default:
		}
		select {
		case <-d.results:
		default:
		}
	}
}

// run carries out what comes until ctx ends.
func (d *desk) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-d.queue:
			d.carryOut(ctx, j)
		}
	}
}

func (d *desk) carryOut(ctx context.Context, j job) {
	o := j.order
	// A crash in the middle must not make it be done twice.
	d.book.keepResult(j.member.Modem, Result{ID: o.ID, Status: StatusFailed, Message: "remsim was restarted while it was carried out"})
	res := d.perform(ctx, j)
	if ctx.Err() != nil {
		return // the daemon stops: whatever came of it was cut short
	}
	d.book.keepResult(j.member.Modem, res)
	d.mu.Lock()
	delete(d.waiting, o.ID)
	d.mu.Unlock()
	d.tell(model.MeshOrderDone{At: model.At{Time: time.Now()}, Modem: j.member.Modem, ID: o.ID, Command: o.Name, Status: res.Status, Message: res.Message})
	d.report(told{j.member, res})
}

// maxData bounds what a result carries: it travels over a metered link.
const maxData = 4 << 10

func (d *desk) perform(ctx context.Context, j job) Result {
	o := j.order
	switch {
	case d.expired(o, d.book.clock.Read().Boot):
		return Result{ID: o.ID, Status: StatusExpired, Message: "it came too late"}
	case o.Bad != "":
		return Result{ID: o.ID, Status: StatusRefused, Message: printable(o.Bad, 200)}
	}
	if o.Name == OrderMove {
		if f := d.book.would(j.member.Modem, j.asked, o.Move, true); f != nil {
			return Result{ID: o.ID, Status: StatusRefused, Message: f.Text}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	message, data, err := d.do(ctx, j.member.Modem, o)
	if err == nil && o.Name == OrderMove {
		if f := d.book.take(j.member.Modem, j.asked, o.Move, true); f != nil {
			err = f
		}
	}
	var refused *model.CommandError
	switch {
	case errors.As(err, &refused):
		return Result{ID: o.ID, Status: StatusRefused, Message: printable(refused.Message, 200)}
	case err != nil:
		return Result{ID: o.ID, Status: StatusFailed, Message: printable(err.Error(), 200)}
	case len(data) > maxData:
		data, message = nil, message+fmt.Sprintf(" (%d bytes of data were too many)", len(data))
	}
	return Result{ID: o.ID, Status: StatusDone, Message: printable(message, 200), Data: data}
}

// result is what came of a command that is known already.
func (b *book) result(modem, id string) (Result, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.kept.Orders {
		if k.Modem == modem && k.Result.ID == id {
			return k.Result, true
		}
	}
	return Result{}, false
}

// keepResult remembers a result, without its data.
func (b *book) keepResult(modem string, res Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	res.Data = nil
	kept := b.kept.Orders[:0:0]
	for _, k := range b.kept.Orders {
		if k.Modem != modem || k.Result.ID != res.ID {
			kept = append(kept, k)
		}
	}
	kept = append(kept, KeptResult{modem, res})
	b.kept.Orders = kept[max(0, len(kept)-keepResults):]
	b.save(false)
}
