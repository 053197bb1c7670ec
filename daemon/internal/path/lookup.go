package path

import (
	"context"
	"net/netip"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Lookup resolves a name in both families over a path, as Dial does. It fails
// if neither family has an address.
func (p *Paths) Lookup(ctx context.Context, via model.Path, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	d := &attempt{paths: p, via: via, purpose: model.PurposeDNS, network: "udp"}
	type found struct {
		ips []netip.Addr
		err error
	}
	other := make(chan found, 1)
	go func() {
		ips, err := d.lookup(ctx, "ip6", host)
		other <- found{ips, err}
	}()
	four, err := d.lookup(ctx, "ip4", host)
	six := <-other
	out := make([]netip.Addr, 0, len(four)+len(six.ips))
	for _, ip := range append(four, six.ips...) {
		out = append(out, ip.Unmap())
	}
	if len(out) > 0 {
		return out, nil
	}
	if err == nil {
		err = six.err
	}
	return nil, err
}
