package app

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const (
	// lookInterval is how often what is plugged in is looked at without a word of the
	// kernel: its messages may be lost, and not every machine sends them.
	lookInterval = 30 * time.Second
	// calmTime: a device comes with a dozen events.
	calmTime = 300 * time.Millisecond
	// probeTime bounds one question to a control port; the proxy may have to open it.
	probeTime = 20 * time.Second
	// refusedTime is how long a modem's no is believed: UIM Remote can be switched on.
	refusedTime = 5 * time.Minute
	// failedTime is the same for a port that could not be asked.
	failedTime = 20 * time.Second
)

// answer is what a control port said when it was asked for UIM Remote.
type answer struct {
	at    time.Time
	state model.FrontState
	words string
}

// lookForFronts watches what is plugged in, as long as front auto needs it, and asks the
// control ports that the engine names.
func (a *App) lookForFronts(ctx context.Context) error {
	poke := make(chan struct{}, 1)
	var watch sync.WaitGroup
	defer watch.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.drivers.Hotplug != nil {
		watch.Go(func() {
			err := a.drivers.Hotplug(ctx, func() {
				select {
				case poke <- struct{}{}:
				default: // it will be looked at anyway
				}
			})
			if err != nil {
				a.opts.Logger.WarnContext(ctx, "devices are only looked at every now and then", "err", err)
			}
		})
	}
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	answers := make(map[string]answer) // by front_device
	for {
		if want := a.engine.FrontWatch().Get(); want.On {
			a.look(ctx, want, answers)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.engine.FrontWatch().Changed():
		case <-tick.C:
		case <-poke:
			clear(answers) // the modem behind a port may have restarted
			select {
			case <-time.After(calmTime):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// look tells what is there, then asks the ports whose answer is missing or old.
func (a *App) look(ctx context.Context, want model.FrontWatch, answers map[string]answer) {
	tell := func() {
		seen := a.plugged()
		for i, f := range seen {
			if ans, ok := answers[f.Device]; ok && f.Port != "" {
				seen[i].State, seen[i].Words = ans.state, ans.words
			}
		}
		a.engine.Tell(model.FrontsSeen{At: now(), Fronts: seen})
	}
	tell()
	for _, device := range want.Probe {
		if ans := answers[device]; ans.fresh(time.Now()) {
			continue
		}
		answers[device] = a.probe(ctx, device)
		tell()
	}
}

func (ans answer) fresh(now time.Time) bool {
	limit := failedTime
	switch ans.state {
	case model.FrontUnasked:
		return false
	case model.FrontOffered, model.FrontRefused:
		limit = refusedTime
	}
	return now.Before(ans.at.Add(limit))
}

// probe asks one control port.
func (a *App) probe(ctx context.Context, device string) answer {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := a.drivers.UIMRemote.Probe(ctx, device)
	switch {
	case err != nil:
		return answer{time.Now(), model.FrontFailed, err.Error()}
	case !c.Offered:
		return answer{time.Now(), model.FrontRefused, c.Reason}
	}
	return answer{time.Now(), model.FrontOffered, ""}
}

// plugged lists the card emulators and the control ports that there are. It asks none.
func (a *App) plugged() []model.FrontSeen {
	var out []model.FrontSeen
	for _, f := range a.drivers.CardEmulators() {
		out = append(out, model.FrontSeen{Kind: "cardem", Device: f.Device(), Serial: f.Serial, Model: f.Board.Name, USBPath: f.Path, State: model.FrontOffered})
	}
	for _, p := range a.drivers.UIMRemote.Ports() {
		out = append(out, model.FrontSeen{Kind: "uim-remote", Device: "qmi:" + p, Port: filepath.Base(p), USBPath: a.drivers.UIMRemote.USBPath(p)})
	}
	return out
}

// DiscoverFronts looks what fronts there are, asks modems that no front of ours uses
// whether they offer UIM Remote, and tells which modems could take what.
func (a *App) DiscoverFronts(ctx context.Context) ([]model.FrontSeen, error) {
	seen := a.plugged()
	var asked sync.WaitGroup
	for i := range seen {
		f := &seen[i]
		switch {
		case f.Port == "":
		case a.uses(*f):
			f.State = model.FrontOffered
		default:
			asked.Go(func() {
				ans := a.probe(ctx, f.Device)
				f.State, f.Words = ans.state, ans.words
			})
		}
	}
	asked.Wait()
	out, err := a.engine.FrontOffers(ctx, seen)
	if errors.Is(err, context.Canceled) {
		return nil, context.Cause(ctx)
	}
	return out, err
}

// uses tells whether one of our fronts has a control port.
func (a *App) uses(f model.FrontSeen) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, st := range a.stacks {
		path, _, err := uimremote.ParseDevice(st.plan.Device)
		if st.plan.Kind == f.Kind && (err == nil && "qmi:"+path == f.Device || st.plan.Device == "") {
			return true
		}
	}
	return false
}
