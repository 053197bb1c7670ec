package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// supportEvents is how much of the journal goes into a support archive: all of it.
const supportEvents = 500

// Support packs what somebody who helps needs to see, and nothing that is secret:
// the configuration without secrets and comments, state, journal and diagnosis as
// every reply shows them, and facts of the system. Identities that are known are
// hidden once more, wherever they may stand.
func (a *App) Support(ctx context.Context) ([]byte, error) {
	now := time.Now()
	files := []supportFile{
		{"about.txt", a.about(now)},
		{"config.txt", a.redactedConfig()},
		{"config-check.json", printed(a.conf.Report())},
	}
	snapshot := a.engine.Snapshot()
	checks, verdict := health.Diagnose(snapshot, "")
	files = append(files,
		supportFile{"status.json", printed(snapshot)},
		supportFile{"diagnose.json", printed(map[string]any{"checks": checks, "verdict": verdict})})
	events, err := a.engine.Events(ctx, 0, supportEvents, "")
	if err != nil {
		return nil, err
	}
	files = append(files, supportFile{"events.json", printed(events)})
	found, err := a.Discover(ctx)
	if err != nil {
		return nil, err
	}
	files = append(files, supportFile{"discover.json", printed(found)})
	stored, err := a.Credentials()
	if err != nil {
		return nil, err
	}
	files = append(files, supportFile{"credentials.json", printed(stored)})
	hide, err := a.identitiesToHide(ctx)
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].data = hide(files[i].data)
	}
	return archive(files, now), nil
}

// printed is v as JSON for people. What cannot be encoded says so in its place.
func printed(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []byte(err.Error())
	}
	return append(b, '\n')
}

func (a *App) redactedConfig() []byte {
	text, err := config.ReadText(a.opts.ConfigDir)
	if err != nil {
		return []byte("# not read: " + err.Error() + "\n")
	}
	return []byte(config.Redacted(config.FileName, text))
}

// identitiesToHide returns a function that masks every number of a modem or card
// that is known.
func (a *App) identitiesToHide(ctx context.Context) (func([]byte) []byte, error) {
	known, err := a.engine.Identities(ctx)
	if err != nil {
		return nil, err
	}
	var pairs [][2][]byte
	for _, m := range known {
		for _, id := range []string{m.IMEI, m.ICCID, m.IMSI, m.EID} {
			if len(id) >= 8 {
				pairs = append(pairs, [2][]byte{[]byte(id), []byte(model.Masked(id))})
			}
		}
	}
	return func(b []byte) []byte {
		for _, p := range pairs {
			b = bytes.ReplaceAll(b, p[0], p[1])
		}
		return b
	}, nil
}

// about are the facts of the system: versions, board, kernel, memory.
func (a *App) about(now time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "remsim %s, %s %s/%s\nmade %s\n", a.opts.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, now.UTC().Format(time.RFC3339))
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		fmt.Fprintf(&b, "kernel %s %s %s\n", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		unit := uint64(max(s.Unit, 1))
		fmt.Fprintf(&b, "uptime %d s, load %.2f, memory %d of %d KiB free\n", s.Uptime, float64(s.Loads[0])/(1<<16), uint64(s.Freeram)*unit>>10, uint64(s.Totalram)*unit>>10)
	}
	for _, f := range []string{filepath.Join(orDefault(a.opts.Sysinfo, "/tmp/sysinfo"), "board_name"), filepath.Join(orDefault(a.opts.Sysinfo, "/tmp/sysinfo"), "model"), "/etc/openwrt_release", "/proc/modules"} {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // not on every system
		}
		fmt.Fprintf(&b, "\n# %s\n%s\n", f, bytes.TrimSpace(text))
	}
	return []byte(b.String())
}
