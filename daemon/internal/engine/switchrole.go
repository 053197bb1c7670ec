package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// switchRole has a role use a link, or gives the choice back.
func (e *Engine) switchRole(now time.Time, c model.SwitchRole) error {
	if c.Role != failover.RoleData && c.Role != failover.RoleControl {
		return refuse(model.InvalidArgument, "role %q is neither data nor control", c.Role)
	}
	if len(e.links.list) == 0 {
		return refuse(model.NotSupported, "no link is configured: give the modems their option network, or add a config link")
	}
	forced := maps.Clone(e.links.forced)
	if forced == nil {
		forced = make(map[string]string)
	}
	if c.Link == "auto" {
		delete(forced, c.Role)
		e.links.forced = forced
		e.note(now, model.KindCommand, "remsim", fmt.Sprintf("switch: the failover chooses the link for %s traffic again", c.Role), nil)
		return nil
	}
	l := e.link(c.Link)
	switch {
	case l == nil:
		return refuse(model.NotFound, "there is no link %q; these are: %s", c.Link, strings.Join(e.linkNames(), " "))
	case c.Role == failover.RoleControl && !slices.Contains(e.settings.Failover.ControlOrder, c.Link):
		return refuse(model.InvalidArgument, "%s may not carry control traffic: option control_path has only %s", c.Link, strings.Join(e.settings.Failover.ControlOrder, " "))
	case c.Role == failover.RoleData && l.conf.User == model.UserNever:
		return refuse(model.InvalidArgument, "%s may not carry user traffic: its option user_traffic is never", c.Link)
	case !l.usable:
		return refuse(model.InvalidArgument, "%s cannot carry anything now: %s", c.Link, l.reason())
	}
	forced[c.Role] = c.Link
	e.links.forced = forced
	e.note(now, model.KindCommand, "remsim", fmt.Sprintf("switch: %s traffic shall use %s while that is usable", c.Role, c.Link), nil)
	return nil
}

func (e *Engine) linkNames() (names []string) {
	for _, l := range e.links.list {
		names = append(names, l.conf.Name)
	}
	return names
}
