package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limit bounds the whole test, the first download and build included.
const limit = 10 * time.Minute

// suites are the packages whose tests want a kernel of their own.
var suites = []struct{ name, pkg, run string }{
	{"gpio", "github.com/terminills/remsim-openwrt/daemon/internal/gpio", "OnKernel$"},
	{"at", "github.com/terminills/remsim-openwrt/daemon/internal/at", "OnKernel$"},
	{"cardem", "github.com/terminills/remsim-openwrt/daemon/internal/card/cardem", "OnKernel$"},
}

// TestSuitesInMachine compiles the suites, runs them in the machine and repeats
// their verdicts here, test by test.
func TestSuitesInMachine(t *testing.T) {
	mustRun(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	start := time.Now()
	cache, err := CacheDir()
	require.NoError(t, err)
	k, err := GetKernel(ctx, cache)
	require.NoError(t, err)
	got := time.Since(start)
	jobs := compile(ctx, t)
	built := time.Since(start) - got
	run, err := Boot(ctx, k, jobs)
	if err != nil {
		t.Fatalf("%v\n%s", err, run.Console)
	}
	t.Logf("kernel %s (built now: %v) %.1f s, test binaries %.1f s, boot %.1f s, machine %.1f s, all %.1f s", k.Release, k.Built,
		got.Seconds(), built.Seconds(), run.Boot.Seconds(), run.Total.Seconds(), time.Since(start).Seconds())
	for _, r := range run.Results {
		report(t, r)
	}
}

// mustRun skips unless VMTEST is set: a plain `go test ./...` boots no machine.
// VMTEST=require, and CI, make a missing tool a failure.
func mustRun(t *testing.T) {
	t.Helper()
	mode := os.Getenv("VMTEST")
	if mode == "" {
		t.Skip("boots a virtual machine: run make vm-test (VMTEST=1)")
	}
	if err := CheckTools(); err != nil {
		if mode == "require" || os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func compile(ctx context.Context, t *testing.T) []Job {
	t.Helper()
	dir := t.TempDir()
	var jobs []Job
	for _, s := range suites {
		bin := filepath.Join(dir, s.name)
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", bin, s.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		jobs = append(jobs, Job{Name: s.name, Path: bin, Args: []string{"-test.v", "-test.timeout=4m", "-test.run", s.run}})
	}
	return jobs
}

var verdict = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)

// report turns one binary's output into subtests. A suite that skipped
// anything, or ran nothing, did not prove what it is here for.
func report(t *testing.T, r Result) {
	t.Run(r.Name, func(t *testing.T) {
		ran := 0
		for _, m := range verdict.FindAllStringSubmatch(r.Output, -1) {
			ran++
			t.Run(m[2], func(t *testing.T) {
				if m[1] != "PASS" {
					t.Errorf("%s in the machine after %s s", m[1], m[3])
				}
			})
		}
		require.NotZero(t, ran, "no test ran:\n%s", r.Output)
		require.Zero(t, r.Exit, r.Output)
	})
}

func TestVerdictsAreRead(t *testing.T) {
	console := strings.ReplaceAll("VM-INIT\nVM-START a\n=== RUN   TestX\n    --- PASS: TestX/one (0.01s)\n--- PASS: TestX (0.02s)\nPASS\n\n"+
		"VM-RESULT a rc=0 seconds=1.25\nVM-START b\nboom\n\nVM-RESULT b rc=255 seconds=0.00\nVM-DONE\n", "\n", "\r\n")
	got := results(console)
	require.Len(t, got, 2)
	require.Equal(t, 0, got[0].Exit)
	require.Equal(t, 1.25, got[0].Seconds)
	require.Len(t, verdict.FindAllString(got[0].Output, -1), 2)
	require.Equal(t, 255, got[1].Exit)
	require.Contains(t, got[1].Output, "boom")
	require.NotContains(t, got[1].Output, "TestX")
}
