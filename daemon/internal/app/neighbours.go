package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// neighbours looks for other programs on this router that handle the same
// modems: watchcat, and whoever has an AT port open beside ModemManager. It only
// tells; nobody's program is stopped and nobody's file is changed.
type neighbours struct {
	app  *App
	wake chan struct{}

	// Below: only run.
	sections []watchcat // as last read
}

// usersInterval is how often the users of AT ports are looked up: nobody tells
// when a program opens one.
const usersInterval = 10 * time.Minute

// uciTimeout bounds reading watchcat's configuration.
const uciTimeout = 10 * time.Second

func newNeighbours(a *App) *neighbours {
	n := &neighbours{app: a, wake: make(chan struct{}, 1)}
	a.bus.OnState(func(up bool, _ error) {
		if up {
			n.poke()
		}
	})
	return n
}

// poke has everything looked at again.
func (n *neighbours) poke() {
	select {
	case n.wake <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// run looks when something happened: a modem came, the configuration was read
// again, or procd tells that watchcat's has changed.
func (n *neighbours) run(ctx context.Context) error {
	stop, err := n.app.bus.Subscribe("service", func(typ string, data ubus.Table) {
		if file, _ := data.Text("config", ""); typ == "config.change" && file == "watchcat" {
			n.poke()
		}
	}, nil)
	defer func() { _ = stop() }() // fails only without a bus, which knows nothing of us then
	if err != nil {
		return fmt.Errorf("listen to procd: %w", err)
	}
	tick := time.NewTicker(usersInterval)
	defer tick.Stop()
	for {
		n.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		case <-tick.C:
		}
	}
}

func (n *neighbours) look(ctx context.Context) {
	n.readWatchcat(ctx)
	for _, name := range n.app.lookedAfter() {
		plan := n.app.engine.Plans(name).Modem.Get()
		tell := func(code, reason string) {
			n.app.engine.Tell(model.ModemTrouble{At: now(), Modem: name, Code: code, Reason: reason})
		}
		tell(health.Watchcat, threat(n.sections, plan))
		if !plan.AskAT { // otherwise the asker has the port and tells of it
			tell(health.ATPortBusy, otherUsers(plan.ATPort))
		}
	}
}

// lookedAfter names the modems that are looked after.
func (a *App) lookedAfter() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.looking))
}

// otherUsers says who has a port open besides ModemManager, "" if nobody has.
func otherUsers(path string) string {
	if path == "" {
		return ""
	}
	users, _ := at.Users("/proc", path) // a port that is gone has no users
	users = slices.DeleteFunc(users, func(u at.User) bool { return u.Name == "ModemManager" })
	if len(users) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is open in %s besides ModemManager", path, named(users))
}

// named lists processes for a person.
func named(users []at.User) string {
	var names []string
	for _, u := range users {
		names = append(names, fmt.Sprintf("%s (process %d)", u.Name, u.PID))
	}
	return strings.Join(names, ", ")
}

// watchcat is a section of /etc/config/watchcat.
type watchcat struct {
	name   string // as `uci` names it
	mode   string
	period string
	device string // "" means the whole network
	modem  string // netifd interface that it has ModemManager reconnect
}

// readWatchcat asks rpcd for watchcat's sections. A file that is not there has
// none; what cannot be read now stays as it was.
func (n *neighbours) readWatchcat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, uciTimeout)
	defer cancel()
	reply, err := n.app.bus.Call(ctx, "uci", "get", map[string]any{"config": "watchcat", "type": "watchcat"})
	if errors.Is(err, &ubus.StatusError{Status: ubus.StatusNotFound}) {
		n.sections = nil
		return
	}
	values, tableErr := reply.Table("values")
	if err != nil || tableErr != nil {
		return
	}
	n.sections = parseWatchcat(values)
}

// parseWatchcat reads the sections with watchcat's own defaults
// (utils/watchcat/files/watchcat.init of openwrt/packages).
func parseWatchcat(values ubus.Table) []watchcat {
	var out []watchcat
	for i, f := range values {
		t, err := values.Table(f.Name)
		if err != nil {
			continue
		}
		text := func(name, def string) string { v, _ := t.Text(name, ""); return orDefault(v, def) }
		w := watchcat{name: f.Name, mode: text("mode", "ping_reboot"), period: text("period", "120"), device: text("interface", ""), modem: text("mmifacename", "")}
		if anonymous, _ := t.Bool(".anonymous", false); anonymous {
			w.name = fmt.Sprintf("@watchcat[%d]", i)
		}
		switch w.mode { // the older names
		case "ping":
			w.mode = "ping_reboot"
		case "always", "allways":
			w.mode = "periodic_reboot"
		}
		if w.modem == "null" {
			w.modem = ""
		}
		out = append(out, w)
	}
	return out
}

// threat says what watchcat may do to a modem, "" if nothing. A section that
// runs a script may do anything, which nobody can tell from here.
func threat(sections []watchcat, plan model.ModemPlan) string {
	var out []string
	for _, w := range sections {
		what := ""
		switch {
		case w.mode == "periodic_reboot":
			what = "restarts the router every " + w.period
		case w.mode == "ping_reboot":
			what = fmt.Sprintf("restarts the router when its hosts do not answer for %s", w.period)
		case w.mode != "restart_iface":
		case w.modem != "":
			what = "restarts ModemManager and interface " + w.modem
		case w.device == "":
			what = "restarts the whole network"
		case w.device == plan.Netdev || w.device == plan.Network:
			what = "restarts " + w.device
		}
		if what != "" {
			out = append(out, fmt.Sprintf("section %s %s", w.name, what))
		}
	}
	return strings.Join(out, "; ")
}
