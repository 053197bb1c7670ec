package api

import (
	"context"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func (a *API) diagnose(_ context.Context, req *ubus.Request) {
	modem, err := req.Args.Text("modem", "")
	if err != nil {
		a.refuse(req, err)
		return
	}
	s := a.engine.Snapshot()
	known := func(m model.Modem) bool { return m.Name == modem }
	if modem != "" && !slices.ContainsFunc(s.Modems, known) {
		a.refuse(req, &model.CommandError{Kind: model.NotFound, Message: "there is no modem " + modem})
		return
	}
	checks, verdict := health.Diagnose(s, modem)
	a.answer(req, map[string]any{"checks": checks, "verdict": verdict}, nil)
}

// Targets of `test` that this version can try out.
var targets = []string{"server", "bank", "card", "path", "ionmesh"}

func (a *API) test(ctx context.Context, req *ubus.Request) {
	target, err1 := req.Args.Text("target", "")
	name, err2 := req.Args.Text("name", "")
	err := firstOf(err1, err2)
	if err == nil && !slices.Contains(targets, target) {
		err = invalid("argument target: %q is not one of %s", target, strings.Join(targets, " "))
	}
	if err != nil {
		a.refuse(req, err)
		return
	}
	steps, err := a.backend.Test(ctx, target, name)
	ok := len(steps) > 0
	for _, s := range steps {
		ok = ok && s.OK
	}
	a.answer(req, map[string]any{"ok": ok, "steps": steps}, err)
}

func (a *API) config(_ context.Context, req *ubus.Request) {
	a.answer(req, a.backend.ConfigReport(), nil)
}

func (a *API) reload(ctx context.Context, req *ubus.Request) {
	r := a.backend.Reload(ctx)
	a.answer(req, map[string]any{"ok": r.OK, "errors": r.Errors}, nil)
}
