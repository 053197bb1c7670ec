package ubus

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// play makes a connection whose other side is a recorded ubusd: it sends what
// the real one sent, and demands to the byte what the real program sent. The
// first end-of-recording ends it.
func play(t *testing.T, rec recording) *Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	require.NoError(t, theirs.SetDeadline(time.Now().Add(patience)))
	hello := rec.steps[0]
	require.False(t, hello.sent)
	require.Equal(t, MsgHello, MsgType(hello.raw[1]))
	id := uint32(hello.raw[4])<<24 | uint32(hello.raw[5])<<16 | uint32(hello.raw[6])<<8 | uint32(hello.raw[7])

	type fault struct{ got, want []byte }
	played := make(chan *fault, 1)
	go func() {
		defer close(played)
		r := bufio.NewReader(theirs)
		for _, s := range rec.steps[1:] {
			if !s.sent {
				if _, err := theirs.Write(s.raw); err != nil {
					played <- &fault{[]byte(err.Error()), s.raw}
					return
				}
				continue
			}
			got := make([]byte, len(s.raw))
			n, err := io.ReadFull(r, got)
			if err != nil || string(got) != string(s.raw) {
				played <- &fault{got[:n], s.raw}
				return
			}
		}
	}()
	c := start(ours, NewReader(ours, MaxMessage), id, Options{CallTimeout: patience}.withDefaults())
	t.Cleanup(func() {
		f := <-played
		theirs.Close()
		c.Close()
		if f != nil {
			require.Equal(t, f.want, f.got, "%s: %s", rec.file, rec.title)
		}
	})
	return c
}

// find returns a recording by file and a word of its title.
func find(t *testing.T, file, word string) recording {
	t.Helper()
	for _, rec := range recordings(t, file) {
		if strings.Contains(rec.title, word) {
			return rec
		}
	}
	require.FailNow(t, "no such recording", "%s %s", file, word)
	return recording{}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// allTypes is the argument of the call recorded in 04a.
func allTypes() Table {
	return Table{
		{"str", "héllo"}, {"empty", ""}, {"flag", true}, {"i8", int8(-5)}, {"i16", int16(-1234)},
		{"i32", int32(0x12345678)}, {"i32neg", int32(-2)}, {"i64", int64(0x1122334455667788)}, {"dbl", 3.25},
		{"arr", []any{int32(1), "two", Table{{"x", false}}}},
		{"tbl", Table{{"k", "v"}, {"emptyarr", []any{}}}},
		{"emptytbl", Table{}}, {"null", nil},
	}
}

func TestCallsAreByteForByteThoseOfTheRealProgram(t *testing.T) {
	for _, tt := range []struct {
		name, file, method string
		args               any
		want               string
		status             Status
	}{
		{name: "every type", file: "04a*", method: "echo", args: allTypes(), want: allTypes().String()},
		{name: "two answers", file: "04d*", method: "two", want: `{"part":0,"part":1}`},
		{name: "unknown method", file: "05a*", method: "nosuch", status: StatusMethodNotFound, want: `{}`},
		{name: "handler fails", file: "05b*", method: "fail", status: StatusInvalidArgument, want: `{}`},
		{name: "deferred", file: "07-*", method: "defer", want: `{"late":"reply"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := play(t, recordings(t, tt.file)[0])
			got, err := c.Call(within(t), "golden", tt.method, tt.args)
			require.Equal(t, tt.status, StatusOf(err), "%v", err)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestLookupsAreByteForByteThoseOfTheRealProgram(t *testing.T) {
	info, err := play(t, recordings(t, "02*")[0]).Lookup(within(t), "golden")
	require.NoError(t, err)
	require.Equal(t, uint32(0x17930b23), info.ID)
	require.Equal(t, uint32(0x171f401d), info.Type)
	require.Len(t, info.Methods, 7)
	require.Equal(t, MethodInfo{Name: "fail", Args: []Arg{{"code", Int32}}}, info.Methods[1])
	require.Equal(t, Arg{"flag", Bool}, info.Methods[0].Args[6])

	for i, pattern := range []string{"", "gol*", "*"} {
		list, err := play(t, recordings(t, "03*")[i]).List(within(t), pattern)
		require.NoError(t, err)
		require.NotEmpty(t, list)
		require.Equal(t, "golden", list[0].Path)
	}

	missing := recordings(t, "05c*")[0]
	c := play(t, recording{file: "05c", steps: missing.steps[:3]})
	_, err = c.Lookup(within(t), "no.such")
	require.ErrorIs(t, err, &StatusError{Status: StatusNotFound})
	// Between them the recorded program calls an id that it has made up.
	c = play(t, recording{file: "05c", steps: tail(missing, 5, 3)})
	_, err = c.List(within(t), "no.such*")
	require.ErrorIs(t, err, &StatusError{Status: StatusNotFound})
}

// tail is a recording's greeting and its steps from a place on, with the
// sequence numbers counted from 1 again.
func tail(rec recording, from, seq int) []step {
	out := rec.steps[:1:1]
	for _, s := range rec.steps[from:] {
		raw := slices.Clone(s.raw)
		raw[3] -= byte(seq - 1)
		out = append(out, step{s.sent, raw})
	}
	return out
}

// golden is the object of the recorded sessions.
func golden() *Object {
	nothing := func(_ context.Context, r *Request) { r.Done() }
	return &Object{Path: "golden", Methods: []Method{
		{Name: "echo", Args: []Arg{{"arr", Array}, {"tbl", TableType}, {"str", String}, {"i64", Int64},
			{"i32", Int32}, {"i16", Int16}, {"flag", Bool}, {"dbl", Double}},
			Handler: func(_ context.Context, r *Request) { r.Reply(r.Args) }},
		{Name: "fail", Args: []Arg{{"code", Int32}}, Handler: func(_ context.Context, r *Request) {
			code, _ := r.Args.Int("code", int64(StatusInvalidArgument))
			r.Fail(Status(code), "")
		}},
		{Name: "defer", Handler: func(_ context.Context, r *Request) {
			r.Defer()
			go r.Reply(map[string]string{"late": "reply"})
		}},
		{Name: "hang", Handler: func(_ context.Context, r *Request) { r.Defer() }},
		{Name: "two", Handler: func(_ context.Context, r *Request) {
			r.Part(struct {
				N int `json:"part"`
			}{0})
			r.Part(Table{{"part", int32(1)}})
			r.Done()
		}},
		{Name: "getfd", Handler: nothing},
		{Name: "putfd", Handler: nothing},
	}}
}

// TestAnswersAreByteForByteThoseOfTheRealProgram plays the whole life of the
// recorded server: registration, calls of every type, two answers, failures, a
// caller named nobody, a deferred answer.
func TestAnswersAreByteForByteThoseOfTheRealProgram(t *testing.T) {
	rec := recordings(t, "06a*")[0]
	for _, more := range []recording{
		recordings(t, "04b*")[0], recordings(t, "05e*")[0], find(t, "07-*", "server"),
	} {
		rec.steps = append(rec.steps, more.steps...)
	}
	rec.file = "06a, 04b, 05e, 07"
	c := play(t, rec)
	require.NoError(t, c.AddObject(within(t), golden()))
}

func TestNotificationsAreByteForByteThoseOfTheRealProgram(t *testing.T) {
	t.Run("publisher", func(t *testing.T) {
		c := play(t, find(t, "09-*", "publisher"))
		o := golden()
		require.NoError(t, c.AddObject(within(t), o))
		require.Eventually(t, o.HasSubscribers, patience, time.Millisecond)
		statuses, err := o.Ask(within(t), "changed", Table{{"n", int32(0)}})
		require.NoError(t, err)
		require.Equal(t, map[uint32]Status{0x44daebad: StatusOK}, statuses)
		require.NoError(t, o.Notify(within(t), "changed", struct {
			N int32 `json:"n"`
		}{1}))
		require.NoError(t, c.RemoveObject(within(t), o))
		require.False(t, o.HasSubscribers())
	})
	t.Run("subscriber", func(t *testing.T) {
		c := play(t, find(t, "09-*", "subscriber"))
		got := make(chan string, 2)
		gone := make(chan struct{})
		require.NoError(t, c.Subscribe(within(t), "golden", func(typ string, data Table) {
			got <- typ + data.String()
		}, func() { close(gone) }))
		require.Equal(t, `changed{"n":0}`, <-got)
		require.Equal(t, `changed{"n":1}`, <-got)
		<-gone
	})
	t.Run("nobody is subscribed", func(t *testing.T) {
		rec := find(t, "09b*", "publisher")
		// The last two are a notification that ours does not send, since
		// nobody would get it, and the removal.
		rec.steps = slices.DeleteFunc(rec.steps, func(s step) bool { return s.sent && s.raw[3] >= 3 || !s.sent && s.raw[3] == 4 })
		c := play(t, rec)
		o := golden()
		require.NoError(t, c.AddObject(within(t), o))
		statuses, err := o.Ask(within(t), "changed", Table{{"n", int32(0)}})
		require.NoError(t, err)
		require.Empty(t, statuses)
	})
}

func TestEventsAreByteForByteThoseOfTheRealProgram(t *testing.T) {
	c := play(t, find(t, "10-*", "listener"))
	require.NoError(t, c.Listen(within(t), "demo.*", func(string, Table) {}))
	c = play(t, find(t, "10-*", "sender"))
	require.NoError(t, c.Send(within(t), "demo.hello", map[string]int{"n": 1}))
}
