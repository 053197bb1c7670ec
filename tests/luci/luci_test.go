package luci_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// need skips the test where something is not installed. Continuous integration
// has all of it.
func need(t *testing.T, what string, there bool) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s", what)
	default:
		t.Skipf("needs %s", what)
	}
}

// run runs a program in this folder and shows what it printed if it fails.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	_, err := exec.LookPath("node")
	need(t, "node: the Debian package nodejs", err == nil)
	_, err = os.Stat("node_modules/eslint")
	need(t, "the npm packages of tests/luci: make packages-npm", err == nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s:\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

// inputs reads what the Node programs read, so that the go command knows when a
// result of it is stale.
func inputs(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"../../luci-app-remsim", "../../rpcd", "../contract", "node"} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		}))
	}
}

// The pure modules and the static checks; a run that tested nothing is none.
func TestNode(t *testing.T) {
	inputs(t)
	out := run(t, "node", "--test", "--test-reporter=tap", "node/")
	require.Regexp(t, `(?m)^# fail 0$`, out)
	require.Regexp(t, `(?m)^# pass [1-9]\d+$`, out)
}

// LuCI's own eslint rules.
func TestLint(t *testing.T) {
	inputs(t)
	run(t, "./lint.sh")
}

// Every page in a browser, on the program that `make demo` starts. Where
// REMSIM_LUCI names a LuCI checkout, the same pages run on LuCI's own resources as
// well.
func TestBrowser(t *testing.T) {
	_, err := os.Stat("/usr/bin/chromium")
	need(t, "chromium: the Debian package of that name", err == nil)
	_, err = os.Stat("node_modules/playwright-core")
	need(t, "the npm packages of tests/luci: make packages-npm", err == nil)
	t.Setenv("REMSIM_BUILD", rig.Programs(t, rig.Plain))
	luci := os.Getenv("REMSIM_LUCI")
	t.Setenv("REMSIM_LUCI", "")
	t.Run("the demo's host", browse)
	if luci != "" {
		t.Setenv("REMSIM_LUCI", luci)
		t.Run("LuCI's own resources", browse)
	}
}

func browse(t *testing.T) {
	out := run(t, "node", "--test", "--test-concurrency=1", "--test-reporter=tap", "browser/")
	require.Regexp(t, `(?m)^# fail 0$`, out)
	require.Regexp(t, `(?m)^# pass [1-9]\d+$`, out)
	for line := range strings.Lines(out) {
		if figure, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok && strings.Contains(figure, " ms") {
			t.Log(strings.TrimSpace(figure))
		}
	}
}
