package app

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Bounds of a look at what there is: ModemManager lists its modems at once, and
// then tells the parts of each.
const (
	lookTime  = 5 * time.Second
	quietTime = 300 * time.Millisecond
)

// Discover looks what there is and could be configured. It works with an empty
// configuration and while remsim is switched off, and changes nothing.
func (a *App) Discover(ctx context.Context) (model.Found, error) {
	a.mu.Lock()
	watched := a.watching.modems
	a.watch(false, true) // netifd is only listened to
	a.mu.Unlock()
	found := model.Found{Modems: []model.FoundModem{}, Lines: []model.Line{}, Networks: []model.FoundNetwork{}, Notes: []string{}}
	var asked sync.WaitGroup
	var modems []model.ObservedModem
	var service string
	if !watched {
		asked.Go(func() { modems, service = a.lookForModems(ctx) })
	}
	var frontsErr error
	asked.Go(func() { found.Fronts, frontsErr = a.DiscoverFronts(ctx) })
	seen, err := a.engine.Hardware(ctx, lookTime)
	asked.Wait()
	if err != nil {
		return found, err
	}
	if !watched {
		seen.Modems, seen.Service = modems, service
	}
	note := func(text string) {
		if text != "" {
			found.Notes = append(found.Notes, text)
		}
	}
	note(seen.Service)
	note(seen.Netifd)
	if frontsErr != nil {
		note("fronts: " + frontsErr.Error())
	}
	if found.Fronts == nil {
		found.Fronts = []model.FrontSeen{}
	}
	lines, err := gpio.Discover(a.drivers.GPIO, a.opts.board())
	if err != nil {
		note(err.Error())
	} else {
		found.Lines = lines
	}
	for _, n := range seen.Networks {
		found.Networks = append(found.Networks, foundNetwork(n, seen.Modems))
	}
	for _, m := range seen.Modems {
		found.Modems = append(found.Modems, foundModem(m, seen))
	}
	return found, nil
}

// lookForModems asks ModemManager once, without its modems' signals, and tells why
// there is nothing to see.
func (a *App) lookForModems(ctx context.Context) (modems []model.ObservedModem, why string) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	told := make(chan model.Event)
	c := mm.New(mm.Options{Address: a.drivers.DBus, Sysfs: a.opts.Sysfs, Events: func(e model.Event) {
		select {
		case told <- e:
		case <-ctx.Done():
		}
	}})
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Run(ctx) }() // returns nil
	defer func() { cancel(); <-ended }()
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return modems, why
		case <-quiet:
			return modems, why
		case e := <-told:
			quiet = time.After(quietTime)
			switch e := e.(type) {
			case model.ModemsService:
				if why = ""; !e.Up {
					return nil, "ModemManager: " + e.Reason
				}
			case model.ModemSeen:
				modems = slices.DeleteFunc(modems, func(m model.ObservedModem) bool { return m.Path == e.Seen.Path })
				modems = append(modems, e.Seen)
			}
		}
	}
}

func foundModem(m model.ObservedModem, seen model.Hardware) model.FoundModem {
	f := model.FoundModem{
		Match: matchOf(m), Configured: seen.Configured[m.Device], Device: m.Device, USBPath: m.USBPath, Serial: m.Serial, IMEI: m.IMEI,
		Maker: m.Maker, Model: m.Model, Revision: m.Revision, State: m.State, Netdev: m.Netdev, Ports: m.Ports,
	}
	if f.Ports == nil {
		f.Ports = []model.Port{}
	}
	for _, n := range seen.Networks {
		if n.Serves(m) {
			f.Network = n.Name
			break
		}
	}
	return f
}

// matchOf is what stays the same of a modem when it is plugged in or restarted:
// where it sits, which it is, or the node that it is asked over.
func matchOf(m model.ObservedModem) string {
	switch {
	case m.USBPath != "":
		return "usb:" + m.USBPath
	case m.Serial != "":
		return "serial:" + m.Serial
	case strings.HasPrefix(m.Primary, "tty") || strings.HasPrefix(m.Primary, "cdc-wdm") || strings.HasPrefix(m.Primary, "wwan"):
		return "dev:/dev/" + m.Primary
	}
	return ""
}

func foundNetwork(n model.Interface, modems []model.ObservedModem) model.FoundNetwork {
	f := model.FoundNetwork{Name: n.Name, Proto: n.Proto, Device: n.Device, Up: n.Up}
	for _, m := range modems {
		if n.Serves(m) {
			f.Modem = matchOf(m)
		}
	}
	return f
}
