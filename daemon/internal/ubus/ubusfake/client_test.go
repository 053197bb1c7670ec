package ubusfake_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func soon(int) time.Duration { return time.Millisecond }

func startClient(t *testing.T, c *ubus.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	receive(t, c.Ready(), "ready")
}

// TestClientOutlivesItsBroker restarts the broker ten times under calls:
// objects, listeners and subscriptions come back, and no answer is another's.
func TestClientOutlivesItsBroker(t *testing.T) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			socket := socketPath(t)
			restart := b.start(t, socket)
			o := golden("golden")
			server := ubus.NewClient(socket, ubus.Options{Backoff: soon})
			require.NoError(t, server.AddObject(o))
			startClient(t, server)
			client := ubus.NewClient(socket, ubus.Options{Backoff: soon})
			var events, notes atomic.Int64
			_, err := client.Listen("demo.*", func(string, ubus.Table) { events.Add(1) })
			require.NoError(t, err)
			_, err = client.Subscribe("golden", func(string, ubus.Table) { notes.Add(1) }, nil)
			require.NoError(t, err)
			startClient(t, client)

			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			var good atomic.Int64
			for range 4 {
				wg.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						got, err := client.Call(ctx, "golden", "echo", map[string]int{"i32": n})
						if err == nil {
							require.Equal(t, fmt.Sprintf(`{"i32":%d}`, n), got.String())
							good.Add(1)
						}
					}
				})
			}
			for range 10 {
				restart()
				before, e, n := good.Load(), events.Load(), notes.Load()
				require.Eventually(t, func() bool {
					server.Send(ctx, "demo.event", nil)
					o.Notify(ctx, "demo", nil)
					return good.Load() > before && events.Load() > e && notes.Load() > n
				}, patience, 5*time.Millisecond)
			}
			cancel()
			wg.Wait()
		})
	}
}

// TestClosingAnswersFirst: what a program writes before it hangs up is what
// ubusd likes to lose.
func TestClosingAnswersFirst(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		for range 20 {
			const calls = 4
			in := make(chan struct{}, calls)
			server := publish(t, socket, &ubus.Object{Path: "demo", Methods: []ubus.Method{{
				Name: "wait", Handler: func(ctx context.Context, _ *ubus.Request) {
					in <- struct{}{}
					<-ctx.Done() // and return without an answer
				},
			}}})
			c := dial(t, socket)
			failed := make(chan error, calls)
			for range calls {
				go func() {
					_, err := c.Call(bounded(t), "demo", "wait", nil)
					failed <- err
				}()
			}
			for range calls {
				receive(t, in, "call")
			}
			require.NoError(t, server.Close())
			for range calls {
				require.ErrorContains(t, receive(t, failed, "answer"), "connection failed (ubus status 10): service is stopping")
			}
			_, err := c.Call(bounded(t), "demo", "wait", nil)
			require.Equal(t, ubus.StatusNotFound, ubus.StatusOf(err), "the name is free when Close returns")
		}
	})
}

func TestConcurrentCallsOnOneConnection(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		s, err := ubus.Dial(bounded(t), socket)
		require.NoError(t, err)
		t.Cleanup(func() { s.Close() })
		require.NoError(t, s.AddObject(bounded(t), golden("golden")))
		c := dial(t, socket)
		var wg sync.WaitGroup
		slots := make(chan struct{}, 200) // what the server may have open at once
		for i := range 1000 {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				got, err := c.Call(bounded(t), "golden", "echo", map[string]int64{"i64": int64(i)})
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf(`{"i64":%d}`, i), got.String())
			})
		}
		wg.Wait()
	})
}

func TestOneShotSubscriptionAndEvents(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		o := golden("golden")
		s := publish(t, socket, o)
		c := dial(t, socket)
		got := make(chan string, 8)
		gone := make(chan struct{})
		require.NoError(t, c.Subscribe(bounded(t), "golden",
			func(typ string, data ubus.Table) { got <- typ + data.String() }, func() { close(gone) }))
		require.NoError(t, c.Listen(bounded(t), "demo.*",
			func(event string, data ubus.Table) { got <- event + data.String() }))
		require.Eventually(t, o.HasSubscribers, patience, time.Millisecond)
		require.NoError(t, o.Notify(bounded(t), "change", map[string]int{"sequence": 1}))
		require.Equal(t, `change{"sequence":1}`, receive(t, got, "notification"))
		statuses, err := o.Ask(bounded(t), "question", nil)
		require.NoError(t, err)
		require.Len(t, statuses, 1)
		require.Equal(t, `question{}`, receive(t, got, "notification"))
		require.NoError(t, s.Send(bounded(t), "demo.hello", map[string]string{"who": "you"}))
		require.Equal(t, `demo.hello{"who":"you"}`, receive(t, got, "event"))
		err = s.Send(bounded(t), "ubus.fake", nil)
		require.Equal(t, ubus.StatusPermissionDenied, ubus.StatusOf(err))
		require.NoError(t, s.Close())
		receive(t, gone, "end of the object")
	})
}
