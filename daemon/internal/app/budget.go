package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
)

// budgetFile keeps the accounts of the links: in the run directory, which costs
// no flash, and in the state directory, with at most one write in flushTime. What
// the links carry between that write and a power cut, an hour's bytes and those of
// one pause between readings, is not accounted for; a restart of the daemon loses
// nothing, for the counters go on without it.
const budgetFile = "budget"

// restoreBudget takes the newer one: the run directory's, which a reboot empties
// and which is written whenever the other is, else the state directory's.
func (a *App) restoreBudget(ctx context.Context) {
	for _, dir := range []string{a.opts.RunDir, a.opts.StateDir} {
		b, err := os.ReadFile(filepath.Join(dir, budgetFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = a.engine.RestoreBudget(b)
		}
		if err == nil {
			return
		}
		a.opts.Logger.WarnContext(ctx, "accounts of the links not restored", "dir", dir, "err", err)
	}
}

// keepBudget is called once in flushTime, and at the end.
func (a *App) keepBudget(ctx context.Context) {
	b, err := a.engine.KeepBudget(context.WithoutCancel(ctx))
	if err != nil {
		return // the engine has stopped already
	}
	for _, dir := range []string{a.opts.RunDir, a.opts.StateDir} {
		name := filepath.Join(dir, budgetFile)
		if dir == a.opts.StateDir && !a.worthWriting(name, b) {
			continue
		}
		if err := writeFile(name, b); err != nil {
			a.opts.Logger.WarnContext(ctx, "accounts of the links not kept", "dir", dir, "err", err)
		}
	}
}

// worthWriting tells that a file in flash says something else and was not written
// lately. A clock that stands before its last writing is not set: better wait.
func (a *App) worthWriting(name string, b []byte) bool {
	info, err := os.Stat(name)
	if err != nil {
		return !bytes.Equal(b, noAccounts())
	}
	// The ticker and the clock need not agree to the second.
	if time.Since(info.ModTime()) < cmp.Or(a.opts.FlushTime, flushTime)*9/10 {
		return false
	}
	old, err := os.ReadFile(name)
	return err != nil || !bytes.Equal(old, b)
}

// noAccounts is what a router without links has to keep: nothing.
func noAccounts() []byte { return []byte("null\n") }

// watchMeter starts the meter. It ends with everything that looks after modems,
// and leaves its table behind.
func (a *App) watchMeter() {
	if a.drivers.Meter == nil {
		return
	}
	m := meter.New(meter.Options{Kernel: a.drivers.Meter, Plan: a.engine.MeterPlan(), Events: a.engine.Tell})
	a.modems.Start(supervise.Task{Name: "meter", Run: m.Run})
}
