package engine

import (
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// askAgain is how often Hardware looks whether netifd has told by now.
const askAgain = 50 * time.Millisecond

// Hardware gives what the drivers have told of modems and interfaces. It waits for
// netifd's first word, for at most the time given: the watch may just have begun.
func (e *Engine) Hardware(ctx context.Context, wait time.Duration) (out model.Hardware, err error) {
	for deadline := time.Now().Add(wait); ; {
		told := false
		if err := e.do(ctx, func(time.Time) { out, told = e.toldHardware() }); err != nil {
			return out, err
		}
		if told || time.Now().After(deadline) {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-time.After(askAgain):
		}
	}
}

// toldHardware copies what was told, and says whether netifd has told anything and
// named its interfaces.
func (e *Engine) toldHardware() (out model.Hardware, told bool) {
	h := &e.hardware
	out = model.Hardware{
		Modems: slices.Collect(maps.Values(h.modems)), Networks: slices.Collect(maps.Values(h.networks)), Configured: make(map[string]string),
	}
	sort.Slice(out.Modems, func(i, j int) bool { return out.Modems[i].Device < out.Modems[j].Device })
	sort.Slice(out.Networks, func(i, j int) bool { return out.Networks[i].Name < out.Networks[j].Name })
	for _, m := range e.modems {
		if m.seen != nil {
			out.Configured[m.seen.Device] = m.conf.Name
		}
	}
	if !h.service.Up {
		out.Service = "ModemManager: " + orWords(h.service.Reason)
	}
	if !h.netifd.Up {
		out.Netifd = "netifd: " + orWords(h.netifd.Reason)
	}
	return out, !h.netifd.When().IsZero() && (!h.netifd.Up || len(h.networks) > 0)
}

func orWords(reason string) string {
	if reason == "" {
		return "nothing was told yet"
	}
	return reason
}
