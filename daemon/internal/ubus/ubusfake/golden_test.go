package ubusfake_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// golden is the object of the recorded sessions: the same methods, arguments
// and answers.
func golden(path string) *ubus.Object {
	deferred := make(chan *ubus.Request, 16)
	reply := func(v any) func(context.Context, *ubus.Request) {
		return func(_ context.Context, r *ubus.Request) { r.Reply(v) }
	}
	return &ubus.Object{Path: path, Methods: []ubus.Method{
		{Name: "echo", Args: []ubus.Arg{
			{Name: "arr", Type: ubus.Array}, {Name: "tbl", Type: ubus.TableType}, {Name: "str", Type: ubus.String},
			{Name: "i64", Type: ubus.Int64}, {Name: "i32", Type: ubus.Int32}, {Name: "i16", Type: ubus.Int16},
			{Name: "flag", Type: ubus.Bool}, {Name: "dbl", Type: ubus.Double},
		}, Handler: func(_ context.Context, r *ubus.Request) { r.Reply(r.Args) }},
		{Name: "fail", Args: []ubus.Arg{{Name: "code", Type: ubus.Int32}}, Handler: func(_ context.Context, r *ubus.Request) {
			code, err := r.Args.Int("code", int64(ubus.StatusInvalidArgument))
			if err != nil {
				r.Fail(ubus.StatusInvalidArgument, err.Error())
				return
			}
			r.Fail(ubus.Status(code), "")
		}},
		{Name: "defer", Handler: func(ctx context.Context, r *ubus.Request) {
			r.Defer()
			deferred <- r
			go func() { (<-deferred).Reply(ubus.Table{{Name: "late", Value: "reply"}}) }()
		}},
		{Name: "hang", Handler: func(_ context.Context, r *ubus.Request) { r.Defer() }},
		{Name: "two", Handler: func(_ context.Context, r *ubus.Request) {
			r.Part(ubus.Table{{Name: "part", Value: int32(0)}})
			r.Part(ubus.Table{{Name: "part", Value: int32(1)}})
			r.Done()
		}},
		{Name: "getfd", Handler: reply(nil)},
		{Name: "putfd", Handler: reply(nil)},
	}}
}

func publish(t testing.TB, socket string, o *ubus.Object) *ubus.Conn {
	t.Helper()
	c := dial(t, socket)
	require.NoError(t, c.AddObject(bounded(t), o))
	return c
}
