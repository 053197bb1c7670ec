package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
)

// stack is everything that brings one modem its remote card: the front, the
// relay, and the RSPRO session behind it.
type stack struct {
	plan    model.FrontPlan
	front   card.Front
	watch   *frontWatch
	relay   *relay.Session
	session *client.Session
	tasks   []*supervise.Handle
}

// newStack makes the parts for one modem and starts them. a.mu is held.
func (a *App) newStack(name string, p model.FrontPlan) (*stack, error) {
	front, err := a.drivers.Front(p.Kind, p.Device)
	if err != nil {
		return nil, err
	}
	plans := a.engine.Plans(name)
	s := &stack{plan: p, front: front}
	rc := relay.Config{Modem: name, Events: a.engine.Tell}
	if a.keepsCards() {
		rc.Stored = a.stored.cards
	}
	s.relay = relay.New(rc)
	s.session = client.New(client.Config{
		Modem: name, Hostname: a.opts.Hostname, Version: a.opts.Version,
		Plan: plans.Session, Events: a.engine.Tell, Bank: s.relay, Dial: a.drivers.Dial,
	})
	watch := newFrontWatch(name, s.relay, a.engine.Tell)
	s.watch = watch
	s.tasks = []*supervise.Handle{
		a.cards.Start(supervise.Task{Name: name + " card plan", Run: func(ctx context.Context) error {
			for {
				s.relay.SetPlan(plans.Card.Get())
				select {
				case <-ctx.Done():
					return nil
				case <-plans.Card.Changed():
				}
			}
		}}),
		a.cards.Start(supervise.Task{Name: name + " front", Run: func(ctx context.Context) error {
			err := front.Run(ctx, watch)
			watch.closed(front.Info(), err)
			return err
		}}),
		a.cards.Start(supervise.Task{Name: name + " front watch", Run: watch.run}),
		a.cards.Start(supervise.Task{Name: name + " session", Run: s.session.Run}),
	}
	return s, nil
}

// stop ends the session first, so that the bank learns of it, then the front.
func (s *stack) stop() {
	s.watch.end()
	for i := len(s.tasks) - 1; i >= 0; i-- {
		s.tasks[i].Stop()
	}
	s.relay.Close()
}

// arrange makes the running stacks those that the engine wants. A stack whose front
// stays the same goes on undisturbed: a reload of anything else never takes a card away.
func (a *App) arrange(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := a.engine.FrontPlans().Get()
	for name, st := range a.stacks {
		if wanted[name] != st.plan {
			st.stop()
			delete(a.stacks, name)
		}
	}
	for name, p := range wanted {
		if a.stacks[name] != nil {
			continue
		}
		st, err := a.newStack(name, p)
		if err != nil {
			a.opts.Logger.ErrorContext(ctx, "front not made", "modem", name, "err", err)
			a.engine.Tell(model.FrontChanged{At: now(), Modem: name, Kind: p.Kind, Device: p.Device, Reason: err.Error()})
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
