package ubusfake_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

func start(t *testing.T) *ubusfake.Broker {
	t.Helper()
	b, err := ubusfake.Start(socketPath(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func TestTheBrokerPrintsItself(t *testing.T) {
	b := start(t)
	o := golden("golden")
	s := publish(t, b.Path(), o)
	c := dial(t, b.Path())
	require.NoError(t, c.Subscribe(bounded(t), "golden", func(string, ubus.Table) {}, nil))
	require.NoError(t, c.Listen(bounded(t), "demo.*", func(string, ubus.Table) {}))
	var out strings.Builder
	require.NoError(t, b.Print(&out))
	require.Contains(t, out.String(), "'golden' @")
	require.Contains(t, out.String(), "subscribers 1\n")
	require.Contains(t, out.String(), "\tfail(code int32)\n\tdefer()\n")
	require.Contains(t, out.String(), "event 'demo.*' client ")
	peers := b.Peers()
	require.Len(t, peers, 2)
	for _, p := range peers {
		require.NotEmpty(t, p.User)
		if p.ID == s.ID() {
			require.Equal(t, []string{"golden"}, p.Objects)
		}
	}
	id, ok := b.Owner("golden")
	require.True(t, ok)
	require.Equal(t, s.ID(), id)
	_, ok = b.Owner("nosuch")
	require.False(t, ok)
	for _, drive := range []func(uint32) error{b.Stall, b.Resume, b.Drop} {
		require.ErrorIs(t, drive(1), ubusfake.ErrNoPeer)
	}
}

// TestAPeerThatDoesNotReadLosesMessages is what the real broker does: its queue
// for one client holds 1 MiB, and what does not fit is lost in silence.
func TestAPeerThatDoesNotReadLosesMessages(t *testing.T) {
	b := start(t)
	c := dial(t, b.Path())
	got := make(chan int, 4096)
	require.NoError(t, c.Listen(bounded(t), "big", func(_ string, data ubus.Table) {
		s, _ := data.Text("s", "")
		got <- len(s)
	}))
	require.NoError(t, b.Stall(c.ID()))
	s := dial(t, b.Path())
	for range 20 {
		require.NoError(t, s.Send(bounded(t), "big", map[string]string{"s": strings.Repeat("x", 100_000)}))
	}
	for _, p := range b.Peers() {
		if p.ID == c.ID() {
			require.True(t, p.Stalled)
			require.LessOrEqual(t, p.Queued, ubus.MaxMessage)
			require.Greater(t, p.Queued, ubus.MaxMessage-200_000)
		}
	}
	require.NoError(t, b.Resume(c.ID()))
	require.NoError(t, c.Ping(bounded(t)), "the connection lives")
	n := 0
	for range 10 {
		require.Equal(t, 100_000, receive(t, got, "event"))
		n++
	}
	require.NoError(t, c.Close())
	require.Equal(t, 10, n)
	require.Empty(t, got)
}

func TestDelayHoldsEveryMessage(t *testing.T) {
	b := start(t)
	c := dial(t, b.Path())
	b.Delay(time.Hour)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.Equal(t, ubus.StatusTimeout, ubus.StatusOf(c.Ping(ctx)))
	b.Delay(0)
	require.NoError(t, b.Drop(c.ID()))
	receive(t, c.Done(), "end")
	b.Delay(time.Millisecond)
	began := time.Now()
	require.NoError(t, dial(t, b.Path()).Ping(bounded(t)))
	require.GreaterOrEqual(t, time.Since(began), time.Millisecond)
}

func TestHaltAndRestart(t *testing.T) {
	b := start(t)
	s := publish(t, b.Path(), golden("golden"))
	b.Halt()
	receive(t, s.Done(), "end")
	_, err := ubus.Dial(bounded(t), b.Path())
	require.Error(t, err)
	require.Empty(t, b.String())
	require.NoError(t, b.Restart())
	list, err := dial(t, b.Path()).List(bounded(t), "")
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, b.Drop(0))
}

// TestALongListComesInPieces: a listing that does not fit the socket goes on
// when its reader has caught up, and none of it is lost.
func TestALongListComesInPieces(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		s := dial(t, socket)
		args := make([]ubus.Arg, 400)
		for i := range args {
			args[i] = ubus.Arg{Name: strings.Repeat("a", 20) + string(rune('a'+i%26)), Type: ubus.String}
		}
		const objects = 150 // 150 × 400 × 36 bytes: more than socket and queue hold
		for i := range objects {
			o := golden("demo." + strings.Repeat("x", i+1))
			o.Methods[1].Args = args
			require.NoError(t, s.AddObject(bounded(t), o))
		}
		list, err := dial(t, socket).List(bounded(t), "")
		require.NoError(t, err)
		require.Len(t, list, objects)
		require.Len(t, list[0].Methods[1].Args, len(args))
	})
}
