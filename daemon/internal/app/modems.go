package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
)

// looked is a modem that is looked after, and by which settings.
type looked struct {
	match engine.Match
	specs map[model.LineUse]gpio.Spec
	front card.Front
	hands *hands
	task  *supervise.Handle
}

func (l *looked) same(o *looked) bool {
	return l.match == o.match && l.front == o.front && reflect.DeepEqual(l.specs, o.specs)
}

// lookAfter starts and stops what follows modems, so that it fits the settings.
func (a *App) lookAfter() {
	cfg := a.conf.inUse()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.settings
	wanted := make(map[string]*looked)
	if s.Valid && s.Enabled && cfg != nil {
		for _, m := range s.Modems {
			if m.Match.By == "" {
				continue
			}
			l := &looked{match: m.Match, specs: specsOf(cfg, m.Name)}
			if st := a.stacks[m.Name]; st != nil {
				l.front = st.front
			}
			wanted[m.Name] = l
		}
	}
	begun := make(map[string]int64) // actions, which no successor repeats
	for name, l := range a.looking {
		if w := wanted[name]; w == nil || !w.same(l) {
			l.task.Stop()
			begun[name] = l.hands.lastID
			delete(a.looking, name)
		}
	}
	a.watchPaths(s)
	a.watch(len(wanted) > 0, len(wanted) > 0 || s.Valid && s.Enabled && len(s.Links) > 0)
	for _, m := range s.Modems {
		w := wanted[m.Name]
		if w == nil || a.looking[m.Name] != nil {
			continue
		}
		h := a.newHands(m, w.specs, w.front)
		h.lastID, w.hands = begun[m.Name], h
		w.task = a.modems.Start(supervise.Task{Name: m.Name + " modem", Run: h.run})
		a.looking[m.Name] = w
	}
	a.neighbours.poke()
}

// watch begins to watch ModemManager from the first modem on, and netifd from the
// first modem or link. Call with the lock held.
func (a *App) watch(modems, networks bool) {
	if modems && !a.watching.modems {
		a.watching.modems = true
		a.modems.Start(supervise.Task{Name: "modemmanager", Run: a.mm.Run})
		a.modems.Start(supervise.Task{Name: "neighbours", Run: a.neighbours.run})
	}
	if networks && !a.watching.networks {
		a.watching.networks = true
		a.modems.Start(supervise.Task{Name: "netifd", Run: a.netifd.Run})
		a.watchMeter()
	}
}

// lockRun makes sure that one daemon at a time works with a run directory: two
// would switch cards and reset modems against each other.
func lockRun(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the run directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another remsim daemon works with %s; stop it first", dir)
	}
	return func() { _ = f.Close() }, nil
}

// historyFile keeps the history: over a restart in the run directory, which
// costs no flash, and over a reboot in the state directory, if the owner wants
// that, with at most one write in flushTime.
const (
	historyFile = "history"
	flushTime   = time.Hour
)

// restoreHistory takes the newer one: the run directory's, which a reboot
// empties, else the state directory's.
func (a *App) restoreHistory(ctx context.Context) {
	for _, dir := range []string{a.opts.RunDir, a.opts.StateDir} {
		b, err := os.ReadFile(filepath.Join(dir, historyFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = a.engine.RestoreHistory(b)
		}
		if err == nil {
			return
		}
		a.opts.Logger.WarnContext(ctx, "history not restored", "dir", dir, "err", err)
	}
}

// flushHistory is called once in flushTime.
func (a *App) flushHistory(ctx context.Context) {
	if cfg := a.conf.inUse(); cfg != nil && cfg.Main.HistoryKeep {
		a.keepHistory(ctx, a.opts.StateDir)
	}
}

func (a *App) keepHistory(ctx context.Context, dir string) {
	b, err := a.engine.KeepHistory(context.WithoutCancel(ctx))
	if err == nil {
		err = writeFile(filepath.Join(dir, historyFile), b)
	}
	if err != nil {
		a.opts.Logger.WarnContext(ctx, "history not kept", "err", err)
	}
}
