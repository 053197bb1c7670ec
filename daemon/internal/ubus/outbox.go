package ubus

import (
	"context"
	"sync"
)

// outbox holds frames that wait to be written, at most limit bytes of them
// (one frame may exceed it alone). Who puts more waits.
type outbox struct {
	limit int
	wake  chan struct{} // there are frames

	mu     sync.Mutex
	frames [][]byte
	size   int // bytes here and in the writer's hands
	room   chan struct{}
	waited bool // somebody waits for room
	closed error
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, wake: make(chan struct{}, 1), room: make(chan struct{})}
}

// put queues a frame and waits for room if there is none.
func (o *outbox) put(ctx context.Context, frame []byte) error {
	for {
		room, err := o.tryPut(frame)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryPut queues a frame, or returns a channel that closes when there may be room.
func (o *outbox) tryPut(frame []byte) (room <-chan struct{}, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed != nil {
		return nil, o.closed
	}
	if o.size > 0 && o.size+len(frame) > o.limit {
		o.waited = true
		return o.room, nil
	}
	o.frames = append(o.frames, frame)
	o.size += len(frame)
	select {
	case o.wake <- struct{}{}:
	default: // the writer knows
	}
	return nil, nil
}

// take hands all frames to the writer, which reports them written with done.
func (o *outbox) take(buf [][]byte) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf = append(buf, o.frames...)
	clear(o.frames)
	o.frames = o.frames[:0]
	return buf
}

// done makes room for what was written.
func (o *outbox) done(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= n
	o.free()
}

// free wakes who waits for room; mu is held.
func (o *outbox) free() {
	if o.waited {
		close(o.room)
		o.room, o.waited = make(chan struct{}), false
	}
}

// close refuses everything from now on and frees who waits.
func (o *outbox) close(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed == nil {
		o.closed = err
		o.frames, o.size = nil, 0
		o.free()
	}
}
