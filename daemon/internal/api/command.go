package api

import (
	"context"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// do carries out a command and replies with the sequence that shows its effect.
func (a *API) do(ctx context.Context, req *ubus.Request, cmd model.Command) {
	seq, err := a.engine.Do(ctx, cmd)
	a.answer(req, map[string]int64{"sequence": seq}, err)
}

func (a *API) sim(ctx context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	source, err2 := req.Args.Text("source", "")
	if err := firstOf(err1, err2); err != nil {
		a.refuse(req, err)
		return
	}
	a.do(ctx, req, model.SetSource{Modem: modem, Source: model.Source(source)})
}

// maxID is the largest RSPRO bank or slot number.
const maxID = 1023

func (a *API) mapBank(ctx context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	host, err2 := req.Args.Text("host", "")
	port, err3 := req.Args.Int("port", 0)
	bank, err4 := idArg(req, "bank_id")
	slot, err5 := idArg(req, "slot")
	err := firstOf(err1, err2, err3, err4, err5)
	if err == nil && (port < 0 || port > 65535) {
		err = invalid("argument port: %d is not 1..65535", port)
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	a.do(ctx, req, model.MapBank{Modem: modem, Host: host, Port: int(port), Slot: model.BankSlot{ID: bank, Slot: slot}})
}

// idArg reads a bank or slot number, which must be given: 0 is a valid one.
func idArg(req *ubus.Request, name string) (uint16, error) {
	if !req.Args.Has(name) {
		return 0, invalid("argument %s is missing; accepted: 0..%d", name, maxID)
	}
	n, err := req.Args.Int(name, 0)
	if err == nil && (n < 0 || n > maxID) {
		err = invalid("argument %s: %d is not 0..%d", name, n, maxID)
	}
	return uint16(n), err
}

func (a *API) unmap(ctx context.Context, req *ubus.Request) {
	modem, err := req.Args.Text("modem", "")
	if err != nil {
		a.refuse(req, err)
		return
	}
	a.do(ctx, req, model.Unmap{Modem: modem})
}

func (a *API) tracing(ctx context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	on, err2 := req.Args.Bool("on", true)
	if err := firstOf(err1, err2); err != nil {
		a.refuse(req, err)
		return
	}
	a.do(ctx, req, model.SetTracing{Modem: modem, On: on})
}

func (a *API) switchRole(ctx context.Context, req *ubus.Request) {
	role, err1 := req.Args.Text("role", "")
	link, err2 := req.Args.Text("link", "")
	err := firstOf(err1, err2)
	switch {
	case err != nil:
	case role == "":
		err = invalid("argument role is missing: data or control")
	case link == "":
		err = invalid("argument link is missing: the name of a link, or auto to give the choice back")
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	a.do(ctx, req, model.SwitchRole{Role: role, Link: link})
}

// resetMethods are the words that `reset` takes for a rung of the ladder.
var resetMethods = []string{"auto", string(model.RungSoft), string(model.RungMM), string(model.RungGPIO), string(model.RungPower)}

func (a *API) reset(ctx context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	method, err2 := req.Args.Text("method", "auto")
	err := firstOf(err1, err2)
	if err == nil && !slices.Contains(resetMethods, method) {
		err = invalid("argument method: %q is not one of %s", method, strings.Join(resetMethods, " "))
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	rung := model.ResetRung(method)
	if method == "auto" {
		rung = ""
	}
	a.do(ctx, req, model.Reset{Modem: modem, Rung: rung})
}

// lineUses are the words that `gpio` takes for a line.
var lineUses = []string{string(model.LineSIM), string(model.LineReset), string(model.LinePower)}

func (a *API) gpio(_ context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	line, err2 := req.Args.Text("line", "")
	dry, err3 := req.Args.Bool("dry_run", true)
	err := firstOf(err1, err2, err3)
	switch {
	case err != nil:
	case !slices.Contains(lineUses, line):
		err = invalid("argument line: %q is not one of %s", line, strings.Join(lineUses, " "))
	case !dry:
		err = &model.CommandError{Kind: model.NotSupported, Message: "lines are driven by the methods sim and reset; gpio only shows what they would do"}
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	plan, err := a.backend.LinePlan(modem, model.LineUse(line))
	a.answer(req, plan, err)
}

// frontActions are the words that `front` takes for what to do.
var frontActions = []string{"plan", "enable", "undo"}

func (a *API) front(ctx context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	action, err2 := req.Args.Text("action", "plan")
	old, err3 := req.Args.Text("old", "")
	interrupt, err4 := req.Args.Bool("interrupt", false)
	err := firstOf(err1, err2, err3, err4)
	switch {
	case err != nil:
	case !slices.Contains(frontActions, action):
		err = invalid("argument action: %q is not one of %s", action, strings.Join(frontActions, " "))
	case action == "enable" && old == "":
		err = invalid("argument old is missing: it is the value of the plan, so that nothing else is overwritten")
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	done, err := a.backend.SwitchFirmware(ctx, model.FirmwareSwitchRequest{Modem: modem, Action: action, Old: old, Interrupt: interrupt})
	a.answer(req, done, err)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
