package ubus

import (
	"context"
	"errors"
	"sync"
)

// ErrAnswered: the call has its answer already, or nobody waits for one any
// more because its caller reused the call's number.
var ErrAnswered = errors.New("call is answered already")

// stopping is what callers are told whose call the end of the service overtook.
const stopping = "service is stopping"

// callKey tells incoming calls apart: two callers may use the same number.
type callKey struct {
	peer uint32
	seq  uint16
}

// Request is one incoming call. Its answering methods may be called from any
// goroutine; exactly one of Reply, ReplyRaw, Done and Fail ends it.
type Request struct {
	Method string
	Args   Table  // without the session argument that uhttpd adds
	User   string // the caller's user and group names, vouched for by ubusd
	Group  string
	Object *Object
	// Session is the session argument that uhttpd adds, "" where there is none.
	// It proves nothing by itself: anybody on the bus can send one.
	Session string

	conn    *Conn
	key     callKey
	id      uint32 // object
	noReply bool

	mu       sync.Mutex
	over     bool
	deferred bool
}

// run parses the arguments and calls the handler.
func (r *Request) run(ctx context.Context, m *Method, data []byte) {
	if ctx.Err() != nil { // it waited in the queue until the end
		r.Fail(StatusConnectionFailed, stopping)
		return
	}
	args, err := ParseTable(data)
	if err != nil {
		r.Fail(StatusInvalidArgument, err.Error()) // an error here means the caller is gone
		return
	}
	r.Args = args.without(sessionArg)
	if v, ok := args.Get(sessionArg); ok {
		r.Session, _ = v.(string)
	}
	m.Handler(ctx, r)
	r.mu.Lock()
	open := !r.over && !r.deferred
	r.mu.Unlock()
	switch {
	case !open:
	case ctx.Err() != nil:
		r.Fail(StatusConnectionFailed, stopping)
	default:
		r.Fail(StatusNoData, "")
	}
}

// Defer says that the answer comes after the handler has returned.
func (r *Request) Defer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deferred = true
}

// Part sends v as one DATA message and leaves the call open for more.
func (r *Request) Part(v any) error {
	return r.send(false, func(b []byte) ([]byte, error) { return r.data(b, v) })
}

// Reply answers with v and ends the call. What cannot be encoded or is too
// large is an error and leaves the call open.
func (r *Request) Reply(v any) error {
	return r.send(true, func(b []byte) ([]byte, error) {
		b, err := r.data(b, v)
		if err != nil {
			return nil, err
		}
		return r.status(b, StatusOK), nil
	})
}

// ReplyRaw answers with what Marshal has made and ends the call.
func (r *Request) ReplyRaw(content []byte) error { return r.Reply(Raw(content)) }

// Done ends the call with StatusOK and no data (or no more, after Part).
func (r *Request) Done() error {
	return r.send(true, func(b []byte) ([]byte, error) { return r.status(b, StatusOK), nil })
}

// Fail ends the call with a status. A message that is not empty goes out before
// it as {"message": …}.
func (r *Request) Fail(status Status, message string) error {
	return r.send(true, func(b []byte) ([]byte, error) {
		if message != "" {
			var err error
			if b, err = r.data(b, Table{{"message", message}}); err != nil {
				return nil, err
			}
		}
		return r.status(b, status), nil
	})
}

// data and status append the two messages of an answer, with the attributes in
// libubus' order.
func (r *Request) data(b []byte, v any) ([]byte, error) {
	return Begin(b, MsgData, r.key.seq, r.key.peer).Uint32(AttrObjID, r.id).Content(AttrData, v).End()
}

func (r *Request) status(b []byte, s Status) []byte {
	return Begin(b, MsgStatus, r.key.seq, r.key.peer).Uint32(AttrStatus, uint32(s)).Uint32(AttrObjID, r.id).Frame()
}

// send writes what build makes if the call is open, and ends it if last.
func (r *Request) send(last bool, build func([]byte) ([]byte, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return ErrAnswered
	}
	if !r.noReply {
		frame, err := build(nil)
		if err != nil {
			return err
		}
		r.conn.unacked.Store(true)
		// Closing the connection frees who waits here; the caller has no
		// context of ours.
		if err := r.conn.out.put(context.Background(), frame); err != nil {
			r.over = true
			r.conn.in.end(r)
			return err
		}
	}
	if last {
		r.over = true
		r.conn.in.end(r)
	}
	return nil
}

// void ends a call whose number its caller uses for another one.
func (r *Request) void() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// inbox holds the incoming calls without an answer and runs their handlers, at
// most workers at a time.
type inbox struct {
	workers, limit int
	wg             sync.WaitGroup

	mu      sync.Mutex
	open    map[callKey]*Request
	queue   []func()
	running int
	closing bool
	idle    chan struct{} // closed when closing and nothing is open
}

func newInbox(workers, limit int) *inbox {
	return &inbox{workers: workers, limit: limit, open: map[callKey]*Request{}, idle: make(chan struct{})}
}

// submit takes a call in, or says with which status to refuse it.
func (in *inbox) submit(r *Request, run func()) Status {
	in.mu.Lock()
	defer in.mu.Unlock()
	old := in.open[r.key]
	switch {
	case in.closing:
		return StatusConnectionFailed
	case old == nil && len(in.open) >= in.limit, len(in.queue) >= in.limit:
		return StatusNoMemory
	}
	if old != nil {
		// Its caller has given it up: an answer would now be taken for this
		// call's. The reader must not wait for a reply being written.
		in.wg.Go(old.void)
	}
	in.open[r.key] = r
	if in.running < in.workers {
		in.running++
		in.wg.Go(func() { in.work(run) })
	} else {
		in.queue = append(in.queue, run)
	}
	return StatusOK
}

// work runs one call and then what waits; there are no idle workers.
func (in *inbox) work(run func()) {
	for run != nil {
		run()
		run = in.next()
	}
}

func (in *inbox) next() (run func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue) == 0 {
		in.running--
		in.queue = nil
		return nil
	}
	run, in.queue = in.queue[0], in.queue[1:]
	return run
}

// end forgets an answered call.
func (in *inbox) end(r *Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.open[r.key] == r {
		delete(in.open, r.key)
	}
	in.settle()
}

func (in *inbox) settle() {
	if in.closing && len(in.open) == 0 {
		select {
		case <-in.idle:
		default:
			close(in.idle)
		}
	}
}

// close refuses further calls; the channel closes when none is open.
func (in *inbox) close() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closing = true
	in.settle()
	return in.idle
}

func (in *inbox) unanswered() []*Request {
	in.mu.Lock()
	defer in.mu.Unlock()
	list := make([]*Request, 0, len(in.open))
	for _, r := range in.open {
		list = append(list, r)
	}
	return list
}

// wait returns when all handlers have.
func (in *inbox) wait() { in.wg.Wait() }
