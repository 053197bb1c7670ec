package at

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Times of a Conn; zero values of Options mean these.
const (
	writeLimit   = 3 * time.Second        // a port that takes no bytes for this long is hung
	syncWait     = 5 * time.Second        // per attempt to get back into step
	syncTries    = 4                      // then the port is hung
	defaultQuiet = 200 * time.Millisecond // silence that ends a late answer
	retryMin     = 250 * time.Millisecond
	retryMax     = 10 * time.Second
)

// Options make a Conn.
type Options struct {
	// Open opens the port; it is called again after the port went away.
	Open func() (Port, error)
	// Unsolicited receives every unsolicited line, in order, from Run's
	// goroutine; it must not block nor call Do. Nil: they are dropped.
	Unsolicited func(line string)
	// Changed is told when the port opened (nil) and why it is not open; each
	// reason once.
	Changed func(err error)
	// Quiet, SyncWait, RetryMin: for tests that have no time.
	Quiet, SyncWait, RetryMin time.Duration
}

// Conn is one AT port with its command queue. Make it with New, run it with
// Run.
type Conn struct {
	opt   Options
	queue chan *request
	done  chan struct{} // closed when Run has ended
}

// request is one command on its way through the queue.
type request struct {
	ctx   context.Context // the caller's: giving up early is part of the command
	cmd   Command
	reply chan<- result // buffered
}

type result struct {
	lines []string
	err   error
}

// New makes a Conn.
func New(opt Options) *Conn {
	opt.Quiet = orDefault(opt.Quiet, defaultQuiet)
	opt.SyncWait = orDefault(opt.SyncWait, syncWait)
	opt.RetryMin = orDefault(opt.RetryMin, retryMin)
	return &Conn{opt: opt, queue: make(chan *request), done: make(chan struct{})}
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Do queues a command and waits for its answer. Commands are sent in the order
// in which they were queued, one at a time. The command's timeout runs from
// the moment it is sent; ctx bounds the whole.
func (c *Conn) Do(ctx context.Context, cmd Command) ([]string, error) {
	if err := cmd.valid(); err != nil {
		return nil, err
	}
	reply := make(chan result, 1)
	select {
	case c.queue <- &request{ctx: ctx, cmd: cmd, reply: reply}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: wait for the port: %w", cmd.name(), ctx.Err())
	case <-c.done:
		return nil, fmt.Errorf("%s: %w", cmd.name(), ErrClosed)
	}
	r := <-reply
	if r.err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.name(), r.err)
	}
	return r.lines, nil
}

// Run owns the port until ctx ends. It opens it again, with growing pauses,
// for as long as it takes; while it is not open every command fails at once.
// It can be called once.
func (c *Conn) Run(ctx context.Context) error {
	defer close(c.done)
	pause, last := c.opt.RetryMin, ""
	for {
		up, err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if up {
			pause = c.opt.RetryMin
		}
		if c.opt.Changed != nil && (up || err.Error() != last) {
			c.opt.Changed(err)
		}
		last = err.Error()
		if !c.idle(ctx, pause, err) {
			return nil
		}
		pause = min(2*pause, retryMax)
	}
}

// once opens the port and serves it until it goes away. up tells whether it
// ever answered.
func (c *Conn) once(ctx context.Context) (up bool, err error) {
	port, err := c.opt.Open()
	if err != nil {
		return false, err
	}
	s := newSession(c, port)
	defer s.close()
	if err := s.setup(ctx); err != nil {
		return false, err
	}
	if c.opt.Changed != nil {
		c.opt.Changed(nil)
	}
	return true, s.serve(ctx)
}

// idle refuses commands for a while.
func (c *Conn) idle(ctx context.Context, d time.Duration, why error) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case r := <-c.queue:
			r.reply <- result{err: fmt.Errorf("%w: %w", ErrNoPort, why)}
		}
	}
}

func (c *Conn) unsolicited(line string) {
	if c.opt.Unsolicited != nil {
		c.opt.Unsolicited(line)
	}
}

// gaveUp tells a caller's own end from the modem's.
func gaveUp(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
