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
