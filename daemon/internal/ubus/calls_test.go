package ubus_test

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

func TestAThousandCallsAtOnce(t *testing.T) {
	b := startBroker(t)
	s := connect(t, b, ubus.Options{MaxPending: 1000})
	require.NoError(t, s.AddObject(bounded(t), echo("demo")))
	c := connect(t, b, ubus.Options{})
	c.SetSequence(65000) // so that it wraps
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			got, err := c.Call(bounded(t), "demo", "echo", map[string]int{"n": i})
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf(`{"n":%d}`, i), got.String())
		})
	}
	wg.Wait()
	require.Zero(t, c.Dropped())
}

func TestALateAnswerIsDroppedAndItsNumberNotReused(t *testing.T) {
	b := startBroker(t)
	held := make(chan *ubus.Request, 4)
	serve(t, b, ubus.Options{}, func(_ context.Context, r *ubus.Request) {
		if r.Args.Has("hold") {
			r.Defer()
			held <- r
			return
		}
		r.Reply(map[string]string{"answer": "prompt"})
	})
	c := connect(t, b, ubus.Options{})
	_, err := c.Lookup(bounded(t), "demo")
	require.NoError(t, err)
	_, err = c.Call(bounded(t), "demo", "do", nil)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	c.SetSequence(999)
	_, err = c.Call(ctx, "demo", "do", map[string]bool{"hold": true}) // has number 1000
	require.Equal(t, ubus.StatusTimeout, ubus.StatusOf(err))
	c.SetSequence(999) // as if 65536 calls had passed
	got, err := c.Call(bounded(t), "demo", "do", nil)
	require.NoError(t, err)
	require.Equal(t, `{"answer":"prompt"}`, got.String())
	require.NoError(t, receive(t, held, "held call").Reply(map[string]string{"answer": "late"}))
	eventually(t, "the late answer is dropped", func() bool { return c.Dropped() == 2 }) // data and status
	c.SetSequence(999)
	got, err = c.Call(bounded(t), "demo", "do", nil) // the number is free again
	require.NoError(t, err)
	require.Equal(t, `{"answer":"prompt"}`, got.String())
}

func TestCancellingACallReturnsAtOnce(t *testing.T) {
	b := startBroker(t)
	started := make(chan struct{})
	serve(t, b, ubus.Options{CloseGrace: time.Millisecond}, func(_ context.Context, r *ubus.Request) {
		r.Defer()
		close(started)
	})
	c := connect(t, b, ubus.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, "demo", "do", nil)
		failed <- err
	}()
	receive(t, started, "call")
	cancel()
	require.ErrorIs(t, receive(t, failed, "error"), context.Canceled)
}

func TestAnObjectThatCameBackIsFoundAgain(t *testing.T) {
	b := startBroker(t)
	c := connect(t, b, ubus.Options{})
	for i := range 3 {
		s := serve(t, b, ubus.Options{}, func(_ context.Context, r *ubus.Request) {
			r.Reply(map[string]int{"life": i})
		})
		got, err := c.Call(bounded(t), "demo", "do", nil)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf(`{"life":%d}`, i), got.String())
		require.NoError(t, s.Close())
	}
	_, err := c.Call(bounded(t), "demo", "do", nil)
	require.ErrorIs(t, err, &ubus.StatusError{Status: ubus.StatusNotFound})
	require.ErrorContains(t, err, "call demo do: ")

	// Not found, said by the callee, is its own word and asks nothing again.
	var calls atomic.Int32
	serve(t, b, ubus.Options{}, func(_ context.Context, r *ubus.Request) {
		calls.Add(1)
		r.Fail(ubus.StatusNotFound, "no such modem")
	})
	for range 2 {
		_, err = c.Call(bounded(t), "demo", "do", nil)
		require.ErrorContains(t, err, "no such modem")
	}
	require.Equal(t, int32(2), calls.Load())
}

func TestASlowCallbackLosesTheOldestEvents(t *testing.T) {
	b := startBroker(t)
	c := connect(t, b, ubus.Options{MaxQueued: 4})
	gate := make(chan struct{})
	first := make(chan struct{}, 1)
	got := make(chan int64, 100)
	require.NoError(t, c.Listen(bounded(t), "demo", func(_ string, data ubus.Table) {
		select {
		case first <- struct{}{}:
		default:
		}
		<-gate
		n, _ := data.Int("n", -1)
		got <- n
	}))
	s := connect(t, b, ubus.Options{})
	require.NoError(t, s.Send(bounded(t), "demo", map[string]int{"n": 0}))
	receive(t, first, "first event")
	for n := 1; n < 20; n++ {
		require.NoError(t, s.Send(bounded(t), "demo", map[string]int{"n": n}))
	}
	require.NoError(t, c.Ping(bounded(t)), "the reader is free") // and has queued them all
	require.Equal(t, uint64(15), c.Dropped())
	close(gate)
	for _, want := range []int64{0, 16, 17, 18, 19} {
		require.Equal(t, want, receive(t, got, "event"))
	}
}

func TestAStalledBrokerTimesCallsOut(t *testing.T) {
	b := startBroker(t)
	c := connect(t, b, ubus.Options{CallTimeout: 20 * time.Millisecond, CloseGrace: time.Millisecond})
	require.NoError(t, b.Stall(c.ID()))
	err := c.Ping(context.Background())
	require.Equal(t, ubus.StatusTimeout, ubus.StatusOf(err))
	require.NoError(t, b.Resume(c.ID()))
	require.NoError(t, c.Ping(bounded(t)))
	require.NoError(t, b.Drop(c.ID()))
	receive(t, c.Done(), "end of the connection")
	require.ErrorIs(t, c.Ping(bounded(t)), ubus.ErrNotConnected)
}
