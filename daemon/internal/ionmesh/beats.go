package ionmesh

import (
	"context"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// wantsLean tells whether a lean connection is to be had.
func (c *Client) wantsLean() bool {
	if c.lean != nil || !c.can.can("lean-beat") || len(c.members) == 0 {
		return false
	}
	for _, m := range c.members {
		if !m.registered {
			return false
		}
	}
	return true
}

// openLean makes the connection on which all members beat.
func (c *Client) openLean(ctx context.Context) {
	ctx, end := c.exchange(ctx)
	defer end()
	var hello LeanHello
	var members []model.MeshMember
	var asked []lease.Answer
	for _, m := range c.members {
		s := c.cfg.Stats(m.Modem)
		hello.Clients = append(hello.Clients, LeanClient{m.ClientID, c.book.record(m.Modem).Epoch, s.Status, statsOf(s)})
		members = append(members, m.MeshMember)
		asked = append(asked, c.book.ask(m.Modem))
	}
	l, answer, fault := c.rest.openLean(ctx, members, hello, asked, c.desk.accept)
	if fault != nil {
		c.leanFailed()
		return
	}
	c.learn(asked[0].Asked.Boot, (&numbers{}).time("server_time", answer.ServerTime))
	l.renew = time.Now().Add(leanLife - part(leanLife/10, c.cfg.Chance))
	c.lean, c.leanEnded = l, l.done
	c.leanServed.Go(l.serve)
	c.rest.http.CloseIdleConnections()
}

// leanFailed notes that a lean connection does not work now.
func (c *Client) leanFailed() {
	c.leanBad++
	c.leanAfter = time.Now().Add(leanPause(c.leanBad, c.cfg.Chance))
}

// leanLost follows the end of a connection that stood.
func (c *Client) leanLost() {
	if c.lean == nil {
		return
	}
	c.dropLean()
	c.leanAfter = time.Now().Add(part(reopenSpread, c.cfg.Chance))
}

// dropLean ends the connection, if there is one.
func (c *Client) dropLean() {
	if c.lean != nil {
		c.lean.close()
	}
	c.lean, c.leanEnded = nil, nil
}

// leanBeat beats on the lean connection. With a fault that connection is gone.
func (c *Client) leanBeat(ctx context.Context, i int, m *member, s model.MeshStats) *Fault {
	asked := c.book.ask(m.Modem)
	d, fault := c.lean.beat(ctx, i, asked.AskedEpoch, s.Status, statsOf(s), asked)
	if fault != nil {
		c.dropLean()
		c.leanFailed()
		return fault
	}
	c.leanBad = 0
	if d.Unknown {
		m.registered = false
		return c.register(ctx, m)
	}
	if d.Busy {
		return &Fault{Code: model.MeshBusy, Text: "the orchestrator cannot take a beat now", Refused: true}
	}
	a := Answer{HasLength: d.HasLease, Length: d.Lease, Interval: d.Interval}
	if a.Interval == 0 {
		a.Interval = m.interval
	}
	if fault := c.took(m, asked, a); fault != nil {
		return c.reregister(ctx, m, fault)
	}
	c.well(m, "lean")
	return nil
}
