// Package rig starts the real programs for tests: `remsim-demo peers`, which is
// everything around the router, and `remsim daemon`, with folders, sockets and an
// ubus broker of their own; and it runs the command line against them. All it
// knows of the programs is what a user knows: their words, their files, their JSON.
// Everything that it starts has ended when the test ends.
package rig

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Bound is how long a test waits for anything: long, for loaded machines.
const Bound = 30 * time.Second

// Build tells which programs a test needs.
type Build int

// The two builds. With the race detector a program is larger, slower, and ends
// with a status of its own if it found a race.
const (
	Checked Build = iota // with the race detector where there is a C compiler
	Plain                // as on a router
)

// Programs returns the folder with the programs remsim and remsim-demo. They are
// taken from $REMSIM_BUILD, or $REMSIM_BUILD_RACE if that is set as well, and built
// where nothing is set.
func Programs(tb testing.TB, b Build) string {
	tb.Helper()
	if dir := os.Getenv("REMSIM_BUILD_RACE"); b == Checked && dir != "" {
		return dir
	}
	if dir := os.Getenv("REMSIM_BUILD"); dir != "" {
		return dir
	}
	dir, err := built[b]()
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// built builds once in a process.
var built = map[Build]func() (string, error){
	Checked: sync.OnceValues(func() (string, error) { return build(hasCgo(), "race") }),
	Plain:   sync.OnceValues(func() (string, error) { return build(false, "plain") }),
}

// build builds both programs into build/rig/NAME. Other test programs may be at it
// as well: one at a time.
func build(race bool, name string) (string, error) {
	dir := filepath.Join(Root(), "build", "rig", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	args := []string{"build", "-tags", "nethttpomithttp2"}
	env := append(os.Environ(), "CGO_ENABLED=0")
	if race {
		args, env = append(args, "-race"), append(os.Environ(), "CGO_ENABLED=1")
	}
	cmd := exec.Command("go", append(args, "-o", dir+string(filepath.Separator), "./daemon/cmd/...")...)
	cmd.Dir, cmd.Env = Root(), env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return dir, nil
}

// hasCgo tells whether a C program can be built, which the race detector needs.
func hasCgo() bool {
	cmd := exec.Command("go", "build", "-race", "-o", os.DevNull, "./tests/report")
	cmd.Dir, cmd.Env = Root(), append(os.Environ(), "CGO_ENABLED=1")
	return cmd.Run() == nil
}

// Root is the folder of the module.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("the test does not run inside the module")
		}
	}
})

// Dir makes a folder that is gone after the test, with a path short enough for
// sockets in it (108 bytes).
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Find looks for a program that is not ours and that neither Debian nor Go offer.
// Without it the test is skipped, in CI too.
func Find(tb testing.TB, program, from string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Skipf("needs %s of %s on the PATH", program, from)
	}
	return path
}
