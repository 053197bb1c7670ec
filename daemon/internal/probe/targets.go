package probe

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Bounds of what is looked up and asked.
const (
	maxTargets  = 3 // addresses of one family that a burst goes to
	lookupTime  = 5 * time.Second
	lookupAgain = 12 * time.Hour
	lookupRetry = time.Minute // while a name has no address
)

// family is an index of watcher.families.
type family int

const (
	four family = iota
	six
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return four
	}
	return six
}

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// target is one address that may answer.
type target struct {
	addr netip.AddrPort // port 0: no connection may be opened to it
	dns  bool           // a DNS server of the link
}

// find resolves the peers of the link. What cannot be resolved keeps the
// addresses that it had.
func (w *watcher) find(ctx context.Context) {
	w.resolved, w.unresolved = time.Now(), false
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	var found [2][]target
	add := func(host string, port uint16) {
		addrs, err := w.driver.opts.World.Lookup(ctx, w.job.link.Path, host)
		if err != nil {
			addrs = w.names[host]
		}
		w.unresolved = w.unresolved || len(addrs) == 0
		w.names[host] = addrs
		for _, a := range addrs {
			t := target{addr: netip.AddrPortFrom(a, port)}
			if f := familyOf(a); len(found[f]) < maxTargets && !slices.Contains(found[f], t) {
				found[f] = append(found[f], t)
			}
		}
	}
	for _, hostport := range w.job.link.Targets {
		if host, text, err := net.SplitHostPort(hostport); err == nil {
			port, _ := strconv.ParseUint(text, 10, 16)
			add(host, uint16(port))
		}
	}
	for _, host := range w.job.link.Extra {
		add(host, 0)
	}
	for _, a := range w.job.link.Path.DNS {
		if f := familyOf(a.Unmap()); !slices.ContainsFunc(found[f], func(t target) bool { return t.dns }) {
			found[f] = append(found[f], target{addr: netip.AddrPortFrom(a.Unmap(), 53), dns: true})
		}
	}
	for f := range w.families {
		w.families[f].targets = found[f]
	}
}

// stale tells that names are to be looked up again: long ago, or in vain.
func (w *watcher) stale() bool {
	age := time.Since(w.resolved)
	return age >= lookupAgain || w.unresolved && age >= lookupRetry
}

// kinds are the ways to ask a target: the one that it is known to answer, or all
// that are allowed.
func (w *watcher) kinds(t target) []Kind {
	if t.dns {
		return []Kind{Query}
	}
	if k, known := w.driver.howAnswers(t.addr.Addr()); known && (k == Echo || t.addr.Port() != 0) {
		return []Kind{k}
	}
	if t.addr.Port() != 0 {
		return []Kind{Echo, Connect}
	}
	return []Kind{Echo}
}

// proven tells that a target has answered before.
func (w *watcher) proven(t target) bool {
	_, known := w.driver.howAnswers(t.addr.Addr())
	return known
}

// first is the target of a family for a single probe: a proven peer, else a peer,
// else a DNS server.
func (w *watcher) first(f family) (t target, ok bool) {
	list := w.families[f].targets
	if len(list) == 0 {
		return t, false
	}
	for _, proven := range []bool{true, false} {
		for _, t := range list {
			if !t.dns && (!proven || w.proven(t)) {
				return t, true
			}
		}
	}
	return list[0], true
}

// sameHosts tells whether two links ask the same peers.
func sameHosts(a, b model.ProbeLink) bool {
	return slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Extra, b.Extra) && slices.Equal(a.Path.DNS, b.Path.DNS)
}
