package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// CheckConfig reads and checks the file remsim in a UCI directory, without any
// daemon. The error is about a file that cannot be read at all.
func CheckConfig(dir string) (model.ConfigReport, error) {
	cfg, problems, err := config.Load(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return model.ConfigReport{}, err
	}
	return report(dir, cfg, problems), nil
}

func report(dir string, cfg *config.Config, problems []model.Problem) model.ConfigReport {
	r := model.ConfigReport{
		Path: filepath.Join(dir, config.FileName), OK: config.OK(problems),
		Errors: []model.Problem{}, Warnings: []model.Problem{}, Costs: []model.Cost{},
	}
	for _, p := range problems {
		if p.Warning {
			r.Warnings = append(r.Warnings, p)
		} else {
			r.Errors = append(r.Errors, p)
		}
	}
	if cfg != nil {
		r.Costs = cfg.Costs()
	}
	return r
}

// configuration is the file, what the last check of it said, and the
// configuration in use.
type configuration struct {
	opts Options

	mu     sync.Mutex
	report model.ConfigReport
	used   *config.Config // nil: none could be accepted yet
}

// Report tells what the last check said.
func (c *configuration) Report() model.ConfigReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}

// inUse is the configuration in use, nil if none could be accepted.
func (c *configuration) inUse() *config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// read checks the file and returns the settings that follow: from the file; or,
// if it is refused, from the configuration in use; or, at start, from the last
// one that was accepted; or none.
func (c *configuration) read(ctx context.Context) engine.Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := config.ReadText(c.opts.ConfigDir)
	if err != nil {
		c.report = model.ConfigReport{
			Path: filepath.Join(c.opts.ConfigDir, config.FileName), Costs: []model.Cost{}, Warnings: []model.Problem{},
			Errors: []model.Problem{{Message: err.Error()}},
		}
		return c.refused(ctx)
	}
	cfg, problems, _ := config.Parse(filepath.Join(c.opts.ConfigDir, config.FileName), text) // an error is one of the problems
	c.report = report(c.opts.ConfigDir, cfg, problems)
	if !c.report.OK {
		return c.refused(ctx)
	}
	if err := config.SaveLastGood(c.opts.StateDir, text); err != nil {
		c.opts.Logger.WarnContext(ctx, "last good configuration not kept", "err", err)
	}
	return c.use(cfg)
}

// refused falls back to an earlier configuration.
func (c *configuration) refused(ctx context.Context) engine.Settings {
	for _, p := range c.report.Errors {
		c.opts.Logger.ErrorContext(ctx, "configuration refused", "problem", p.String())
	}
	cfg := c.used
	if cfg == nil {
		cfg = c.lastGood(ctx)
	}
	if cfg == nil {
		s := engine.Settings{DeviceID: c.opts.Hostname}
		for _, p := range c.report.Errors {
			s.Errors = append(s.Errors, p.String())
		}
		return s
	}
	s := c.use(cfg)
	s.OldConfig = true
	return s
}

// lastGood reads the configuration that was accepted last, in an earlier life.
func (c *configuration) lastGood(ctx context.Context) *config.Config {
	text, err := config.LoadLastGood(c.opts.StateDir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.opts.Logger.WarnContext(ctx, "last good configuration not readable", "err", err)
		}
		return nil
	}
	cfg, problems, err := config.Parse("last good configuration", text)
	if err != nil || !config.OK(problems) {
		c.opts.Logger.WarnContext(ctx, "last good configuration is not valid for this version", "err", fmt.Sprint(problems))
		return nil
	}
	return cfg
}

// use makes cfg the configuration in use.
func (c *configuration) use(cfg *config.Config) engine.Settings {
	c.used = cfg
	cfg.SetHostname(c.opts.Hostname)
	if c.opts.LogLevel != nil {
		c.opts.LogLevel.Set(cfg.Main.LogLevel)
	}
	s := c.opts.settings(cfg)
	for _, p := range c.report.Errors {
		s.Errors = append(s.Errors, p.String())
	}
	for _, p := range c.report.Warnings {
		s.Warnings = append(s.Warnings, p.String())
	}
	return s
}
