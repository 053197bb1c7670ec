package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
)

// shotTime bounds one probe of a test.
const shotTime = 5 * time.Second

// testPath asks the control hosts over one link, or over every one, for a sign of
// life: a few packets each, bound to the link's device. The links are judged anew
// beside it.
func (a *App) testPath(ctx context.Context, name string) ([]model.Step, error) {
	plan := a.engine.PathPlans().Probe.Get()
	if err := a.engine.LookAtLinks(ctx); err != nil {
		return nil, err
	}
	var steps []model.Step
	found, names := false, []string{}
	for _, l := range a.engine.Snapshot().Links {
		names = append(names, l.Name)
		if name != "" && l.Name != name {
			continue
		}
		found = true
		steps = append(steps, a.testLink(ctx, l, plan)...)
	}
	switch {
	case found:
		return steps, nil
	case len(names) == 0:
		return nil, &model.CommandError{Kind: model.NotFound, Message: "no link is configured: give the modems their option network, or add a config link"}
	}
	return nil, &model.CommandError{Kind: model.NotFound, Message: fmt.Sprintf("there is no link %q; these are: %s", name, strings.Join(names, " "))}
}

func (a *App) testLink(ctx context.Context, l model.Link, plan model.ProbePlan) []model.Step {
	up := model.Step{Name: l.Name + " interface", OK: l.Up, Text: "up on " + l.Device}
	if !l.Up {
		up.Text = l.Reason
	}
	steps := []model.Step{up}
	for _, p := range plan.Links {
		if p.Path.Link != l.Name || !l.Up || a.drivers.Probes == nil {
			continue
		}
		if len(p.Targets)+len(p.Extra) == 0 {
			return append(steps, model.Step{Name: l.Name + " hosts", OK: true, Text: "there is no control host beyond this machine to ask"})
		}
		for _, t := range p.Targets {
			host, port, _ := net.SplitHostPort(t)
			steps = append(steps, a.shoot(ctx, p.Path, probe.Connect, host, port))
		}
		for _, host := range p.Extra {
			steps = append(steps, a.shoot(ctx, p.Path, probe.Echo, host, "0"))
		}
	}
	return steps
}

// shoot sends one probe to a host, at the first of its addresses that answers.
func (a *App) shoot(ctx context.Context, via model.Path, kind probe.Kind, host, port string) model.Step {
	step := model.Step{Name: fmt.Sprintf("%s %s %s", via.Link, kind, host)}
	ctx, cancel := context.WithTimeout(ctx, 2*shotTime)
	defer cancel()
	addrs := []netip.Addr{}
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, addr)
	} else if addrs, err = a.drivers.Probes.Lookup(ctx, via, host); err != nil {
		step.Text = err.Error()
		return step
	}
	number, _ := strconv.ParseUint(port, 10, 16)
	var fault error
	for _, addr := range addrs {
		shot, cancel := context.WithTimeout(ctx, shotTime)
		rtt, err := a.drivers.Probes.Shoot(shot, probe.Shot{Via: via, Kind: kind, To: netip.AddrPortFrom(addr, uint16(number))})
		cancel()
		if err == nil {
			step.OK, step.MS = true, float64(rtt.Microseconds())/1000
			step.Text = fmt.Sprintf("%s answers", addr)
			return step
		}
		fault = errors.Join(fault, err)
	}
	step.Text = "it has no address"
	if fault != nil {
		step.Text = strings.ReplaceAll(fault.Error(), "\n", "; ")
	}
	return step
}
