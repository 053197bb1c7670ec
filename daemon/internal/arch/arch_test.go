// Package arch holds no code: its test is the import table of the house
// (docs/ARCHITECTURE.md). A new package is entered here before it can exist.
package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/terminills/remsim-openwrt/daemon/"

// may lists, for each package below daemon/, the only packages of this module
// that it may import. "cmd/*" are the programs. Fakes may import the package
// they stand beside.
var may = map[string]string{
	"internal/model":     "",
	"internal/cell":      "",
	"internal/supervise": "",
	"internal/arch":      "",
	"internal/ubus":      "",
	"internal/rspro":     "",
	"internal/peertls":   "internal/model",
	"internal/luciweb":   "internal/ubus internal/config", // config: reading and writing UCI text; only remsim-demo links it

	// Pure: no clock, no I/O, no goroutine.
	"internal/inventory":  "internal/model",
	"internal/lease":      "internal/model",
	"internal/failover":   "internal/model",
	"internal/cardswitch": "internal/model",
	"internal/budget":     "internal/model",
	"internal/health":     "internal/model",
	"internal/journal":    "internal/model",
	"internal/fronts":     "internal/model",
	"internal/history":    "internal/model",

	"internal/config": "internal/model internal/card", // card: ATR checks
	"internal/engine": "internal/model internal/cell internal/inventory internal/failover internal/cardswitch internal/budget internal/health internal/journal internal/history internal/fronts",
	"internal/api":    "internal/engine internal/health internal/history internal/journal internal/model internal/ubus",

	// Drivers: never each other.
	"internal/rspro/client":   "internal/rspro internal/card internal/model internal/cell internal/peertls",
	"internal/ionmesh":        "internal/model internal/cell internal/lease internal/peertls",
	"internal/card":           "",
	"internal/card/vpcd":      "internal/card internal/model internal/cell",
	"internal/card/cardem":    "internal/card internal/model internal/cell",
	"internal/card/uimremote": "internal/card internal/model internal/cell",
	"internal/mm":             "internal/model internal/cell",
	"internal/at":             "internal/model internal/cell",
	"internal/gpio":           "internal/model internal/cell",
	"internal/netifd":         "internal/model internal/cell internal/ubus",
	"internal/hotplug":        "",
	"internal/path":           "internal/model",
	"internal/probe":          "internal/model internal/cell",
	"internal/route":          "internal/model internal/cell",
	"internal/meter":          "internal/model internal/cell",

	// The session between a front and a bank, and what it keeps of the card.
	"internal/relay":      "internal/model internal/card internal/card/cache",
	"internal/card/cache": "internal/card", // pure

	// Fakes.
	"internal/ubus/ubusfake":                "internal/ubus internal/model",
	"internal/rspro/rsprofake":              "internal/rspro internal/model",
	"internal/card/cardfake":                "internal/card internal/model",
	"internal/card/vpcd/vpcdfake":           "internal/card/vpcd internal/card internal/model",
	"internal/card/cardem/cardemfake":       "internal/card/cardem internal/card internal/model",
	"internal/card/uimremote/uimremotefake": "internal/card/uimremote internal/card internal/model",
	"internal/mm/mmfake":                    "internal/mm internal/model",
	"internal/mm/mmrig":                     "internal/mm internal/model", // runs the real ModemManager in tests
	"internal/at/atfake":                    "internal/at internal/model",
	"internal/gpio/gpiofake":                "internal/gpio internal/model",
	"internal/ionmesh/ionmeshfake":          "internal/ionmesh internal/model",
	"internal/netifd/netifdfake":            "internal/netifd internal/model internal/ubus",
	"internal/route/routefake":              "internal/route internal/model",
	"internal/meter/meterfake":              "internal/meter internal/model",
	"internal/probe/probefake":              "internal/probe internal/model",

	"internal/app": "internal/supervise internal/api internal/engine internal/config internal/relay internal/cell internal/model internal/ubus " +
		"internal/journal internal/health internal/budget internal/meter internal/rspro internal/rspro/client internal/card internal/card/vpcd internal/card/cardem internal/card/uimremote internal/card/cache internal/mm internal/at internal/gpio internal/netifd internal/ionmesh internal/inventory internal/path internal/route internal/failover internal/hotplug " +
		"internal/probe",
	"cmd/remsim": "internal/app internal/config internal/model internal/ubus internal/card internal/health",
	"cmd/remsim-demo": "internal/app internal/config internal/model internal/ubus internal/card internal/ubus/ubusfake " +
		"internal/rspro internal/rspro/rsprofake internal/ionmesh/ionmeshfake internal/card/cardfake internal/card/vpcd internal/card/vpcd/vpcdfake internal/mm/mmfake internal/at internal/at/atfake internal/gpio/gpiofake internal/netifd/netifdfake internal/route internal/route/routefake internal/meter/meterfake internal/luciweb " +
		"internal/probe",
}

// banned are packages that no program for the router may contain, and why.
var banned = map[string]string{
	"github.com/prometheus/client_golang/prometheus": "3 MB; our metrics are text",
	"text/template":                       "disables dead code elimination",
	"html/template":                       "disables dead code elimination",
	"github.com/stretchr/testify/require": "tests only",
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = "../../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else {
			require.NoError(t, err)
		}
		pkgs = append(pkgs, p)
	}
}

// touchSources opens every source file, so that the test cache knows what the
// result depends on: `go list` reads them in another process.
func touchSources(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			_, err = os.ReadFile(path)
		}
		return err
	}))
}

func TestImportTable(t *testing.T) {
	touchSources(t)
	seen := 0
	for _, p := range list(t, "./daemon/...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, ok := may[name]
		if !ok {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			rel, ours := strings.CutPrefix(imp, module)
			if ours && !slices.Contains(strings.Fields(allowed), rel) {
				t.Errorf("%s imports %s; the table allows it only: %q", name, rel, allowed)
			}
		}
	}
	require.NotZero(t, seen)
}

func TestRouterProgramHoldsNothingBanned(t *testing.T) {
	touchSources(t)
	for _, p := range list(t, "./daemon/cmd/remsim") {
		for _, dep := range p.Deps {
			if why, bad := banned[dep]; bad {
				t.Errorf("remsim contains %s: %s", dep, why)
			}
			if strings.HasSuffix(dep, "fake") && strings.HasPrefix(dep, module) {
				t.Errorf("remsim contains the fake %s", dep)
			}
		}
	}
}
