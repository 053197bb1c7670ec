package rig

import (
	"encoding/json"

	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Daemon is `remsim daemon` with folders of its own, over all its lives.
type Daemon struct {
	*Process
	Dir  string // the folders config, state and run
	Bus  *Bus
	tb   testing.TB
	prog string
	net  string
}

// DaemonOptions tell how a daemon is made.
type DaemonOptions struct {
	Bus   *Bus
	UCI   string // its configuration
	Build Build
	Net   string // as in Options
}

// StartDaemon writes the configuration and starts a daemon. It is ready when the
// command line gets an answer: see Until.
func StartDaemon(tb testing.TB, o DaemonOptions) *Daemon {
	tb.Helper()
	d := &Daemon{Dir: Dir(tb), Bus: o.Bus, tb: tb, prog: filepath.Join(Programs(tb, o.Build), "remsim"), net: o.Net}
	d.Write(o.UCI)
	d.Start()
	return d
}

// Start starts it again after it ended.
func (d *Daemon) Start() {
	d.tb.Helper()
	d.Process = Start(d.tb, Options{Net: d.net}, d.prog, "daemon", "--config", d.config(), "--state", filepath.Join(d.Dir, "state"),
		"--run", filepath.Join(d.Dir, "run"), "--ubus", d.Bus.Socket)
}

// Stop asks it to end, as procd does, and returns exit status and time.
func (d *Daemon) Stop() (code int, took time.Duration) {
	d.tb.Helper()
	begin := time.Now()
	d.Signal(syscall.SIGTERM)
	code = d.Wait()
	return code, time.Since(begin)
}

// Cleanup runs `remsim cleanup` where the daemon runs, and returns what it prints.
func (d *Daemon) Cleanup() string {
	d.tb.Helper()
	p := Start(d.tb, Options{Net: d.net}, d.prog, "cleanup", "--config", d.config(), "--state", filepath.Join(d.Dir, "state"), "--run", filepath.Join(d.Dir, "run"))
	if code := p.Wait(); code != 0 {
		d.tb.Fatalf("remsim cleanup ended with status %d:\n%s%s", code, p.Stdout, p.Stderr)
	}
	return p.Stdout.String()
}

func (d *Daemon) config() string { return filepath.Join(d.Dir, "config") }

// Write replaces its UCI file. Nobody tells it.
func (d *Daemon) Write(uci string) {
	d.tb.Helper()
	err := os.MkdirAll(d.config(), 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.config(), "remsim"), []byte(uci), 0o644)
	}
	if err != nil {
		d.tb.Fatal(err)
	}
}

// Result is what a command left behind.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Remsim runs the command line as it is given.
func Remsim(tb testing.TB, args ...string) Result {
	tb.Helper()
	return run(tb, filepath.Join(Programs(tb, Checked), "remsim"), args...)
}

func run(tb testing.TB, program string, args ...string) Result {
	tb.Helper()
	p := Start(tb, Options{}, program, args...)
	code := p.Wait()
	return Result{Code: code, Stdout: p.Stdout.String(), Stderr: p.Stderr.String()}
}

// Run runs a program that is not ours.
func Run(tb testing.TB, program string, args ...string) Result {
	tb.Helper()
	return run(tb, program, args...)
}

// CLI runs one command of the command line against this daemon.
func (d *Daemon) CLI(args ...string) Result {
	d.tb.Helper()
	return run(d.tb, d.prog, d.args(args)...)
}

// Begin starts a command that goes on by itself.
func (d *Daemon) Begin(o Options, args ...string) *Process {
	d.tb.Helper()
	return Start(d.tb, o, d.prog, d.args(args)...)
}

func (d *Daemon) args(args []string) []string { return append(args, "--ubus", d.Bus.Socket) }

// OK runs one command, which must succeed and complain of nothing.
func (d *Daemon) OK(args ...string) string {
	d.tb.Helper()
	r := d.CLI(args...)
	if r.Code != 0 || r.Stderr != "" {
		d.tb.Fatalf("remsim %s: status %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Until waits until the state is as wanted and returns it. It watches with
// `remsim status --watch --json`, which starts anew while there is no daemon to ask.
func (d *Daemon) Until(what string, so func(*Status) bool) *Status {
	d.tb.Helper()
	deadline := time.Now().Add(Bound)
	last := "nothing was heard of it"
	for time.Now().Before(deadline) {
		s, seen := d.watch(so)
		if s != nil {
			return s
		}
		if seen != "" {
			last = seen
		}
	}
	d.tb.Fatalf("not so within %s: %s; last state: %s; the daemon's log:\n%s", Bound, what, last, d.Stderr)
	return nil
}

// watch follows the state until it is as wanted, the command ends, or Bound.
func (d *Daemon) watch(so func(*Status) bool) (_ *Status, last string) {
	d.tb.Helper()
	p := d.Begin(Options{}, "status", "--watch", "--json")
	found, text, ok := follow(p, so)
	p.End()
	if ok {
		return found, ""
	}
	if found != nil {
		last = string(found.State) + ": " + found.Reason
	} else if last = strings.TrimSpace(p.Stderr.String()); last == "" {
		last = text
	}
	return nil, last
}

// Statuses follows what `remsim status --watch --json` prints until the state is as
// wanted; nil if it is not so within Bound, or before the command ends.
func Statuses(p *Process, so func(*Status) bool) *Status {
	s, _, ok := follow(p, so)
	if !ok {
		return nil
	}
	return s
}

// follow returns the newest state, and whether it is the wanted one.
func follow(p *Process, so func(*Status) bool) (found *Status, text string, ok bool) {
	text, ok = p.Stdout.Until(func(text string) bool {
		dec := json.NewDecoder(strings.NewReader(text))
		for {
			s := new(Status)
			if err := dec.Decode(s); err != nil {
				return false // half of one, so far
			}
			if found = s; so(s) {
				return true
			}
		}
	})
	return found, text, ok
}
