package ubus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func TestAnswersOfHandlers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler func(context.Context, *ubus.Request)
		status  ubus.Status
		want    string // answer
		text    string // in the error
	}{
		{name: "reply", want: `{"n":1}`, handler: func(_ context.Context, r *ubus.Request) {
			r.Reply(struct {
				N int `json:"n"`
			}{1})
		}},
		{name: "reply with what was encoded before", want: `{"n":1}`, handler: func(_ context.Context, r *ubus.Request) {
			b, _ := ubus.Marshal(map[string]int{"n": 1})
			r.ReplyRaw(b)
		}},
		{name: "done without data", want: `{}`, handler: func(_ context.Context, r *ubus.Request) { r.Done() }},
		{name: "parts", want: `{"a":1,"b":2}`, handler: func(_ context.Context, r *ubus.Request) {
			r.Part(map[string]int{"a": 1})
			r.Part(map[string]int{"b": 2})
			r.Done()
		}},
		{name: "failure with a reason", status: ubus.StatusNotSupported, want: `{"message":"no such modem"}`,
			text:    "call demo do: not supported (ubus status 8): no such modem",
			handler: func(_ context.Context, r *ubus.Request) { r.Fail(ubus.StatusNotSupported, "no such modem") }},
		{name: "no answer is no data", status: ubus.StatusNoData, want: `{}`, text: "no data (ubus status 5)",
			handler: func(context.Context, *ubus.Request) {}},
		{name: "the first answer counts", want: `{"n":1}`, handler: func(_ context.Context, r *ubus.Request) {
			r.Reply(map[string]int{"n": 1})
			if err := r.Reply(map[string]int{"n": 2}); !errors.Is(err, ubus.ErrAnswered) {
				panic(fmt.Sprint("second reply: ", err))
			}
			if err := r.Fail(ubus.StatusNoData, ""); !errors.Is(err, ubus.ErrAnswered) {
				panic(fmt.Sprint("failure after reply: ", err))
			}
		}},
		{name: "what cannot be encoded leaves the call open", status: ubus.StatusSystemError, want: `{"message":"x"}`,
			text: "system error", handler: func(_ context.Context, r *ubus.Request) {
				if err := r.Reply(map[string]any{"c": make(chan int)}); !errors.Is(err, ubus.ErrUnsupported) {
					panic(fmt.Sprint("reply: ", err))
				}
				r.Fail(ubus.StatusSystemError, "x")
			}},
		{name: "what is too large leaves the call open", status: ubus.StatusNoMemory, want: `{}`,
			text: "out of memory", handler: func(_ context.Context, r *ubus.Request) {
				if err := r.Reply(map[string]string{"s": strings.Repeat("x", ubus.MaxMessage)}); !errors.Is(err, ubus.ErrTooLarge) {
					panic(fmt.Sprint("reply: ", err))
				}
				r.Fail(ubus.StatusNoMemory, "")
			}},
		{name: "deferred", want: `{"late":true}`, handler: func(_ context.Context, r *ubus.Request) {
			r.Defer()
			go r.Reply(map[string]bool{"late": true})
		}},
		{name: "arguments come without the session, names with", want: `{"args":{"a":1},"user":true}`,
			handler: func(_ context.Context, r *ubus.Request) {
				r.Reply(ubus.Table{{Name: "args", Value: r.Args}, {Name: "user", Value: r.User != "" && r.Group != ""}})
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startBroker(t)
			s := serve(t, b, ubus.Options{}, tt.handler)
			c := connect(t, b, ubus.Options{})
			args := ubus.Table{{Name: "ubus_rpc_session", Value: strings.Repeat("0", 32)}, {Name: "a", Value: int32(1)}}
			got, err := c.Call(bounded(t), "demo", "do", args)
			require.Equal(t, tt.status, ubus.StatusOf(err), "%v", err)
			require.Equal(t, tt.want, got.String())
			if tt.text != "" {
				require.ErrorContains(t, err, tt.text)
			}
			eventually(t, "nothing is open", func() bool { return s.Open() == 0 })
		})
	}
}

func TestCallsThatAreNoCallsAreRefusedAndTheConnectionLives(t *testing.T) {
	b := startBroker(t)
	s := serve(t, b, ubus.Options{}, func(_ context.Context, r *ubus.Request) { r.Done() })
	c := connect(t, b, ubus.Options{})
	info, err := c.Lookup(bounded(t), "demo")
	require.NoError(t, err)
	w := bare(t, b)
	call := func(seq uint16) *ubus.Builder {
		return ubus.Begin(nil, ubus.MsgInvoke, seq, info.ID).Uint32(ubus.AttrObjID, info.ID)
	}
	for _, tt := range []struct {
		name   string
		frame  []byte
		status ubus.Status
	}{
		{"no data", call(1).Text(ubus.AttrMethod, "do").Frame(), ubus.StatusInvalidArgument},
		{"unknown method", call(1).Text(ubus.AttrMethod, "nosuch").Frame(), ubus.StatusMethodNotFound},
		{"data is no blobmsg", call(1).Text(ubus.AttrMethod, "do").Nested(ubus.AttrData, []byte{0xff, 0xff, 0xff, 0xff}).Frame(),
			ubus.StatusInvalidArgument},
		{"integer of three bytes", call(1).Text(ubus.AttrMethod, "do").
			Nested(ubus.AttrData, []byte{0x85, 0, 0, 11, 0, 1, 'n', 0, 1, 2, 3, 0}).Frame(), ubus.StatusInvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.Write(tt.frame)
			require.NoError(t, err)
			for {
				m, err := w.Next()
				require.NoError(t, err)
				if a := ubus.ParseAttrs(m.Body); m.Type == ubus.MsgStatus {
					require.Equal(t, tt.status, a.Status)
					break
				}
			}
			_, err = c.Call(bounded(t), "demo", "do", nil)
			require.NoError(t, err)
			require.NoError(t, s.Err())
		})
	}
}

func TestHandlersRunInParallelAndNeverBlockTheReader(t *testing.T) {
	b := startBroker(t)
	const workers = 4
	var running, most atomic.Int32
	gate := make(chan struct{})
	var s *ubus.Conn
	s = serve(t, b, ubus.Options{Workers: workers}, func(ctx context.Context, r *ubus.Request) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-gate
		// A handler that asks somebody over the same connection needs the reader.
		if err := s.Ping(ctx); err != nil {
			r.Fail(ubus.StatusSystemError, err.Error())
			return
		}
		r.Done()
	})
	c := connect(t, b, ubus.Options{})
	var wg sync.WaitGroup
	for range 5 * workers {
		wg.Go(func() {
			_, err := c.Call(bounded(t), "demo", "do", nil)
			require.NoError(t, err)
		})
	}
	eventually(t, "all workers are busy", func() bool { return running.Load() == workers })
	eventually(t, "the others wait", func() bool { return s.Open() == 5*workers })
	require.NoError(t, s.Ping(bounded(t)), "the reader is free")
	close(gate)
	wg.Wait()
	require.Equal(t, int32(workers), most.Load())
}

func TestMoreCallsThanMayWaitAreRefused(t *testing.T) {
	b := startBroker(t)
	held := make(chan *ubus.Request, 8)
	s := serve(t, b, ubus.Options{Workers: 2, MaxPending: 3}, func(_ context.Context, r *ubus.Request) {
		r.Defer()
		held <- r
	})
	c := connect(t, b, ubus.Options{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			_, err := c.Call(bounded(t), "demo", "do", nil)
			require.NoError(t, err)
		})
	}
	eventually(t, "three are open", func() bool { return s.Open() == 3 })
	_, err := c.Call(bounded(t), "demo", "do", nil)
	require.Equal(t, ubus.StatusNoMemory, ubus.StatusOf(err))
	for range 3 {
		require.NoError(t, receive(t, held, "deferred call").Done())
	}
	wg.Wait()
	eventually(t, "nothing is open", func() bool { return s.Open() == 0 })
}

func TestACallThatReusesANumberVoidsTheOneBefore(t *testing.T) {
	b := startBroker(t)
	held := make(chan *ubus.Request, 2)
	serve(t, b, ubus.Options{}, func(_ context.Context, r *ubus.Request) {
		r.Defer()
		held <- r
	})
	id, _ := b.Owner("demo")
	require.NotZero(t, id)
	info, err := connect(t, b, ubus.Options{}).Lookup(bounded(t), "demo")
	require.NoError(t, err)
	w := bare(t, b)
	for range 2 {
		_, err := w.Write(ubus.Begin(nil, ubus.MsgInvoke, 5, info.ID).Uint32(ubus.AttrObjID, info.ID).
			Text(ubus.AttrMethod, "do").Nested(ubus.AttrData, nil).Frame())
		require.NoError(t, err)
	}
	one, two := receive(t, held, "first"), receive(t, held, "second")
	var stale *ubus.Request
	eventually(t, "one of them is void", func() bool {
		for _, r := range []*ubus.Request{one, two} {
			if r.Void() {
				stale = r
			}
		}
		return stale != nil
	})
	fresh := one
	if stale == one {
		fresh = two
	}
	require.ErrorIs(t, stale.Reply(map[string]string{"answer": "stale"}), ubus.ErrAnswered)
	require.NoError(t, fresh.Reply(map[string]string{"answer": "fresh"}))
	m, err := w.Next()
	require.NoError(t, err)
	a := ubus.ParseAttrs(m.Body)
	got, err := ubus.ParseTable(a.Data)
	require.NoError(t, err)
	require.Equal(t, `{"answer":"fresh"}`, got.String())
}

func TestCloseAnswersEverythingFirst(t *testing.T) {
	b := startBroker(t)
	started := make(chan struct{}, 8)
	s := serve(t, b, ubus.Options{Workers: 3, CloseGrace: 200 * time.Millisecond}, func(ctx context.Context, r *ubus.Request) {
		how, _ := r.Args.Text("how", "")
		started <- struct{}{}
		switch how {
		case "defer":
			r.Defer() // and never answer
		case "obey":
			<-ctx.Done()
			r.Reply(map[string]string{"how": how})
		default:
			<-ctx.Done() // return without an answer
		}
	})
	c := connect(t, b, ubus.Options{})
	results := make(chan string, 3)
	for _, how := range []string{"defer", "obey", "return"} {
		go func() {
			got, err := c.Call(bounded(t), "demo", "do", map[string]string{"how": how})
			results <- fmt.Sprint(how, " ", got, " ", ubus.StatusOf(err))
		}()
		receive(t, started, how)
	}
	require.NoError(t, s.Close())
	got := map[string]bool{}
	for range 3 {
		got[receive(t, results, "answer")] = true
	}
	require.Equal(t, map[string]bool{
		`defer {"message":"service is stopping"} connection failed`:  true,
		`obey {"how":"obey"} ok`:                                     true,
		`return {"message":"service is stopping"} connection failed`: true,
	}, got)
	_, err := c.Call(bounded(t), "demo", "do", nil)
	require.Equal(t, ubus.StatusNotFound, ubus.StatusOf(err))
	require.ErrorIs(t, s.Ping(bounded(t)), ubus.ErrClosed)
}

// shy panics when it is encoded.
type shy struct{}

func (shy) MarshalText() ([]byte, error) { panic("encoded for nobody") }

func TestNotifyingNobodyCostsNothing(t *testing.T) {
	b := startBroker(t)
	o := &ubus.Object{Path: "demo"}
	require.NoError(t, o.Notify(bounded(t), "change", map[string]shy{"x": {}}), "not registered")
	s := connect(t, b, ubus.Options{})
	require.NoError(t, s.AddObject(bounded(t), o))
	require.False(t, o.HasSubscribers())
	require.NoError(t, o.Notify(bounded(t), "change", map[string]shy{"x": {}}))

	c := connect(t, b, ubus.Options{})
	got := make(chan string, 1)
	gone := make(chan struct{})
	require.NoError(t, c.Subscribe(bounded(t), "demo", func(typ string, data ubus.Table) { got <- typ + data.String() },
		func() { close(gone) }))
	eventually(t, "subscribed", o.HasSubscribers)
	require.NoError(t, o.Notify(bounded(t), "change", map[string]int{"sequence": 7}))
	require.Equal(t, `change{"sequence":7}`, receive(t, got, "notification"))
	require.NoError(t, s.RemoveObject(bounded(t), o))
	receive(t, gone, "end of the object")
	require.False(t, o.HasSubscribers())
	require.ErrorIs(t, c.Subscribe(bounded(t), "demo", nil, nil), &ubus.StatusError{Status: ubus.StatusNotFound})
}
