package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
)

// stack is everything that brings one modem its remote card: the front, the
// relay, and the RSPRO session behind it.
type stack struct {
	kind, device string
	front        card.Front
	relay        *relay.Session
	session      *client.Session
	tasks        []*supervise.Handle
}

// newStack makes the parts for one modem and starts them. a.mu is held.
func (a *App) newStack(m engine.Modem) (*stack, error) {
	front, err := a.drivers.Front(m.Front, m.FrontDevice)
	if err != nil {
		return nil, err
	}
	plans := a.engine.Plans(m.Name)
	s := &stack{kind: m.Front, device: m.FrontDevice, front: front}
	rc := relay.Config{Modem: m.Name, Events: a.engine.Tell}
	if a.keepsCards() {
		rc.Stored = a.stored.cards
	}
	s.relay = relay.New(rc)
	s.session = client.New(client.Config{
		Modem: m.Name, Hostname: a.opts.Hostname, Version: a.opts.Version,
		Plan: plans.Session, Events: a.engine.Tell, Bank: s.relay, Dial: a.drivers.Dial,
	})
	watch := &frontWatch{Handler: s.relay, modem: m.Name, tell: a.engine.Tell}
	s.tasks = []*supervise.Handle{
		a.cards.Start(supervise.Task{Name: m.Name + " card plan", Run: func(ctx context.Context) error {
			for {
				s.relay.SetPlan(plans.Card.Get())
				select {
				case <-ctx.Done():
					return nil
				case <-plans.Card.Changed():
				}
			}
		}}),
		a.cards.Start(supervise.Task{Name: m.Name + " front", Run: func(ctx context.Context) error {
			err := front.Run(ctx, watch)
			watch.closed(front.Info(), err)
			return err
		}}),
		a.cards.Start(supervise.Task{Name: m.Name + " session", Run: s.session.Run}),
	}
	return s, nil
}

// stop ends the session first, so that the bank learns of it, then the front.
func (s *stack) stop() {
	for i := len(s.tasks) - 1; i >= 0; i-- {
		s.tasks[i].Stop()
	}
	s.relay.Close()
}

// frontWatch tells the engine of a front whose device could not be opened at
// all; what comes after opening it, the relay reports.
type frontWatch struct {
	card.Handler
	modem string
	tell  func(model.Event)
	up    bool // only touched by the goroutine of the front's Run
}

// FrontUp passes on that the device is open.
func (w *frontWatch) FrontUp(f card.Front) {
	w.up = true
	w.Handler.FrontUp(f)
}

// closed is called when the front's Run has ended with err.
func (w *frontWatch) closed(info card.Info, err error) {
	if err != nil && !w.up {
		w.tell(model.FrontChanged{At: model.At{Time: time.Now()}, Modem: w.modem, Kind: info.Kind, Device: info.Device, Reason: err.Error()})
	}
	w.up = false
}

// arrange makes the running stacks those that the settings ask for. A stack
// whose front stays the same goes on undisturbed: a reload of anything else
// never takes a card away.
func (a *App) arrange(ctx context.Context, s engine.Settings) {
	wanted := make(map[string]engine.Modem)
	if s.Valid && s.Enabled {
		for _, m := range s.Modems {
			if m.Front != "" {
				wanted[m.Name] = m
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, st := range a.stacks {
		m, stays := wanted[name]
		if stays && st.kind == m.Front && st.device == m.FrontDevice {
			delete(wanted, name)
			continue
		}
		st.stop()
		delete(a.stacks, name)
	}
	for name, m := range wanted {
		st, err := a.newStack(m)
		if err != nil {
			a.opts.Logger.ErrorContext(ctx, "front not made", "modem", name, "err", err)
			a.engine.Tell(model.FrontChanged{At: model.At{Time: time.Now()}, Modem: name, Kind: m.Front, Device: m.FrontDevice, Reason: err.Error()})
			continue
		}
		a.stacks[name] = st
	}
}

// stackOf returns the stack of a modem, or the only one if name is empty.
func (a *App) stackOf(name string) (string, *stack, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name == "" && len(a.stacks) == 1 {
		for only, st := range a.stacks {
			return only, st, nil
		}
	}
	if st := a.stacks[name]; st != nil {
		return name, st, nil
	}
	names := slices.Sorted(maps.Keys(a.stacks))
	if len(names) == 0 {
		return "", nil, &model.CommandError{Kind: model.NotFound, Message: "no modem is set up for a remote card"}
	}
	return "", nil, &model.CommandError{Kind: model.NotFound,
		Message: fmt.Sprintf("modem %q is not set up for a remote card; these are: %s", name, strings.Join(names, ", "))}
}
