package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// askInterval is how often a modem is asked over its AT port while ModemManager
// is not there. Nobody else has the port then.
const askInterval = 30 * time.Second

// asker reports a modem over its AT port, in place of ModemManager.
type asker struct {
	app    *App
	modem  string
	match  engine.Match
	cancel context.CancelFunc
	ended  chan struct{}
}

// set starts or stops asking.
func (k *asker) set(ctx context.Context, on bool, plan model.ModemPlan) {
	switch {
	case on && k.cancel == nil:
		ctx, k.cancel = context.WithCancel(ctx)
		k.ended = make(chan struct{})
		go func() {
			defer close(k.ended)
			k.run(ctx, plan)
		}()
	case !on && k.cancel != nil:
		k.stop()
	}
}

func (k *asker) stop() {
	if k.cancel != nil {
		k.cancel()
		<-k.ended
		k.cancel = nil
	}
}

// port finds the modem's AT port: as seen before, as configured, or by its USB
// path.
func (k *asker) port(plan model.ModemPlan) (path string, p at.Profile) {
	switch {
	case plan.ATPort != "":
		return plan.ATPort, profile(plan)
	case k.match.By == "dev":
		return k.match.Value, at.Generic()
	case k.match.By == "usb":
		all, err := at.Ports(orDefault(k.app.opts.Sysfs, "/sys"))
		if err != nil {
			return "", at.Generic()
		}
		if ports, prof := at.ATPorts(all, k.match.Value); len(ports) > 0 {
			return ports[0].Path, prof
		}
	}
	return "", at.Generic()
}

func (k *asker) trouble(code, reason string) {
	k.app.engine.Tell(model.ModemTrouble{At: now(), Modem: k.modem, Code: code, Reason: reason})
}

// run asks when the port opens or goes away, and every now and then.
func (k *asker) run(ctx context.Context, plan model.ModemPlan) {
	path, prof := k.port(plan)
	if path == "" {
		return
	}
	changed := make(chan struct{}, 1)
	conn := at.New(at.Options{
		Open: func() (at.Port, error) { return k.app.drivers.ATPort(path) },
		Changed: func(error) {
			select {
			case changed <- struct{}{}:
			default: // it will be asked anyway
			}
		},
	})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- conn.Run(running) }()
	object := model.ATObject + path
	defer func() {
		cancel()
		<-ended
		k.gone(object)
		for _, code := range []string{health.ATPortHung, health.ATPortBusy, health.PowerSaving} {
			k.trouble(code, "")
		}
	}()
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
		seen, err := ask(ctx, conn, prof)
		k.judge(path, err)
		switch {
		case err == nil:
			seen.Path, seen.Device = object, object
			seen.Ports = []model.Port{{Name: strings.TrimPrefix(path, "/dev/"), Kind: model.PortAT}}
			identify(&seen, k.match)
			k.app.engine.Tell(model.ModemSeen{At: now(), Seen: seen})
			k.powerSaving(ctx, conn)
		case errors.Is(err, at.ErrNoPort), errors.Is(err, at.ErrLost):
			k.gone(object)
		}
	}
}

// gone reports that the modem cannot be asked any more.
func (k *asker) gone(object string) {
	k.app.engine.Tell(model.ModemGone{At: now(), Path: object, Device: object})
}

// identify enters what the configuration names the modem by and the port cannot
// tell.
func identify(o *model.ObservedModem, m engine.Match) {
	switch m.By {
	case "usb":
		o.USBPath = m.Value
	case "serial":
		o.Serial = m.Value
	}
}

// judge turns what went wrong on the port into a finding.
func (k *asker) judge(path string, err error) {
	hung, busy := "", ""
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case errors.Is(err, at.ErrBusy):
		busy = fmt.Sprintf("%s is in use by %s", path, k.users(path))
	case errors.Is(err, at.ErrTimeout), errors.Is(err, at.ErrHung):
		hung = fmt.Sprintf("%s: %v", path, err)
		if others := k.users(path); others != unknownUser {
			hung += "; it is also open in " + others
		}
	default:
		hung = fmt.Sprintf("%s: %v", path, err)
	}
	k.trouble(health.ATPortHung, hung)
	k.trouble(health.ATPortBusy, busy)
}

const unknownUser = "another program"

// users names the other programs that have the port open.
func (k *asker) users(path string) string {
	users, err := at.Users("/proc", path)
	if err != nil || len(users) == 0 {
		return unknownUser
	}
	return named(users)
}

// powerSaving warns of a modem that sleeps through control traffic.
func (k *asker) powerSaving(ctx context.Context, conn at.Doer) {
	ps, err := at.ReadPowerSaving(ctx, conn)
	text := ""
	switch {
	case err != nil: // the modem does not tell: unknown is no finding
	case ps.PSM && ps.EDRX:
		text = "PSM and eDRX are on"
	case ps.PSM:
		text = "PSM is on"
	case ps.EDRX:
		text = "eDRX is on"
	}
	k.trouble(health.PowerSaving, text)
}

// ask reads everything that a status shows, over AT commands (3GPP TS 27.007).
func ask(ctx context.Context, conn at.Doer, prof at.Profile) (model.ObservedModem, error) {
	id, err := at.ReadIdentity(ctx, conn)
	if err != nil {
		return model.ObservedModem{}, err
	}
	if prof.Name == at.Generic().Name { // its USB identity was not known
		prof = at.ProfileFor(id)
	}
	o := model.ObservedModem{Maker: id.Manufacturer, Model: id.Model, Revision: id.Revision, IMEI: id.IMEI, State: "enabled"}
	sim, err := at.ReadSIM(ctx, conn, prof)
	if err != nil {
		return o, err
	}
	switch sim.State {
	case at.SIMReady:
		o.SIM = &model.ObservedSIM{ICCID: sim.ICCID, IMSI: sim.IMSI, Active: true}
	case at.SIMPIN:
		o.State, o.Lock = "locked", "sim-pin"
	case at.SIMPUK:
		o.State, o.Lock = "locked", "sim-puk"
	case at.SIMAbsent:
		o.State, o.FailedReason = "failed", "sim-missing"
	}
	if o.Signal, err = at.ReadSignal(ctx, conn, prof); err != nil && !errors.Is(err, at.ErrUnsupported) {
		return o, err
	}
	return o, nil
}
