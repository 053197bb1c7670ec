package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// hands carry out what the engine wants of one modem: its SIM line is a level,
// a reset or an interface going down is an action, the PIN and being switched on
// follow from the modem's state. They report what they saw, never what they
// were told.
type hands struct {
	app   *App
	modem string
	plans *engine.Plans
	specs map[model.LineUse]gpio.Spec
	slot  card.SlotSelector // a front that turns the SIM slot by itself; nil: none

	linesMu sync.Mutex // guards lines: a worker pulses one while the SIM line is turned
	lines   map[model.LineUse]*gpio.Line
	off     map[model.LineUse]string // supplies reported as off
	stands  model.Source             // where the SIM line was last reported
	lineErr string
	lastID  int64
	done    chan struct{} // a worker has ended
	busy    bool
	yield   context.CancelFunc // ends what is under way for an action; nil: an action is

	tried model.ModemPlan // the PIN or the switching on that was tried last
	again atomic.Bool     // it failed for a reason that may pass
	asker asker

	looked model.ModemPlan // the one that neighbours were looked for with

	asks   chan func(ctx context.Context, plan model.ModemPlan) // one-off work for somebody who waits
	asking bool                                                 // such work is under way
}

func (a *App) newHands(m engine.Modem, s map[model.LineUse]gpio.Spec, front card.Front) *hands {
	h := &hands{app: a, modem: m.Name, plans: a.engine.Plans(m.Name), specs: s, lines: make(map[model.LineUse]*gpio.Line), off: make(map[model.LineUse]string), done: make(chan struct{}, 1), asks: make(chan func(context.Context, model.ModemPlan))}
	h.slot, _ = front.(card.SlotSelector)
	h.asker = asker{app: a, modem: m.Name, match: m.Match}
	return h
}

// lineRetry is how often a line that could not be had is tried again.
const lineRetry = 30 * time.Second

// run follows the plans until ctx ends. It leaves the lines as they stand.
func (h *hands) run(ctx context.Context) error {
	defer h.close()
	defer h.asker.stop()
	retry := time.NewTicker(lineRetry)
	defer retry.Stop()
	for {
		h.turn(h.plans.Switch.Get().Line)
		h.checkPower()
		h.begin(ctx)
		plan := h.plans.Modem.Get()
		if !h.asking { // who asks has the AT port
			h.asker.set(ctx, plan.AskAT, plan)
		}
		if plan != h.looked {
			h.looked = plan
			h.app.neighbours.poke()
		}
		select {
		case <-ctx.Done():
			if h.busy {
				<-h.done
			}
			return nil
		case <-h.plans.Switch.Changed():
		case <-h.plans.Modem.Changed():
		case <-h.done:
			h.busy, h.asking = false, false
		case ask := <-h.free():
			h.asker.stop()
			h.asking, h.yield = true, nil
			h.work(func() { ask(ctx, plan) })
		case <-retry.C:
			if h.again.Swap(false) {
				h.tried = model.ModemPlan{}
			}
		}
	}
}

// free is where one-off work comes from, while nothing else is done to the modem.
func (h *hands) free() <-chan func(context.Context, model.ModemPlan) {
	if h.busy {
		return nil
	}
	return h.asks
}

func (h *hands) close() {
	h.linesMu.Lock()
	defer h.linesMu.Unlock()
	for use, l := range h.lines {
		_ = l.Close() // the level stays: it is the next owner's
		delete(h.lines, use)
	}
}

func (h *hands) tell(ev model.Event) { h.app.engine.Tell(ev) }

func now() model.At { return model.At{Time: time.Now()} }

// open takes a line unless it is held already, and reports when that fails.
func (h *hands) open(use model.LineUse) (*gpio.Line, error) {
	h.linesMu.Lock()
	defer h.linesMu.Unlock()
	if l := h.lines[use]; l != nil {
		return l, nil
	}
	spec, ok := h.specs[use]
	if !ok {
		return nil, fmt.Errorf("modem %s has no %s line", h.modem, use)
	}
	l, err := gpio.Open(h.app.drivers.GPIO, h.app.opts.board(), spec, h.app.pulses)
	for _, code := range []string{health.LineBusy, health.LineMissing} {
		why := ""
		if err != nil && code == lineCode(err) {
			why = err.Error()
		}
		h.tell(model.ModemTrouble{At: now(), Modem: h.modem, Code: code, Reason: why})
	}
	if err != nil {
		return nil, err
	}
	h.lines[use] = l
	return l, nil
}

// checkPower reports a supply that stands on off: a modem behind it is not
// coming.
func (h *hands) checkPower() {
	for _, use := range []model.LineUse{model.LinePower, model.LineReset} {
		if _, ok := h.specs[use]; !ok || h.busy {
			continue // during a pulse it is off on purpose
		}
		l, err := h.open(use)
		if err != nil {
			continue // reported by open
		}
		off, err := l.Off()
		why := ""
		if err == nil && off {
			why = fmt.Sprintf("line %s stands on off", h.specs[use].Line)
		}
		if why != h.off[use] {
			h.off[use] = why
			h.tell(model.ModemTrouble{At: now(), Modem: h.modem, Code: health.PowerOff, Reason: why})
		}
	}
}

// turn brings the SIM line to where it shall stand and reports where it stands.
// An empty source leaves it.
func (h *hands) turn(want model.Source) {
	if _, ok := h.specs[model.LineSIM]; !ok {
		h.turnSlot(want)
		return
	}
	l, err := h.open(model.LineSIM)
	var remote bool
	if err == nil && want != "" {
		err = l.Select(want == model.SourceRemote)
	}
	if err == nil {
		remote, err = l.Remote()
	}
	if errors.Is(err, gpio.ErrGone) || errors.Is(err, gpio.ErrClosed) {
		h.close()
	}
	h.report(source(remote), err)
}

// turnSlot does the same with a front that turns the slot by itself.
func (h *hands) turnSlot(want model.Source) {
	if h.slot == nil || want == "" || want == h.stands {
		return
	}
	err := h.slot.SelectRemote(want == model.SourceRemote)
	h.report(want, err)
}

func source(remote bool) model.Source {
	if remote {
		return model.SourceRemote
	}
	return model.SourceLocal
}

// report tells where the line stands, once per change.
func (h *hands) report(stands model.Source, err error) {
	text := ""
	if err != nil {
		stands, text = "", err.Error()
	}
	if stands == h.stands && text == h.lineErr {
		return
	}
	h.stands, h.lineErr = stands, text
	h.tell(model.LineSeen{At: now(), Modem: h.modem, Source: stands, Err: text})
}

// begin starts what is to be done next, if nothing is under way: one thing at a
// time is done to a modem.
func (h *hands) begin(ctx context.Context) {
	action, plan := h.plans.Switch.Get().Action, h.plans.Modem.Get()
	switch due := action.ID > h.lastID; {
	case h.busy && due && h.yield != nil:
		h.yield() // an action has a deadline; the other is tried anew on the modem that comes
	case h.busy:
	case due:
		h.lastID, h.yield = action.ID, nil
		h.work(func() { h.act(ctx, action, plan) })
	case plan.Unlock && (!h.tried.Unlock || plan.Path != h.tried.Path):
		h.tried = plan
		h.aside(ctx, func(ctx context.Context) { h.unlock(ctx, plan) })
	case plan.Enable && (!h.tried.Enable || plan.Path != h.tried.Path):
		h.tried = plan
		h.aside(ctx, func(ctx context.Context) { h.enable(ctx, plan) })
	}
}

// aside does what gives way to an action.
func (h *hands) aside(ctx context.Context, fn func(ctx context.Context)) {
	ctx, h.yield = context.WithCancel(ctx)
	end := h.yield
	h.work(func() {
		defer end()
		fn(ctx)
	})
}

func (h *hands) work(fn func()) {
	h.busy = true
	go func() {
		defer func() { h.done <- struct{}{} }()
		fn()
	}()
}

// act carries out one action and reports its end.
func (h *hands) act(ctx context.Context, a model.ModemAction, plan model.ModemPlan) {
	if a.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Limit)
		defer cancel()
	}
	err := h.perform(ctx, a, plan)
	ev := model.ActionDone{At: now(), Modem: h.modem, ID: a.ID}
	if err != nil {
		ev.Err = err.Error()
	}
	h.tell(ev)
}

func (h *hands) perform(ctx context.Context, a model.ModemAction, plan model.ModemPlan) error {
	switch a.Verb {
	case model.ActNetworkDown:
		return h.app.netifd.Down(ctx, a.Network)
	case model.ActNetworkUp:
		return h.app.netifd.Up(ctx, a.Network)
	case model.ActInhibit:
		return h.app.mm.Inhibit(ctx, plan.Device)
	case model.ActUninhibit:
		return h.app.mm.Uninhibit(ctx, plan.Device)
	case model.ActResetMM:
		return h.app.mm.Reset(ctx, plan.Device)
	case model.ActResetSoft:
		return h.resetSoft(ctx, plan)
	case model.ActPulse, model.ActRelease:
		// Opening a line ends a pulse that was cut off: that is the release.
		l, err := h.open(a.Line)
		if err != nil || a.Verb == model.ActRelease {
			return err
		}
		return l.Pulse(ctx, 0)
	}
	return fmt.Errorf("action %q is not known", a.Verb)
}

// resetSoft restarts the modem over its AT port, which ModemManager has let go
// of before.
func (h *hands) resetSoft(ctx context.Context, plan model.ModemPlan) error {
	if plan.ATPort == "" {
		return errors.New("the modem has no AT port")
	}
	conn := at.New(at.Options{Open: func() (at.Port, error) { return h.app.drivers.ATPort(plan.ATPort) }})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- conn.Run(ctx) }()
	err := at.Reset(ctx, conn, profile(plan))
	cancel()
	<-ended
	return err
}

// profile finds the commands of this modem.
func profile(plan model.ModemPlan) at.Profile {
	vendor, err1 := strconv.ParseUint(plan.Vendor, 16, 16)
	product, err2 := strconv.ParseUint(plan.Product, 16, 16)
	if err1 == nil && err2 == nil {
		if p, ok := at.ProfileForUSB(at.USBID{Vendor: uint16(vendor), Product: uint16(product)}); ok {
			return p
		}
	}
	return at.Generic()
}

// pinTime bounds reading and sending the PIN.
const pinTime = time.Minute

// unlock sends the PIN that the modem's interface has, once for each time the
// modem asks. The last try is never used up.
func (h *hands) unlock(ctx context.Context, plan model.ModemPlan) {
	ctx, cancel := context.WithTimeout(ctx, pinTime)
	defer cancel()
	ev := model.UnlockDone{Modem: h.modem}
	pin, err := h.app.netifd.PIN(ctx, plan.Network)
	if err == nil && pin == "" {
		ev.Code, ev.Reason = health.PINMissing, fmt.Sprintf("interface %s has no option pincode", plan.Network)
	} else if err == nil {
		err = h.app.mm.SendPIN(ctx, plan.Device, pin.Reveal())
	}
	switch {
	case ev.Code != "":
	case err == nil, errors.Is(err, mm.ErrNotLocked):
		ev.Reason = "the card was unlocked with the PIN of interface " + plan.Network
	case errors.Is(err, mm.ErrLastTry):
		ev.Code, ev.Reason = health.PINLastTry, err.Error()
	case errors.Is(err, mm.ErrWrongPIN):
		ev.Code, ev.Reason = health.PINWrong, err.Error()
	default:
		ev.Code, ev.Reason = health.PINMissing, "the PIN could not be sent: "+err.Error()
		h.again.Store(true)
	}
	ev.At = now()
	h.tell(ev)
}

// enableTime bounds switching a modem on.
const enableTime = 150 * time.Second

func (h *hands) enable(ctx context.Context, plan model.ModemPlan) {
	ctx, cancel := context.WithTimeout(ctx, enableTime)
	defer cancel()
	text := "the modem was switched on: no network interface owns it"
	if err := h.app.mm.Enable(ctx, plan.Device); err != nil {
		text = "the modem could not be switched on: " + err.Error()
	}
	h.tell(model.Noted{At: now(), Kind: model.KindModem, Subject: h.modem, Text: text})
}
