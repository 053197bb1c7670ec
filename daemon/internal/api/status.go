package api

import (
	"context"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// statusReply is the reply of `status`.
type statusReply struct {
	Version  string          `json:"version"`
	Sequence int64           `json:"sequence"`
	Time     int64           `json:"time"`
	Uptime   int64           `json:"uptime_s"`
	DeviceID string          `json:"device_id"`
	State    model.State     `json:"state"`
	Reason   string          `json:"reason"`
	Modems   []model.Modem   `json:"modems"`
	Links    []model.Link    `json:"links"`
	Failover model.Failover  `json:"failover"`
	Sessions []model.Session `json:"sessions"`
	IonMesh  model.IonMesh   `json:"ionmesh"`
	Budget   []model.Budget  `json:"budget"`
	Health   model.Health    `json:"health"`
}

// unchanged is the reply to a caller who has seen the newest state.
type unchanged struct {
	Sequence  int64 `json:"sequence"`
	Unchanged bool  `json:"unchanged"`
}

// encoded is the last status reply as bytes. Pages poll: within one second and
// one sequence all of them get the same bytes.
type encoded struct {
	sequence, second int64
	raw              ubus.Raw
}

func (a *API) status(_ context.Context, req *ubus.Request) {
	since, err := req.Args.Int("since", 0)
	if err != nil {
		a.refuse(req, err)
		return
	}
	a.engine.Look()
	s := a.engine.Snapshot()
	if since != 0 && since == s.Sequence {
		a.answer(req, unchanged{Sequence: s.Sequence, Unchanged: true}, nil)
		return
	}
	now := time.Now()
	c := a.cache.Load()
	if c == nil || c.sequence != s.Sequence || c.second != now.Unix() {
		raw, err := ubus.Marshal(reply(s, now))
		if err != nil {
			a.refuse(req, err)
			return
		}
		c = &encoded{sequence: s.Sequence, second: now.Unix(), raw: raw}
		a.cache.Store(c)
	}
	a.answer(req, c.raw, nil)
}

func reply(s *model.Snapshot, now time.Time) statusReply {
	failover := s.Failover
	if s.GraceEnds.After(now) {
		failover.GraceLeft = int(s.GraceEnds.Sub(now)/time.Second) + 1
	}
	mesh := s.IonMesh
	if mesh.NextBeatAt.After(now) {
		mesh.NextBeat = int(mesh.NextBeatAt.Sub(now)/time.Second) + 1
	}
	return statusReply{
		Version: s.Version, Sequence: s.Sequence, Time: now.Unix(), Uptime: int64(now.Sub(s.Started) / time.Second),
		DeviceID: s.DeviceID, State: s.State, Reason: s.Reason, Modems: s.Modems, Links: s.Links, Failover: failover,
		Sessions: s.Sessions, IonMesh: mesh, Budget: s.Budget, Health: s.Health,
	}
}

// identities is the only method that gives identities unmasked; the ACL role
// luci-app-remsim-identities guards it.
func (a *API) identities(ctx context.Context, req *ubus.Request) {
	list, err := a.engine.Identities(ctx)
	if list == nil {
		list = []model.Identity{}
	}
	a.answer(req, map[string]any{"modems": list}, err)
}
