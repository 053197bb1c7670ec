package rig

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// raceReport is what the race detector's report begins with.
const raceReport = "WARNING: DATA RACE"

// raceOptions: by default the race detector waits a second at the end of a program.
const raceOptions = "GORACE=atexit_sleep_ms=0"

// Process is a program that runs beside the test.
type Process struct {
	tb     testing.TB
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended
	Stdout *Output
	Stderr *Output
}

// Options of a program that is started.
type Options struct {
	Stdin    io.Reader
	Terminal *os.File // instead of Process.Stdout and Stderr
	Env      []string // besides the test's own
	Net      string   // file of the network namespace to start it in; "": the test's own
}

// Start starts a program. It is killed when the test ends, and when the test
// program itself is killed. A data race that it reported fails the test.
func Start(tb testing.TB, o Options, program string, args ...string) *Process {
	tb.Helper()
	if o.Net != "" { // nsenter becomes the program: same process
		program, args = "nsenter", append([]string{"--net=" + o.Net, program}, args...)
	}
	p := &Process{tb: tb, done: make(chan struct{}), cmd: exec.Command(program, args...), Stdout: newOutput(), Stderr: newOutput()}
	p.cmd.Env = append(append(os.Environ(), "TZ=UTC", raceOptions), o.Env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = o.Stdin, p.Stdout, p.Stderr
	if o.Terminal != nil {
		p.cmd.Stdout, p.cmd.Stderr = o.Terminal, o.Terminal
	}
	p.cmd.WaitDelay = Bound
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig means the thread that started the child: this goroutine keeps
		// its thread until the child has ended.
		runtime.LockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // Code tells how it ended
		}
		p.Stdout.close()
		p.Stderr.close()
	}()
	if err := <-started; err != nil {
		tb.Fatalf("start %s: %v", program, err)
	}
	tb.Cleanup(func() {
		p.End()
		if log := p.Stderr.String(); strings.Contains(log, raceReport) {
			tb.Errorf("%s has a data race:\n%s", filepath.Base(program), log)
		}
	})
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Fatalf("signal %s: %v", p.cmd.Args, err)
	}
}

// End kills the program, as a crash would, if it has not ended.
func (p *Process) End() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Wait waits for the end of the program and returns its exit status.
func (p *Process) Wait() int {
	p.tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Bound):
		p.tb.Fatalf("%s has not ended within %s; it says:\n%s%s", p.cmd.Args, Bound, p.Stdout, p.Stderr)
		return -1
	}
}

// Output is what a program writes.
type Output struct {
	mu     sync.Mutex
	b      bytes.Buffer
	more   chan struct{} // closed at the next write, and at the end
	closed bool
}

func newOutput() *Output { return &Output{more: make(chan struct{})} }

func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.b.Write(b)
}

func (o *Output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	close(o.more)
}

// String is all of it so far.
func (o *Output) String() string {
	text, _, _ := o.state()
	return text
}

func (o *Output) state() (text string, closed bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.closed, o.more
}

// Until waits until accept likes all that was written so far, and returns that.
// It is not ok if the program or Bound ended before.
func (o *Output) Until(accept func(text string) bool) (text string, ok bool) {
	timer := time.NewTimer(Bound)
	defer timer.Stop()
	for {
		text, closed, more := o.state()
		if accept(text) {
			return text, true
		}
		if closed {
			return text, false
		}
		select {
		case <-more:
		case <-timer.C:
			return text, false
		}
	}
}

// Contains waits for words in the output, and ends the test without them.
func (o *Output) Contains(tb testing.TB, words string) {
	tb.Helper()
	if text, ok := o.Until(func(text string) bool { return strings.Contains(text, words) }); !ok {
		tb.Fatalf("%q has not been said; this has:\n%s", words, text)
	}
}
