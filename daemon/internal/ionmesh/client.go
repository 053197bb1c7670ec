// Package ionmesh is the router's side of the orchestrator: it registers each
// modem that takes a remote card, beats, keeps the lease, and carries out
// commands. It is made for a metered link that breaks: connections are kept, beats
// are small, failures spread out, and a card is never used after its lease. It
// knows nothing of cards and sessions, decides nothing about them, and never
// logs: what happens goes out as events.
package ionmesh

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Config is what a client needs.
type Config struct {
	// Plan is what to reach. The client is its one reader.
	Plan *cell.Cell[model.IonMeshPlan]
	// Events is told what happens. It is called from several goroutines, and must
	// not call the Client.
	Events func(model.Event)
	// Stats is what a beat tells of a modem.
	Stats func(modem string) model.MeshStats
	// Do carries out a command. A *model.CommandError refuses it.
	Do    func(ctx context.Context, modem string, o Order) (message string, data json.RawMessage, err error)
	Store Store
	Clock Clock
	// Dial opens connections; nil leaves the way to the kernel.
	Dial DialFunc
	// Chance gives a number of 0..1 for jitter; nil is math/rand.
	Chance func() float64
}

// Client is the orchestrator's client. Make it with New, run it with Run.
type Client struct {
	cfg  Config
	rest *rest
	book *book
	desk *desk
	wake chan struct{}

	mu     sync.Mutex
	plan   model.IonMeshPlan
	cancel context.CancelCauseFunc // of the exchange that is under way

	// Below: only the goroutine of run.
	using      model.IonMeshPlan
	members    []*member
	lean       *leanConn
	leanEnded  <-chan struct{} // nil: no connection
	leanServed sync.WaitGroup
	leanBad    int       // tries that failed in a row
	leanAfter  time.Time // not before
	can        Discovered
	canUntil   time.Time
	unsent     []told
}

// member is one modem towards the orchestrator.
type member struct {
	model.MeshMember
	registered bool
	answered   bool // it has answered in this run
	due        time.Time
	failures   int
	interval   time.Duration
	said       model.IonMeshChanged // as last told
}

// New makes a client.
func New(cfg Config) *Client {
	if cfg.Chance == nil {
		cfg.Chance = rand.Float64
	}
	if cfg.Stats == nil {
		cfg.Stats = func(string) model.MeshStats { return model.MeshStats{Status: "active"} }
	}
	if cfg.Do == nil {
		cfg.Do = func(context.Context, string, Order) (string, json.RawMessage, error) {
			return "", nil, &model.CommandError{Kind: model.NotSupported, Message: "commands are not taken here"}
		}
	}
	c := &Client{cfg: cfg, wake: make(chan struct{}, 1)}
	c.rest = newRest(cfg.Dial, func() time.Time { return cfg.Clock.Read().Wall })
	c.book = newBook(cfg.Clock, cfg.Store, cfg.Events)
	c.desk = newDesk(cfg, c.book)
	return c
}

// Run serves until ctx ends. Ending it gives nothing back: card and lease outlive
// the process.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, part := range []func(context.Context){c.book.run, c.desk.run, c.watch} {
		wg.Go(func() { part(ctx) })
	}
	c.run(ctx)
	wg.Wait()
	c.rest.http.CloseIdleConnections()
	return nil
}

// watch takes over each new plan, also while an exchange is under way.
func (c *Client) watch(ctx context.Context) {
	for {
		c.take(c.cfg.Plan.Get())
		select {
		case <-ctx.Done():
			return
		case <-c.cfg.Plan.Changed():
		}
	}
}

func (c *Client) take(p model.IonMeshPlan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.plan
	c.plan = p
	c.rest.use(p)
	if c.cancel != nil && (!p.Online || old.URL != p.URL || !sameWay(old, p) && p.PathLost) {
		c.cancel(errMoved) // on a path that is lost no answer comes
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// exchange bounds one talk with the orchestrator: a new plan can end it.
func (c *Client) exchange(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cancel = nil
		cancel(nil)
	}
}

func (c *Client) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer c.leanServed.Wait()
	defer c.dropLean()
	for {
		c.follow()
		timer.Reset(time.Until(c.nextDue()))
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			continue
		case <-c.leanEnded:
			c.leanLost()
			continue
		case t := <-c.desk.results:
			c.unsent = append(c.unsent, t)
		case <-timer.C:
		}
		if !c.using.Online {
			continue
		}
		c.work(ctx)
	}
}

// work does everything that is due.
func (c *Client) work(ctx context.Context) {
	now := time.Now()
	if c.lean != nil && !now.Before(c.lean.renew) {
		c.dropLean()
	}
	if c.wantsLean() && !now.Before(c.leanAfter) {
		c.openLean(ctx)
	}
	for i, m := range c.members {
		if !now.Before(m.due) && ctx.Err() == nil {
			c.serve(ctx, i, m)
		}
	}
	c.sendResults(ctx)
}

// nextDue is when there is something to do.
func (c *Client) nextDue() time.Time {
	at := time.Now().Add(time.Hour)
	if !c.using.Online {
		return at
	}
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	for _, m := range c.members {
		earlier(m.due)
	}
	if c.wantsLean() {
		earlier(c.leanAfter)
	}
	if c.lean != nil {
		earlier(c.lean.renew)
	}
	return at
}

// follow makes the members those of the plan. Whoever stays goes on as it was.
func (c *Client) follow() {
	c.mu.Lock()
	p := c.plan
	c.mu.Unlock()
	old := c.using
	c.using = p
	moved := !sameWay(old, p)
	same := old.URL == p.URL && old.TenantID == p.TenantID && old.Mode == p.Mode && old.MCCMNC == p.MCCMNC && old.Generation == p.Generation
	if moved || !p.Online || !sameMembers(old.Members, p.Members) {
		c.dropLean()
		c.leanAfter, c.leanBad = time.Time{}, 0
	}
	if old.URL != p.URL {
		c.can, c.canUntil = Discovered{}, time.Time{}
	}
	if !p.Online {
		if old.Online {
			c.off(old)
		}
		c.members = nil
		return
	}
	if same && sameMembers(old.Members, p.Members) && old.Online {
		if moved { // whatever failed may have been the path
			for _, m := range c.members {
				c.hurry(m)
			}
		}
		return
	}
	c.enroll(p, same && old.Online)
}

// hurry lets a member that failed try again soon.
func (c *Client) hurry(m *member) {
	if soon := time.Now().Add(part(firstRetry, c.cfg.Chance)); m.failures > 0 && soon.Before(m.due) {
		m.due = soon
	}
}

// enroll makes the list of members anew.
func (c *Client) enroll(p model.IonMeshPlan, keep bool) {
	before := c.members
	c.members = nil
	for _, mm := range p.Members {
		m := &member{MeshMember: mm, due: time.Now().Add(part(startSpread, c.cfg.Chance))}
		for _, o := range before {
			if keep && o.MeshMember == mm {
				m = o
			}
		}
		m.interval = p.Interval
		c.members = append(c.members, m)
		c.book.adopt(mm.Modem, p.URL+" "+mm.ClientID)
	}
	c.book.keepOnly(p.Members)
	c.book.wake()
	for _, m := range c.members {
		if !m.registered {
			c.say(m, model.MeshRegistering, nil)
		}
	}
}

func sameMembers(a, b []model.MeshMember) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// off tells that nobody beats any more. Leases stay as they are.
func (c *Client) off(old model.IonMeshPlan) {
	for _, m := range old.Members {
		c.cfg.Events(model.IonMeshChanged{At: model.At{Time: time.Now()}, Modem: m.Modem, ClientID: m.ClientID, State: model.MeshOff})
	}
}

// serve registers a member, or beats for it.
func (c *Client) serve(ctx context.Context, i int, m *member) {
	ctx, end := c.exchange(ctx)
	defer end()
	var fault *Fault
	if !m.registered {
		fault = c.register(ctx, m)
	} else {
		fault = c.beat(ctx, i, m)
	}
	if fault != nil {
		c.failed(ctx, m, fault)
	}
}

func (c *Client) register(ctx context.Context, m *member) *Fault {
	asked := c.book.ask(m.Modem)
	a, fault := c.rest.register(ctx, m.ClientID)
	if fault != nil {
		return fault
	}
	if fault := c.took(m, asked, a); fault != nil {
		return fault
	}
	m.registered = true
	c.discover(ctx)
	c.well(m, "rest")
	// The first beat comes early: routers that were switched on together part.
	m.due = m.due.Add(-part(time.Until(m.due)/2, c.cfg.Chance))
	return nil
}

// discover asks what the orchestrator can do, once a day.
func (c *Client) discover(ctx context.Context) {
	if time.Now().Before(c.canUntil) {
		return
	}
	asked := c.cfg.Clock.Read().Boot
	d, fault := c.rest.discover(ctx)
	if fault != nil {
		return // the next registration, or beat on REST, asks again
	}
	c.can, c.canUntil = d, time.Now().Add(discoverLife)
	if d.ServerTime != nil {
		c.learn(asked, (&numbers{}).time("server_time", d.ServerTime))
	}
}

// learn notes the orchestrator's time.
func (c *Client) learn(asked time.Duration, server time.Time) {
	if !server.IsZero() {
		c.desk.time(asked, server)
		c.book.time(asked, server)
	}
}

// took enters an answer: lease, commands, time and interval.
func (c *Client) took(m *member, asked lease.Answer, a Answer) *Fault {
	c.learn(asked.Asked.Boot, a.ServerTime)
	fault := c.book.take(m.Modem, asked, a, false)
	m.interval = c.using.Interval
	if a.Interval > 0 {
		m.interval = a.Interval
	}
	asked.AskedEpoch = c.book.record(m.Modem).Epoch
	for _, o := range a.Orders {
		c.desk.accept(job{m.MeshMember, o, asked})
	}
	return fault
}

func (c *Client) beat(ctx context.Context, i int, m *member) *Fault {
	s := c.cfg.Stats(m.Modem)
	if c.lean != nil {
		if fault := c.leanBeat(ctx, i, m, s); c.lean != nil || fault == nil || context.Cause(ctx) != nil {
			return fault
		}
	}
	asked := c.book.ask(m.Modem)
	a, fault := c.rest.beat(ctx, m.ClientID, s.Status, statsOf(s))
	if fault != nil {
		return fault
	}
	if fault := c.took(m, asked, a); fault != nil {
		return c.reregister(ctx, m, fault)
	}
	c.discover(ctx)
	c.well(m, "rest")
	return nil
}

// reregister asks for the card if a beat told of a lease that is not ours.
func (c *Client) reregister(ctx context.Context, m *member, fault *Fault) *Fault {
	if fault.Code != newGrant {
		return fault
	}
	m.registered = false
	return c.register(ctx, m)
}

// well arranges the next beat after one that went well.
func (c *Client) well(m *member, transport string) {
	m.failures, m.answered = 0, true
	state, left := lease.Judge(c.book.record(m.Modem), c.cfg.Clock.Read())
	wait := nextBeat(m.interval, left, state == lease.Held, c.cfg.Chance)
	if state == lease.Ended { // it wants a new one
		m.registered = false
		wait = part(firstRetry, c.cfg.Chance)
	}
	now := time.Now()
	m.due = now.Add(wait)
	m.said.Transport, m.said.LastBeat = transport, now
	c.say(m, model.MeshRegistered, nil)
}

// failed arranges the next try after one that did not go well.
func (c *Client) failed(ctx context.Context, m *member, fault *Fault) {
	m.failures++
	wait := retry(m.failures, c.cfg.Chance)
	switch {
	case context.Cause(ctx) == errMoved:
		m.failures, wait = max(0, m.failures-1), 0
	case fault.After > 0:
		wait = after(fault.After, c.cfg.Chance)
	case fault.Status == 404 && fault.Refused && m.registered:
		m.registered = false // it has forgotten us
		wait = part(firstRetry, c.cfg.Chance)
	}
	m.due = time.Now().Add(wait)
	switch {
	case fault.Refused || fault.Code == model.MeshStaleEpoch:
		m.answered = true
		c.say(m, model.MeshRefused, fault)
	case m.answered:
		c.say(m, model.MeshSilent, fault)
	default:
		c.say(m, model.MeshRegistering, fault)
	}
}

// say tells how a member stands.
func (c *Client) say(m *member, state model.MeshState, fault *Fault) {
	now := time.Now()
	m.said.At = model.At{Time: now}
	m.said.Modem, m.said.ClientID, m.said.URL, m.said.State = m.Modem, m.ClientID, c.using.URL, state
	m.said.NextBeat = m.due
	m.said.Code, m.said.Reason = "", ""
	if fault != nil {
		m.said.Code, m.said.Reason = fault.Code, fault.Text
	} else if why := c.book.trouble(); why != "" {
		m.said.Code, m.said.Reason = model.MeshUnstored, why
	}
	c.cfg.Events(m.said)
}

// sendResults tells what came of commands. What cannot be told now is kept for
// the next time.
func (c *Client) sendResults(ctx context.Context) {
	for drained := false; !drained; {
		select {
		case t := <-c.desk.results:
			c.unsent = append(c.unsent, t)
		default:
			drained = true
		}
	}
	c.unsent = c.unsent[max(0, len(c.unsent)-keepResults):]
	for len(c.unsent) > 0 && ctx.Err() == nil {
		t := c.unsent[0]
		var fault *Fault
		switch {
		case c.lean != nil:
			fault = c.lean.result(t.member.ClientID, t.result)
		case c.can.can("commands"):
			ctx, end := c.exchange(ctx)
			fault = c.rest.result(ctx, t.member.ClientID, t.result)
			end()
		}
		if fault != nil && !fault.Refused {
			return
		}
		c.unsent = c.unsent[1:]
	}
}
