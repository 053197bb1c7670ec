package mmrig

import "runtime"

// thread is an OS thread of its own. Programs that shall die with this one
// (Pdeathsig) die with the thread that started them, and Go ends threads: that
// of another rig's namespace may well be one that has started our bus before.
type thread struct {
	todo chan func()
	done chan struct{}
}

func newThread() *thread {
	t := &thread{todo: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		// Never unlocked: the thread ends with the goroutine, and with it its
		// namespaces.
		runtime.LockOSThread()
		for f := range t.todo {
			f()
		}
	}()
	return t
}

// do runs f on the thread.
func (t *thread) do(f func() error) error {
	result := make(chan error, 1)
	t.todo <- func() { result <- f() }
	return <-result
}

func (t *thread) close() {
	close(t.todo)
	<-t.done
}
