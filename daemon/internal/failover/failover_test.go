package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var t0 = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// policy is that of a router with two modems, as the defaults have it.
func policy() Policy {
	return Policy{ControlOrder: []string{"iot", "primary"}, Grace: 300 * time.Second, Hold: 30 * time.Second, Failback: FailbackAfter}
}

func primary(usable bool) Link {
	return Link{Name: "primary", Modem: "primary", Up: true, Usable: usable, NeedsCard: true, ModemState: ModemRegistered, Resettable: true}
}

func iot(usable bool) Link {
	return Link{Name: "iot", Modem: "iot", Up: true, Usable: usable, Metered: true, User: model.UserNever, ModemState: ModemRegistered, Resettable: true}
}

// wan is a link without a modem.
func wan(usable bool) Link { return Link{Name: "wan", Up: true, Usable: usable} }

// moment is what is so from a time on.
type moment struct {
	after  time.Duration
	links  []Link
	change func(*Policy)
}

func TestRules(t *testing.T) {
	force := func(role, link string) func(*Policy) {
		return func(p *Policy) { p.Forced = map[string]string{role: link} }
	}
	set := func(l Link, change func(*Link)) Link { change(&l); return l }
	emergency := func(usable bool) Link {
		return set(iot(usable), func(l *Link) { l.User = model.UserEmergency })
	}
	quiet := func(l Link) Link { return set(l, func(l *Link) { l.Quiet = true }) }
	for _, tc := range []struct {
		name          string
		moments       []moment
		data, control string
		server        string // "": as control
		state         string
	}{
		{
			name:    "each role has its own first link",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}},
			data:    "primary", control: "iot", state: StateNormal,
		},
		{
			name:    "an unusable link is left at once",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Minute, []Link{primary(true), iot(false)}, nil}},
			data:    "primary", control: "primary", state: StateFailover,
		},
		{
			name: "a recovered link waits out its hold",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Minute, []Link{primary(true), iot(false)}, nil},
				{2 * time.Minute, []Link{primary(true), iot(true)}, nil}, {2*time.Minute + 29*time.Second, []Link{primary(true), iot(true)}, nil}},
			data: "primary", control: "primary", state: StateHold,
		},
		{
			name: "and then takes over",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Minute, []Link{primary(true), iot(false)}, nil},
				{2 * time.Minute, []Link{primary(true), iot(true)}, nil}, {2*time.Minute + 30*time.Second, []Link{primary(true), iot(true)}, nil}},
			data: "primary", control: "iot", state: StateNormal,
		},
		{
			name: "failback never: the link in use is left only when it fails",
			moments: []moment{{0, []Link{primary(true), iot(true)}, func(p *Policy) { p.Failback = FailbackNever }}, {time.Minute, []Link{primary(true), iot(false)}, nil},
				{2 * time.Minute, []Link{primary(true), iot(true)}, nil}, {time.Hour, []Link{primary(true), iot(true)}, nil}},
			data: "primary", control: "primary", state: StateFailover,
		},
		{
			name: "failback immediate: one second of calm is all it takes",
			moments: []moment{{0, []Link{primary(true), iot(true)}, func(p *Policy) { p.Failback = FailbackImmediate }}, {time.Minute, []Link{primary(true), iot(false)}, nil},
				{2 * time.Minute, []Link{primary(true), iot(true)}, nil}, {2*time.Minute + time.Second, []Link{primary(true), iot(true)}, nil}},
			data: "primary", control: "iot", state: StateNormal,
		},
		{
			name:    "user traffic stays off a link that its owner keeps for control",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Minute, []Link{primary(false), iot(true)}, nil}},
			data:    "primary", control: "iot", state: StateDataLost,
		},
		{
			name:    "an emergency link takes user traffic when nothing else is usable",
			moments: []moment{{0, []Link{emergency(true), primary(true), wan(true)}, nil}, {time.Minute, []Link{emergency(true), primary(false), wan(false)}, nil}},
			data:    "iot", control: "iot", state: StateFailover,
		},
		{
			name:    "and does not when its budget is used up",
			moments: []moment{{0, []Link{primary(true), emergency(true)}, nil}, {time.Minute, []Link{primary(false), quiet(emergency(true))}, nil}},
			data:    "primary", control: "iot", state: StateDataLost,
		},
		{
			name: "an emergency ends as soon as another link is good, whatever failback says",
			moments: []moment{{0, []Link{primary(false), emergency(true)}, func(p *Policy) { p.Failback = FailbackNever }}, {time.Minute, []Link{primary(false), emergency(true)}, nil},
				{2 * time.Minute, []Link{primary(true), emergency(true)}, nil}, {2*time.Minute + time.Second, []Link{primary(true), emergency(true)}, nil}},
			data: "primary", control: "iot", state: StateNormal,
		},
		{
			name:    "control ranks a link that runs on the remote card last, whatever the order says",
			moments: []moment{{0, []Link{primary(true), iot(true)}, func(p *Policy) { p.ControlOrder = []string{"primary", "iot"} }}},
			data:    "primary", control: "iot", state: StateNormal,
		},
		{
			name:    "control prefers a link whose budget is not used up",
			moments: []moment{{0, []Link{primary(true), quiet(iot(true))}, nil}},
			data:    "primary", control: "primary", state: StateNormal,
		},
		{
			name:    "a stock server is reached over an unmetered link",
			moments: []moment{{0, []Link{primary(true), iot(true)}, func(p *Policy) { p.PreferUnmetered = true }}},
			data:    "primary", control: "iot", server: "primary", state: StateNormal,
		},
		{
			name:    "and over a metered one when no other is usable",
			moments: []moment{{0, []Link{primary(false), iot(true)}, func(p *Policy) { p.PreferUnmetered = true }}, {time.Minute, []Link{primary(false), iot(true)}, nil}},
			data:    "primary", control: "iot", server: "iot", state: StateDataLost,
		},
		{
			name:    "a choice by hand is obeyed at once",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Second, []Link{primary(true), iot(true)}, force(RoleControl, "primary")}},
			data:    "primary", control: "primary", state: StateNormal,
		},
		{
			name:    "a choice by hand does not hold control on a dead link",
			moments: []moment{{0, []Link{primary(true), iot(true)}, force(RoleControl, "primary")}, {time.Minute, []Link{primary(false), iot(true)}, nil}},
			data:    "primary", control: "iot", state: StateDataLost,
		},
		{
			name:    "a choice by hand cannot send user traffic where its owner forbids it",
			moments: []moment{{0, []Link{primary(true), iot(true)}, force(RoleData, "iot")}},
			data:    "primary", control: "iot", state: StateNormal,
		},
		{
			name: "a choice that is given back changes the link at once",
			moments: []moment{{0, []Link{primary(true), iot(true)}, force(RoleControl, "primary")},
				{time.Minute, []Link{primary(true), iot(true)}, func(p *Policy) { p.Forced = nil }}},
			data: "primary", control: "iot", state: StateNormal,
		},
		{
			name:    "nothing usable: each role keeps its link",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Minute, []Link{primary(false), iot(false)}, nil}},
			data:    "primary", control: "iot", state: StateGrace,
		},
		{
			name: "and grace ends",
			moments: []moment{{0, []Link{primary(true), iot(true)}, nil}, {time.Minute, []Link{primary(false), iot(false)}, nil},
				{6 * time.Minute, []Link{primary(false), iot(false)}, nil}},
			data: "primary", control: "iot", state: StateLost,
		},
		{
			name: "nothing usable: a link that is up is better than one that is down",
			moments: []moment{{0, []Link{wan(true), primary(true), iot(true)}, nil},
				{time.Minute, []Link{{Name: "wan"}, primary(false), iot(false)}, nil}, {2 * time.Minute, []Link{{Name: "wan"}, primary(false), iot(false)}, nil}},
			data: "primary", control: "iot", state: StateGrace,
		},
		{
			name:    "after a start a better link that is up gets the time to be judged",
			moments: []moment{{0, []Link{primary(true), iot(false)}, nil}, {time.Second, []Link{primary(true), iot(false)}, nil}},
			data:    "primary", control: "iot", state: StateStarting,
		},
		{
			name:    "but no longer than that",
			moments: []moment{{0, []Link{primary(true), iot(false)}, nil}, {startTime, []Link{primary(true), iot(false)}, nil}},
			data:    "primary", control: "primary", state: StateFailover,
		},
		{
			name:    "no links",
			moments: []moment{{0, nil, nil}},
			state:   StateStarting,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, mem := policy(), Memory{}
			var d Decision
			for _, m := range tc.moments {
				if m.change != nil {
					m.change(&p)
				}
				d, mem = Decide(t0.Add(m.after), p, mem, m.links)
			}
			require.Equal(t, tc.data, d.Data, d)
			require.Equal(t, tc.control, d.Control, d)
			want := tc.server
			if want == "" {
				want = tc.control
			}
			require.Equal(t, want, d.Server, d)
			require.Equal(t, tc.state, d.State, d)
		})
	}
}
