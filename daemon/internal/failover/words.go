package failover

import (
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// why says why a link is not usable.
func (c *candidate) why() string {
	switch {
	case c.barred != "":
		return c.barred
	case c.link.Reason != "":
		return c.link.Reason
	case c.track.class == isDown:
		return "it is down"
	}
	if c.link.LastGood.IsZero() {
		return "it was not judged yet"
	}
	return "it gives no answer"
}

// named is the link of the role, since when, and why in one sentence.
func (c *choice) named() (link, reason string, since time.Time) {
	k := c.current()
	switch {
	case k == nil && len(c.list) == 0:
		return "", "there is no link", c.mem.since
	case k == nil:
		return "", "no link can be used", c.mem.since
	case c.starting:
		return c.mem.link, fmt.Sprintf("%s is tried first: it is up, and was not judged yet", c.mem.link), c.mem.since
	case !k.usable() && c.anyUsable():
		return c.mem.link, fmt.Sprintf("%s is kept for now although it is not usable (%s): the others fell lately and have to stay good first", c.mem.link, k.why()), c.mem.since
	case !k.usable():
		return c.mem.link, fmt.Sprintf("%s is kept although it is not usable (%s), since no other is", c.mem.link, k.why()), c.mem.since
	}
	return c.mem.link, fmt.Sprintf("%s: %s", c.mem.link, c.mem.why), c.mem.since
}

// verdicts are one line per candidate.
func (c *choice) verdicts(role string) []model.Candidate {
	out := make([]model.Candidate, 0, len(c.list))
	for i := range c.list {
		k := &c.list[i]
		out = append(out, model.Candidate{Link: k.link.Name, Role: role, Usable: k.usable(), Reason: c.verdict(k)})
	}
	return out
}

func (c *choice) verdict(k *candidate) string {
	switch {
	case !k.usable():
		return k.why()
	case k.link.Name == c.mem.link && k.forced:
		return "in use, chosen by hand"
	case k.link.Name == c.mem.link:
		return "in use"
	case k.waits > 0:
		return fmt.Sprintf("usable, has to stay good for %s before it takes over", span(k.waits))
	case k.behind != "":
		return "usable; " + k.behind
	}
	return "usable"
}

// span is a duration in words: seconds up to five minutes, then minutes.
func span(d time.Duration) string {
	if d = d.Round(time.Second); d <= 5*time.Minute {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
}
