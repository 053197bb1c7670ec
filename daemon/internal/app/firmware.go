package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const (
	// switchTime bounds one look at a modem's firmware switch, or one turn of it.
	switchTime = 45 * time.Second
	// letGoTime bounds giving the modem back to ModemManager.
	letGoTime = 10 * time.Second
)

// SwitchFirmware tells how the switch for UIM Remote in a Quectel modem's firmware stands,
// turns it on, or turns it back. It works over the modem's AT port, and never while
// anything else is done to the modem.
func (a *App) SwitchFirmware(ctx context.Context, r model.FirmwareSwitchRequest) (model.FirmwareSwitch, error) {
	ctx, cancel := context.WithTimeout(ctx, switchTime)
	defer cancel()
	name, h, err := a.handsOf(r.Modem)
	if err != nil {
		return model.FirmwareSwitch{}, err
	}
	r.Modem = name
	if what, err := a.engine.Switching(ctx, name); err != nil || what != "" {
		return model.FirmwareSwitch{}, cmp.Or(err, busyModem(name, what))
	}
	var out model.FirmwareSwitch
	done := make(chan struct{})
	work := func(running context.Context, plan model.ModemPlan) {
		defer close(done)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		out, err = h.switchFirmware(ctx, r, plan)
	}
	select {
	case h.asks <- work:
		<-done
	case <-ctx.Done():
		return out, busyModem(name, "something else is being done to it")
	}
	if err != nil {
		return out, refusedSwitch(err)
	}
	if r.Action != "plan" {
		h.tell(model.Noted{At: now(), Kind: model.KindFront, Subject: name, Text: out.Text})
	}
	return out, nil
}

func busyModem(name, what string) error {
	return &model.CommandError{Kind: model.NotSupported, Message: fmt.Sprintf("modem %s is busy (%s); try again when that is over", name, what)}
}

// handsOf finds who looks after a modem, or after the only one.
func (a *App) handsOf(name string) (string, *hands, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.looking[name]; l != nil {
		return name, l.hands, nil
	}
	names := slices.Sorted(maps.Keys(a.looking))
	switch {
	case name == "" && len(names) == 1:
		return names[0], a.looking[names[0]].hands, nil
	case len(names) == 0:
		return "", nil, &model.CommandError{Kind: model.NotFound, Message: "remsim looks after no modem: it is switched off, or no modem has option match"}
	case name == "":
		return "", nil, &model.CommandError{Kind: model.InvalidArgument, Message: "argument modem is missing; there are: " + strings.Join(names, ", ")}
	}
	return "", nil, &model.CommandError{Kind: model.NotFound, Message: fmt.Sprintf("there is no modem %q with option match; these have: %s", name, strings.Join(names, ", "))}
}

// refusedSwitch gives an error the status that callers see.
func refusedSwitch(err error) error {
	kind := model.CommandErrorKind(0)
	var command *model.CommandError
	switch {
	case errors.As(err, &command):
		return err
	case errors.Is(err, uimremote.ErrNotQuectel), errors.Is(err, uimremote.ErrNoItem):
		kind = model.NotSupported
	case errors.Is(err, uimremote.ErrChanged):
		kind = model.InvalidArgument
	case errors.Is(err, os.ErrNotExist):
		kind = model.NotFound
	default:
		return err
	}
	return &model.CommandError{Kind: kind, Message: err.Error()}
}

// switchFirmware does one request, with nobody else at the modem.
func (h *hands) switchFirmware(ctx context.Context, r model.FirmwareSwitchRequest, plan model.ModemPlan) (out model.FirmwareSwitch, err error) {
	backup := filepath.Join(h.app.opts.StateDir, "uim-remote-"+h.modem+".json")
	if out.Kept, err = uimremote.Kept(backup); err != nil {
		return out, err
	}
	if r.Action == "undo" && out.Kept == "" {
		return out, &model.CommandError{Kind: model.NotFound, Message: fmt.Sprintf("there is nothing to undo: no value of modem %s is kept in %s", h.modem, h.app.opts.StateDir)}
	}
	path, _ := h.asker.port(plan)
	if path == "" {
		return out, &model.CommandError{Kind: model.NotSupported, Message: fmt.Sprintf("modem %s shows no AT port, which this needs", h.modem)}
	}
	release, err := h.borrow(ctx, path, plan, r.Interrupt)
	if err != nil {
		return out, err
	}
	defer release()
	err = h.talk(ctx, path, func(ctx context.Context, port atPort) error {
		p, err := uimremote.EnablePlan(ctx, port)
		if err != nil {
			return err
		}
		out = described(h.modem, p, out.Kept)
		switch r.Action {
		case "enable":
			if p.Old != strings.ToUpper(r.Old) {
				return fmt.Errorf("%w: the switch is at %s, the plan said %s; ask for the plan again", uimremote.ErrChanged, p.Old, r.Old)
			}
			out.Text = fmt.Sprintf("UIM Remote is switched on in the firmware (%s from %s to %s); it takes effect when the modem restarts", p.Item, p.Old, p.New)
			if !p.Needed() {
				out.Text = p.String()
			}
			return uimremote.Apply(ctx, port, p, backup)
		case "undo":
			out.Text = fmt.Sprintf("the firmware's switch for UIM Remote is as it was (%s from %s to %s); it takes effect when the modem restarts", p.Item, p.Old, out.Kept)
			return uimremote.Undo(ctx, port, backup)
		}
		return nil
	})
	return out, err
}

// described is a plan as callers see it.
func described(modem string, p uimremote.Plan, kept string) model.FirmwareSwitch {
	return model.FirmwareSwitch{
		Modem: modem, Model: p.Model, Item: p.Item, Old: p.Old, New: p.New, Needed: p.Needed(),
		Commands: append([]string{}, p.Commands...), Undo: append([]string{}, p.Undo...), Kept: kept, Text: p.String(),
	}
}

// borrow makes sure that nobody else reads the AT port: two readers take each other's
// answers. ModemManager is asked to let go of the modem, if that is allowed.
func (h *hands) borrow(ctx context.Context, path string, plan model.ModemPlan, interrupt bool) (release func(), err error) {
	users, _ := at.Users("/proc", path) // of a port that is gone, opening it will tell
	others := slices.DeleteFunc(slices.Clone(users), func(u at.User) bool { return u.Name == "ModemManager" })
	switch {
	case len(others) > 0:
		return nil, &model.CommandError{Kind: model.NotSupported, Message: fmt.Sprintf("%s is in use by %s; stop that first", path, named(others))}
	case len(users) == 0:
		return func() {}, nil
	case !interrupt:
		return nil, &model.CommandError{Kind: model.NotSupported, Message: fmt.Sprintf("ModemManager has %s open; it can be made to let go of the modem, which cuts its connection for about 20 s (argument interrupt)", path)}
	}
	if err := h.app.mm.Inhibit(ctx, plan.Device); err != nil {
		return nil, err
	}
	return func() {
		// Whatever became of ctx, the modem goes back.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoTime)
		defer cancel()
		if err := h.app.mm.Uninhibit(ctx, plan.Device); err != nil {
			h.tell(model.Noted{At: now(), Kind: model.KindModem, Subject: h.modem, Text: "ModemManager did not take the modem back: " + err.Error()})
		}
	}, nil
}

// talk opens an AT port for as long as fn takes.
func (h *hands) talk(ctx context.Context, path string, fn func(ctx context.Context, port atPort) error) error {
	opened := make(chan struct{}, 1)
	conn := at.New(at.Options{
		Open: func() (at.Port, error) { return h.app.drivers.ATPort(path) },
		Changed: func(error) {
			select {
			case opened <- struct{}{}:
			default: // somebody knows
			}
		},
	})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- conn.Run(running) }()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case <-opened: // or why not: the first command says it
	case <-ctx.Done():
		return fmt.Errorf("open AT port %s: %w", path, ctx.Err())
	}
	return fn(ctx, atPort{conn})
}

// atPort sends commands that are written out.
type atPort struct{ conn at.Doer }

// Do sends "AT+CGMM", say, and returns the lines of the answer as the modem sent them.
func (p atPort) Do(ctx context.Context, command string) ([]string, error) {
	c := at.Command{Text: strings.TrimPrefix(command, "AT")}
	name, _, set := strings.Cut(c.Text, "=")
	if !set {
		c.Shape = at.Bare // +CGMI and +CGMM
		return p.conn.Do(ctx, c)
	}
	lines, err := p.conn.Do(ctx, c)
	for i, l := range lines {
		lines[i] = name + ": " + l // as the modem sent it
	}
	return lines, err
}
