package ubus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// echo answers with what it got.
func echo(path string) *ubus.Object {
	return &ubus.Object{Path: path, Methods: []ubus.Method{{
		Name: "echo", Args: []ubus.Arg{{Name: "n", Type: ubus.Int64}},
		Handler: func(_ context.Context, r *ubus.Request) { r.Reply(r.Args) },
	}}}
}

func TestReadyMeansThatEverythingIsRegistered(t *testing.T) {
	b := startBroker(t)
	c := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0})
	require.NoError(t, c.AddObject(echo("before")))
	require.ErrorContains(t, c.AddObject(echo("before")), "added before")
	require.Error(t, c.AddObject(&ubus.Object{Path: "x", Methods: []ubus.Method{{Name: "m"}}}), "no handler")
	require.False(t, c.Connected())
	_, err := c.Call(bounded(t), "before", "echo", nil)
	require.ErrorIs(t, err, ubus.ErrNotConnected)
	states := make(chan bool, 8)
	c.OnState(func(up bool, _ error) { states <- up })
	stop := run(t, c)
	receive(t, c.Ready(), "ready")
	require.True(t, c.Connected())
	require.NoError(t, c.AddObject(echo("after")))
	list, err := connect(t, b, ubus.Options{}).List(bounded(t), "")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.NoError(t, c.RemoveObject(echoOf(t, c, "after")))
	require.True(t, receive(t, states, "state"))
	stop()
	require.False(t, receive(t, states, "state"))
	require.False(t, c.Connected())
}

// echoOf adds a third object, so that there is one to remove.
func echoOf(t *testing.T, c *ubus.Client, path string) *ubus.Object {
	t.Helper()
	o := echo(path + "wards")
	require.NoError(t, c.AddObject(o))
	return o
}

func TestANameThatExistsIsToldAndTriedAgain(t *testing.T) {
	b := startBroker(t)
	first := connect(t, b, ubus.Options{})
	require.NoError(t, first.AddObject(bounded(t), echo("demo")))
	c := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0})
	require.NoError(t, c.AddObject(echo("demo")))
	faults := make(chan error, 1)
	c.OnState(func(up bool, err error) {
		select {
		case faults <- err:
		default:
		}
	})
	run(t, c)
	require.ErrorContains(t, receive(t, faults, "refusal"), "add object demo: the name exists")
	require.NoError(t, first.Close())
	receive(t, c.Ready(), "ready once the name is free")

	second := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0})
	run(t, second)
	receive(t, second.Ready(), "ready")
	require.ErrorContains(t, second.AddObject(echo("demo")), "the name exists", "told at once when connected")
}

// TestTenRestartsUnderCalls holds that everything registered comes back and
// that every call gets exactly one result, which is its own.
func TestTenRestartsUnderCalls(t *testing.T) {
	b := startBroker(t)
	server := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0})
	o := echo("demo")
	require.NoError(t, server.AddObject(o))
	run(t, server)
	client := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0, CallTimeout: patience})
	events, notes := make(chan string, 4096), make(chan string, 4096)
	var gone atomic.Int32
	_, err := client.Listen("demo.*", func(event string, _ ubus.Table) { events <- event })
	require.NoError(t, err)
	_, err = client.Subscribe("demo", func(typ string, _ ubus.Table) { notes <- typ }, func() { gone.Add(1) })
	require.NoError(t, err)
	run(t, client)
	receive(t, server.Ready(), "server")
	receive(t, client.Ready(), "client")

	ctx, cancel := context.WithCancel(context.Background())
	var good, bad atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := int64(0); ctx.Err() == nil; n++ {
				got, err := client.Call(ctx, "demo", "echo", map[string]int64{"n": n})
				if err != nil {
					bad.Add(1)
					continue
				}
				back, err := got.Int("n", -1)
				require.NoError(t, err)
				require.Equal(t, n, back)
				good.Add(1)
			}
		})
	}
	for i := range 10 {
		before := good.Load()
		eventually(t, "calls work", func() bool { return good.Load() > before+20 })
		require.NoError(t, b.Restart())
		eventually(t, "the subscription is back", o.HasSubscribers)
		word := fmt.Sprint("demo.", i)
		eventually(t, "the listener is back", func() bool {
			if server.Send(bounded(t), word, nil) != nil || o.Notify(bounded(t), word, nil) != nil {
				return false
			}
			return has(events, word) && has(notes, word)
		})
	}
	cancel()
	wg.Wait()
	require.NotZero(t, bad.Load())
	require.GreaterOrEqual(t, gone.Load(), int32(10))
}

// has takes what is in ch and tells whether want was among it.
func has(ch chan string, want string) bool {
	timeout := time.After(100 * time.Millisecond)
	for {
		select {
		case got := <-ch:
			if got == want {
				return true
			}
		case <-timeout:
			return false
		}
	}
}

func TestASubscriptionWaitsForItsObject(t *testing.T) {
	b := startBroker(t)
	c := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0})
	got, gone := make(chan string, 8), make(chan struct{}, 8)
	stop, err := c.Subscribe("demo", func(typ string, _ ubus.Table) { got <- typ }, func() { gone <- struct{}{} })
	require.NoError(t, err)
	run(t, c)
	receive(t, c.Ready(), "ready without the object")
	for range 3 {
		o := echo("demo")
		s := connect(t, b, ubus.Options{})
		require.NoError(t, s.AddObject(bounded(t), echo("demonstration")), "another object changes nothing")
		require.NoError(t, s.AddObject(bounded(t), o))
		eventually(t, "subscribed", o.HasSubscribers)
		require.NoError(t, o.Notify(bounded(t), "change", nil))
		require.Equal(t, "change", receive(t, got, "notification"))
		require.NoError(t, s.Close())
		receive(t, gone, "gone")
	}
	o := echo("demo")
	s := connect(t, b, ubus.Options{})
	require.NoError(t, s.AddObject(bounded(t), o))
	eventually(t, "subscribed", o.HasSubscribers)
	require.NoError(t, stop())
	eventually(t, "not subscribed", func() bool { return !o.HasSubscribers() })
}

func TestListeningEnds(t *testing.T) {
	b := startBroker(t)
	c := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0})
	run(t, c)
	receive(t, c.Ready(), "ready")
	got := make(chan string, 8)
	stop, err := c.Listen("demo", func(event string, data ubus.Table) { got <- event + data.String() })
	require.NoError(t, err)
	s := connect(t, b, ubus.Options{})
	require.NoError(t, s.Send(bounded(t), "demo", map[string]string{"k": "v"}))
	require.Equal(t, `demo{"k":"v"}`, receive(t, got, "event"))
	require.NoError(t, stop())
	require.NoError(t, s.Send(bounded(t), "demo", nil))
	require.NoError(t, c.Current().Ping(bounded(t)))
	require.Empty(t, got)
}

func TestConnectingFailsWithAReason(t *testing.T) {
	dir, err := os.MkdirTemp("", "ubus")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	_, err = ubus.Dial(bounded(t), path)
	require.ErrorIs(t, err, os.ErrNotExist)

	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer ln.Close()
	greetings := make(chan []byte, 1)
	go func() {
		for greeting := range greetings {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.Write(greeting)
			if len(greeting) != 1 { // one byte: say nothing more, but stay
				nc.Close()
			} else {
				t.Cleanup(func() { nc.Close() })
			}
		}
	}()
	defer close(greetings)
	greetings <- nil
	_, err = ubus.Dial(bounded(t), path)
	require.ErrorIs(t, err, ubus.ErrNotConnected)
	require.ErrorContains(t, err, "is our user known?")
	greetings <- ubus.Begin(nil, ubus.MsgPing, 0, 0).Frame()
	_, err = ubus.Dial(bounded(t), path)
	require.ErrorIs(t, err, ubus.ErrMalformed)
	greetings <- []byte{0}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = ubus.Dial(ctx, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// impostor is a broker that greets and then does what the test says.
func impostor(t *testing.T) (ubus.Options, *ubus.Conn, net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ubus")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "sock"))
	require.NoError(t, err)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			nc.Write(ubus.Begin(nil, ubus.MsgHello, 0, 4711).Frame())
			accepted <- nc
		}
	}()
	opt := ubus.Options{WriteTimeout: 100 * time.Millisecond, CloseGrace: 10 * time.Millisecond}
	c, err := ubus.DialWith(bounded(t), ln.Addr().String(), opt)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	nc := receive(t, accepted, "connection")
	t.Cleanup(func() { nc.Close() })
	return opt, c, nc
}

func TestMalformedFramesDropTheConnectionOnly(t *testing.T) {
	tooLong := ubus.Begin(nil, ubus.MsgStatus, 1, 0).Frame()
	binary.BigEndian.PutUint32(tooLong[8:], ubus.MaxMessage+8192)
	for name, bytes := range map[string][]byte{
		"root attribute too short": {0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3},
		"root attribute too long":  tooLong,
	} {
		t.Run(name, func(t *testing.T) {
			_, c, nc := impostor(t)
			failed := make(chan error, 1)
			go func() { failed <- c.Ping(bounded(t)) }()
			_, err := nc.Write(bytes)
			require.NoError(t, err)
			err = receive(t, failed, "the pending call")
			require.ErrorIs(t, err, ubus.ErrNotConnected)
			require.ErrorIs(t, c.Err(), ubus.ErrMalformed)
			receive(t, c.Done(), "end")
		})
	}
	t.Run("end inside a message", func(t *testing.T) {
		_, c, nc := impostor(t)
		nc.Write([]byte{0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100, 1})
		nc.Close()
		receive(t, c.Done(), "end")
		require.ErrorContains(t, c.Err(), "unexpected EOF")
	})
	t.Run("what is unknown is skipped", func(t *testing.T) {
		_, c, nc := impostor(t)
		other := ubus.Begin(nil, ubus.MsgStatus, 1, 0).Uint32(ubus.AttrStatus, 5).Frame()
		other[0] = 9 // another version
		nc.Write(other)
		nc.Write(ubus.Begin(nil, 99, 1, 0).Frame())
		nc.Write(ubus.Begin(nil, ubus.MsgStatus, 77, 0).Uint32(ubus.AttrStatus, 5).Frame())
		nc.Write(ubus.Begin(nil, ubus.MsgInvoke, 1, 1).Text(40, "unknown attribute").Frame())
		nc.Write(ubus.Begin(nil, ubus.MsgUnsubscribe, 1, 1).Uint32(ubus.AttrObjID, 9).Frame())
		nc.Write(ubus.Begin(nil, ubus.MsgNotify, 1, 1).Uint32(ubus.AttrObjID, 9).Frame())
		failed := make(chan error, 1)
		go func() { failed <- c.Ping(bounded(t)) }()
		_, err := io.ReadFull(nc, make([]byte, 12))
		require.NoError(t, err)
		nc.Write(ubus.Begin(nil, ubus.MsgStatus, 1, 0).Text(41, "?").Uint32(ubus.AttrStatus, 0).Frame())
		require.NoError(t, receive(t, failed, "answer"))
	})
}

func TestABrokerThatDoesNotReadHoldsNobodyLong(t *testing.T) {
	_, c, _ := impostor(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := c.List(ctx, "")
	require.Equal(t, ubus.StatusTimeout, ubus.StatusOf(err))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	// Fill the socket and the queue: memory stays bounded, and the write
	// deadline ends the connection.
	big := make(ubus.Raw, 512<<10)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			err := c.Send(bounded(t), "demo", big)
			require.True(t, errors.Is(err, ubus.ErrNotConnected), "%v", err)
		})
	}
	most := 0
	eventually(t, "the connection is dropped", func() bool {
		most = max(most, c.Queued())
		return c.Err() != nil
	})
	wg.Wait()
	require.LessOrEqual(t, most, 2<<20)
	require.ErrorIs(t, c.Err(), os.ErrDeadlineExceeded)
}

// TestStoppingDoesNotWaitForAStalledBroker: everything that waits for ubusd is
// let go, though its own timeout is far away.
func TestStoppingDoesNotWaitForAStalledBroker(t *testing.T) {
	b := startBroker(t)
	c := ubus.NewClient(b.Path(), ubus.Options{Backoff: at0, CallTimeout: time.Hour})
	_, err := c.Subscribe("demo", func(string, ubus.Table) {}, nil)
	require.NoError(t, err)
	require.NoError(t, c.AddObject(echo("mine")))
	stop := run(t, c)
	receive(t, c.Ready(), "ready")
	conn := c.Current()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(context.Background(), "mine", "echo", nil)
		require.NoError(t, b.Stall(conn.ID()))
		failed <- err
		_, err = c.Call(context.Background(), "mine", "echo", nil)
		failed <- err
	}()
	require.NoError(t, receive(t, failed, "call before"))
	s := connect(t, b, ubus.Options{})
	require.NoError(t, s.AddObject(bounded(t), echo("demo"))) // its news cannot be heard
	ended := make(chan struct{})
	go func() {
		stop()
		close(ended)
	}()
	receive(t, ended, "end of the client")
	require.Error(t, receive(t, failed, "call in the air"))
}

func TestALostConnectionHasNoSubscribers(t *testing.T) {
	b := startBroker(t)
	o := echo("demo")
	s := connect(t, b, ubus.Options{})
	require.NoError(t, s.AddObject(bounded(t), o))
	c := connect(t, b, ubus.Options{})
	require.NoError(t, c.Subscribe(bounded(t), "demo", func(string, ubus.Table) {}, nil))
	eventually(t, "subscribed", o.HasSubscribers)
	b.Halt()
	receive(t, s.Done(), "end")
	require.False(t, o.HasSubscribers())
	require.NoError(t, o.Notify(bounded(t), "change", map[string]shy{"x": {}}))
}
