// Package supervise runs the daemon's long-lived tasks: it starts them, starts
// them again with growing delay when they fail, and stops them one after the
// other in the reverse order of their start. It knows nothing of what they do.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of the delay before a failed task is started again. A task that ran
// for steady is taken for healthy: its next failure starts at the first delay.
const (
	firstDelay = time.Second
	lastDelay  = 30 * time.Second
	steady     = time.Minute
)

// Task is one thing that runs until it is told to stop.
type Task struct {
	Name string
	// Run serves until ctx ends. Whatever it returns before that counts as a
	// failure, nil too: tasks have no natural end.
	Run func(ctx context.Context) error
}

// Failure tells of a task that ended by itself.
type Failure struct {
	Task string
	Err  error
	Next time.Duration // when it will be started again
}

// Group is a set of running tasks. Make it with New.
type Group struct {
	onFailure  func(Failure)
	onRecovery func(task string)

	mu    sync.Mutex
	tasks []*Handle
}

// Handle is one running task.
type Handle struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes an empty group. onFailure is called from the failed task's
// goroutine, onRecovery when a task that had failed has run for a minute; either
// may be nil.
func New(onFailure func(Failure), onRecovery func(task string)) *Group {
	if onFailure == nil {
		onFailure = func(Failure) {}
	}
	if onRecovery == nil {
		onRecovery = func(string) {}
	}
	return &Group{onFailure: onFailure, onRecovery: onRecovery}
}

// Start runs t until its handle or the group is stopped.
func (g *Group) Start(t Task) *Handle {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Handle{name: t.Name, cancel: cancel, done: make(chan struct{})}
	g.mu.Lock()
	g.tasks = append(g.tasks, h)
	g.mu.Unlock()
	go func() {
		defer close(h.done)
		g.keepRunning(ctx, t)
	}()
	return h
}

// Stop ends every task, the last started first, and returns when all have
// ended. Tasks started meanwhile are stopped too.
func (g *Group) Stop() {
	for {
		g.mu.Lock()
		if len(g.tasks) == 0 {
			g.mu.Unlock()
			return
		}
		h := g.tasks[len(g.tasks)-1]
		g.tasks = g.tasks[:len(g.tasks)-1]
		g.mu.Unlock()
		h.Stop()
	}
}

// Stop ends this task and returns when it has ended. It may be called twice.
func (h *Handle) Stop() {
	h.cancel()
	<-h.done
}

// Name returns the task's name.
func (h *Handle) Name() string { return h.name }

func (g *Group) keepRunning(ctx context.Context, t Task) {
	delay := firstDelay
	var recovered *time.Timer
	for {
		started := time.Now()
		err := guarded(ctx, t)
		if recovered != nil {
			recovered.Stop()
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended without being asked to")
		}
		if time.Since(started) >= steady {
			delay = firstDelay
		}
		wait := delay/2 + rand.N(delay/2)
		delay = min(2*delay, lastDelay)
		g.onFailure(Failure{Task: t.Name, Err: err, Next: wait})
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		recovered = time.AfterFunc(steady, func() { g.onRecovery(t.Name) })
	}
}

// guarded turns a panic of a task into a failure of that task: one broken
// driver must not take the card away from the modem.
func guarded(ctx context.Context, t Task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("task %s panicked: %v", t.Name, p)
		}
	}()
	return t.Run(ctx)
}
