package api

import (
	"context"
	"errors"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/history"
	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// Limits of how many entries one reply holds.
const (
	defaultEvents = 100
	maxEvents     = 500
	defaultTrace  = 50
	maxTrace      = 200
)

func (a *API) events(ctx context.Context, req *ubus.Request) {
	since, err1 := req.Args.Int("since", 0)
	limit, err2 := limitArg(req, defaultEvents, maxEvents)
	kind, err3 := req.Args.Text("kind", "")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			a.refuse(req, err)
			return
		}
	}
	entries, err := a.engine.Events(ctx, since, limit, kind)
	if entries == nil {
		entries = []journal.Entry{}
	}
	a.answer(req, map[string]any{"events": entries}, err)
}

func limitArg(req *ubus.Request, def, most int64) (int, error) {
	n, err := req.Args.Int("limit", def)
	if err == nil && (n < 1 || n > most) {
		err = invalid("argument limit: %d is not 1..%d", n, most)
	}
	return int(n), err
}

func (a *API) trace(_ context.Context, req *ubus.Request) {
	modem, err1 := req.Args.Text("modem", "")
	since, err2 := req.Args.Int("since", 0)
	limit, err3 := limitArg(req, defaultTrace, maxTrace)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			a.refuse(req, err)
			return
		}
	}
	apdus, err := a.backend.Trace(modem, since, limit)
	a.answer(req, map[string]any{"apdus": apdus}, err)
}

func (a *API) history(ctx context.Context, req *ubus.Request) {
	metric, err1 := req.Args.Text("metric", "")
	subject, err2 := req.Args.Text("subject", "")
	span, err3 := req.Args.Text("range", "1h")
	if err := firstOf(err1, err2, err3); err != nil {
		a.refuse(req, err)
		return
	}
	answer, err := a.engine.History(ctx, metric, subject, span)
	if errors.Is(err, history.ErrUnknown) {
		var names []string
		for _, m := range history.Metrics() {
			names = append(names, m.Name)
		}
		err = invalid("%v; metrics: %s; ranges: %s", err, strings.Join(names, " "), strings.Join(history.Ranges(), " "))
	}
	a.answer(req, answer, err)
}
