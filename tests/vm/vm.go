// Package vm boots a virtual machine with Debian's kernel and runs static test
// binaries in it, for tests that need a kernel of their own: gpio-sim is built
// from Debian's kernel source package. It owns the kernel files (in a cache),
// the initramfs and the emulator process. It installs nothing and leaves
// nothing behind but the cache. Emulation is plain (TCG), so it works where
// /dev/kvm is missing or does not work.
package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrMissing: a tool that Debian offers is not installed.
var ErrMissing = errors.New("not installed (tests/vm/packages.txt lists the Debian packages)")

// tools are the programs called, besides dpkg and apt that every Debian has.
var tools = []string{"qemu-system-x86_64", "gcc-12", "make", "xz", "ld", "dpkg-deb", "apt-get", "apt-cache"}

// CheckTools tells whether everything is installed.
func CheckTools() error {
	for _, t := range tools {
		if _, err := exec.LookPath(t); err != nil {
			return fmt.Errorf("%s: %w", t, ErrMissing)
		}
	}
	return nil
}

// CacheDir is where built kernels are kept: below XDG_CACHE_HOME, else in the
// project's build directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "remsim-vm"), nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "build", ".cache", "vm"), nil
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// Job is one program to run in the machine.
type Job struct {
	Name string // base name in the machine, no blanks
	Path string // static binary on this side
	Args []string
	Data map[string]string // further files: path below /data -> file on this side
}

// Result is how one job ended.
type Result struct {
	Name    string
	Exit    int
	Seconds float64
	Output  string
}

// Run is a whole life of the machine.
type Run struct {
	Boot    time.Duration // from starting the emulator to the first line of init
	Total   time.Duration
	Results []Result
	Console string
}

// bootLimit is how long the machine may take to reach userspace; 3 to 6 s are
// usual, a loaded machine with one slow core is given ten times that.
const bootLimit = 90 * time.Second

var resultLine = regexp.MustCompile(`(?m)^VM-RESULT (\S+) rc=(-?\d+) seconds=([0-9.]+)\r?$`)

// Boot runs the jobs in a machine. A machine that never reaches userspace is
// an accident of the emulator and is tried once more; everything else counts.
func Boot(ctx context.Context, k Kernel, jobs []Job) (Run, error) {
	dir, err := os.MkdirTemp("", "remsim-vm-")
	if err != nil {
		return Run{}, fmt.Errorf("make a directory for the machine: %w", err)
	}
	defer os.RemoveAll(dir)
	initrd, err := buildInitramfs(ctx, dir, k, jobs)
	if err != nil {
		return Run{}, err
	}
	run, err := boot(ctx, k, initrd)
	if errors.Is(err, errNoUserspace) && ctx.Err() == nil {
		run, err = boot(ctx, k, initrd)
	}
	if err != nil {
		return run, err
	}
	run.Results = results(run.Console)
	if len(run.Results) != len(jobs) || !strings.Contains(run.Console, "VM-DONE") {
		return run, fmt.Errorf("%d of %d jobs came back: the machine died, see the console", len(run.Results), len(jobs))
	}
	return run, nil
}

// results cuts the console into the jobs' outputs.
func results(console string) []Result {
	var out []Result
	for _, m := range resultLine.FindAllStringSubmatchIndex(console, -1) {
		r := Result{Name: console[m[2]:m[3]]}
		r.Exit, _ = strconv.Atoi(console[m[4]:m[5]])
		r.Seconds, _ = strconv.ParseFloat(console[m[6]:m[7]], 64)
		start := strings.LastIndex(console[:m[0]], "VM-START "+r.Name)
		if start >= 0 {
			r.Output = console[start:m[0]]
		}
		out = append(out, r)
	}
	return out
}
