package meter_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter/meterfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// world is a router with a link on device wwan1 whose other end can answer, and
// a LAN behind it. Each datagram is 128 bytes at the IP layer.
type world interface {
	kernel() meter.Kernel
	// out sends from the router, with a mark, and keeps the flow under a name.
	out(flow string, mark uint32) (arrived bool)
	// back answers on a flow.
	back(flow string) (arrived bool)
	// unasked sends to a port of the router that nothing has asked from.
	unasked() (arrived bool)
	// forward sends from the LAN through the router.
	forward() (arrived bool)
	// dhcp sends a request from the router, or the offer to it.
	dhcp(offer bool) (arrived bool)
}

const datagram = 128

// fakeWorld is the world on the fake.
type fakeWorld struct{ f *meterfake.Fake }

func (w fakeWorld) kernel() meter.Kernel { return w.f }
func (w fakeWorld) out(flow string, mark uint32) bool {
	return w.pass(meterfake.Packet{Way: meterfake.Out, Mark: mark, Flow: flow})
}
func (w fakeWorld) back(flow string) bool {
	return w.pass(meterfake.Packet{Way: meterfake.In, Flow: flow})
}
func (w fakeWorld) unasked() bool {
	return w.pass(meterfake.Packet{Way: meterfake.In, Flow: "unasked"})
}
func (w fakeWorld) forward() bool {
	return w.pass(meterfake.Packet{Way: meterfake.Forward, Flow: "lan"})
}
func (w fakeWorld) dhcp(offer bool) bool {
	way := meterfake.Out
	if offer {
		way = meterfake.In
	}
	return w.pass(meterfake.Packet{Way: way, Local: true})
}
func (w fakeWorld) pass(p meterfake.Packet) bool {
	p.Device, p.Bytes = "wwan1", datagram
	return w.f.Pass(p)
}

// link is the link of the table.
func link(change func(*model.MeterLink)) []model.MeterLink {
	l := model.MeterLink{Name: "iot", Number: 2, Device: "wwan1", Fence: true}
	if change != nil {
		change(&l)
	}
	return []model.MeterLink{l}
}

func mark(p model.Purpose) uint32 { return model.Mark(2, p) }

var essential = []model.Purpose{model.PurposeBank, model.PurposeOrchestrator, model.PurposeDNS}

// rows is the table: what is sent, what arrives, and what the counters say then.
func rows() []row {
	return []row{
		{"a fence lets what has our mark pass and takes the answers", nil, func(t *testing.T, w world) {
			require.True(t, w.out("bank", mark(model.PurposeBank)))
			require.True(t, w.back("bank"))
			require.True(t, w.out("dns", mark(model.PurposeDNS)))
		}, count{rx: 1, tx: 2, purposes: map[string]int64{"bank": 2, "dns": 1}}},
		{"the kernel's own answers on our connections pass without a mark", nil, func(t *testing.T, w world) {
			require.True(t, w.out("bank", mark(model.PurposeBank)))
			require.True(t, w.out("bank", 0))
		}, count{tx: 2, purposes: map[string]int64{"bank": 2}}},
		{"a fence stops the router's own traffic and what it forwards", nil, func(t *testing.T, w world) {
			require.False(t, w.out("ntp", 0))
			require.False(t, w.forward())
			require.False(t, w.out("other link", model.Mark(3, model.PurposeBank)))
		}, count{dropped: 3}},
		{"a fence lets DHCP pass both ways", nil, func(t *testing.T, w world) {
			require.True(t, w.dhcp(false))
			require.True(t, w.dhcp(true))
		}, count{rx: 1, tx: 1, purposes: map[string]int64{"other": 2}}},
		{"what comes unasked through a fence is dropped and counted", nil, func(t *testing.T, w world) {
			require.False(t, w.unasked())
		}, count{rx: 1, unasked: 1, purposes: map[string]int64{"other": 1}}},
		{"without a fence everything passes and is counted", func(l *model.MeterLink) { l.Fence = false }, func(t *testing.T, w world) {
			require.True(t, w.out("ntp", 0))
			require.True(t, w.back("ntp"))
			require.True(t, w.forward())
			require.True(t, w.unasked())
			require.True(t, w.out("bank", mark(model.PurposeBank)))
		}, count{rx: 2, tx: 3, purposes: map[string]int64{"other": 4, "bank": 1}}},
		{"only what is allowed passes a fence", func(l *model.MeterLink) { l.Allow = essential }, func(t *testing.T, w world) {
			require.True(t, w.out("bank", mark(model.PurposeBank)))
			require.True(t, w.back("bank"))
			require.False(t, w.out("server", mark(model.PurposeServer)))
			require.False(t, w.out("probe", mark(model.PurposeProbe)))
		}, count{rx: 1, tx: 1, dropped: 2, purposes: map[string]int64{"bank": 2}}},
		{"only what is allowed passes a link for user traffic", func(l *model.MeterLink) { l.Fence, l.Allow = false, essential }, func(t *testing.T, w world) {
			require.True(t, w.out("bank", mark(model.PurposeBank)))
			require.False(t, w.out("ntp", 0))
			require.False(t, w.forward())
			require.False(t, w.unasked())
		}, count{rx: 1, tx: 1, dropped: 2, purposes: map[string]int64{"bank": 1, "other": 1}}},
		{"nothing passes where nothing is allowed", func(l *model.MeterLink) { l.Allow = []model.Purpose{} }, func(t *testing.T, w world) {
			require.False(t, w.out("bank", mark(model.PurposeBank)))
		}, count{dropped: 1}},
		{"a device that is away stops nothing", func(l *model.MeterLink) { l.Device = "" }, func(t *testing.T, w world) {
			require.True(t, w.out("ntp", 0))
		}, count{}},
	}
}

type row struct {
	name   string
	change func(*model.MeterLink)
	act    func(t *testing.T, w world)
	want   count
}

// count is in datagrams.
type count struct {
	rx, tx, dropped, unasked int64
	purposes                 map[string]int64
}

func (c count) of(link string) model.MeterCount {
	m := model.MeterCount{Link: link, Rx: c.rx * datagram, Tx: c.tx * datagram, Dropped: c.dropped * datagram, Unasked: c.unasked * datagram,
		Purposes: make(map[string]int64)}
	for p, n := range c.purposes {
		m.Purposes[p] = n * datagram
	}
	return m
}

func runTable(t *testing.T, make func(t *testing.T) world) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			w := make(t)
			require.NoError(t, w.kernel().Apply(t.Context(), link(r.change)))
			r.act(t, w)
			got, err := w.kernel().Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, []model.MeterCount{r.want.of("iot")}, got.Counts)
		})
	}
	t.Run("new rules keep what was counted, for links that stay", func(t *testing.T) { keepsCounts(t, make(t)) })
	t.Run("a limit is kept to the byte between readings", func(t *testing.T) { keepsLimit(t, make(t)) })
	t.Run("a new table is a new epoch", func(t *testing.T) { newEpoch(t, make(t)) })
}

func keepsCounts(t *testing.T, w world) {
	k := w.kernel()
	require.NoError(t, k.Apply(t.Context(), link(nil)))
	require.True(t, w.out("bank", mark(model.PurposeBank)))
	before, err := k.Read(t.Context())
	require.NoError(t, err)
	// Other rules, another number, and a second link.
	other := append(link(func(l *model.MeterLink) { l.Number, l.Fence = 3, false }), model.MeterLink{Name: "wan", Number: 1, Device: "eth0"})
	require.NoError(t, k.Apply(t.Context(), other))
	require.True(t, w.out("server", model.Mark(3, model.PurposeServer)))
	got, err := k.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Epoch, got.Epoch)
	require.Equal(t, []model.MeterCount{
		count{tx: 2, purposes: map[string]int64{"bank": 1, "server": 1}}.of("iot"), count{}.of("wan"),
	}, got.Counts)
	require.NoError(t, k.Apply(t.Context(), other[1:]))
	got, err = k.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, []model.MeterCount{count{}.of("wan")}, got.Counts)
}

func keepsLimit(t *testing.T, w world) {
	k := w.kernel()
	require.NoError(t, k.Apply(t.Context(), link(nil)))
	require.True(t, w.out("server", mark(model.PurposeServer)))
	r, err := k.Read(t.Context())
	require.NoError(t, err)
	require.NoError(t, k.Apply(t.Context(), link(func(l *model.MeterLink) {
		l.Until, l.UntilEpoch, l.Then = 4*datagram, r.Epoch, essential
	})))
	for n := range 3 {
		require.False(t, w.out("ntp", 0), "what the fence stops is not held against the limit")
		require.True(t, w.out("server", mark(model.PurposeServer)), n)
	}
	require.False(t, w.out("server", mark(model.PurposeServer)))
	require.True(t, w.out("bank", mark(model.PurposeBank)))
	require.True(t, w.back("bank"))
	require.False(t, w.out("probe", mark(model.PurposeProbe)))
	got, err := k.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, []model.MeterCount{count{rx: 1, tx: 5, dropped: 5, purposes: map[string]int64{"server": 4, "bank": 2}}.of("iot")}, got.Counts)
	// The limit of another life of the table says nothing.
	require.NoError(t, k.Apply(t.Context(), link(func(l *model.MeterLink) { l.Until, l.UntilEpoch, l.Then = 1, "another", essential })))
	require.True(t, w.out("server", mark(model.PurposeServer)))
}

func newEpoch(t *testing.T, w world) {
	k := w.kernel()
	_, err := k.Read(t.Context())
	require.ErrorIs(t, err, meter.ErrNoTable)
	removed, err := k.Remove(t.Context())
	require.NoError(t, err)
	require.False(t, removed)
	require.NoError(t, k.Apply(t.Context(), link(nil)))
	first, err := k.Read(t.Context())
	require.NoError(t, err)
	removed, err = k.Remove(t.Context())
	require.NoError(t, err)
	require.True(t, removed)
	_, err = k.Read(t.Context())
	require.ErrorIs(t, err, meter.ErrNoTable)
	require.NoError(t, k.Apply(t.Context(), link(nil)))
	second, err := k.Read(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first.Epoch, second.Epoch)
}

func TestTableOnTheFake(t *testing.T) {
	runTable(t, func(*testing.T) world { return fakeWorld{meterfake.New()} })
}

func TestFakePrintsItself(t *testing.T) {
	f := meterfake.New()
	require.Equal(t, "no table\n", fmt.Sprint(f))
	require.NoError(t, f.Apply(context.Background(), link(nil)))
	fakeWorld{f}.out("bank", mark(model.PurposeBank))
	require.Equal(t, "iot on wwan1: fence true, allowed [], rx 0 tx 128 dropped 0 unasked 0\n", f.String())
}
