package path

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// TestLookup: a name is asked for in both families, of the servers of the link.
func TestLookup(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	a, b := world(t)
	a.name("bank.example", "192.0.2.1", "2001:db8::1")
	b.name("bank.example", "203.0.113.9")
	paths := New(Options{})
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	for _, tt := range []struct {
		host string
		over *carrier
		want []string
	}{
		{"bank.example", a, []string{"192.0.2.1", "2001:db8::1"}},
		{"bank.example", b, []string{"203.0.113.9"}},
		{"192.0.2.7", a, []string{"192.0.2.7"}},
		{"::ffff:192.0.2.7", a, []string{"192.0.2.7"}},
	} {
		got, err := paths.Lookup(ctx, tt.over.path, tt.host)
		require.NoError(t, err, tt.host)
		var text []string
		for _, ip := range got {
			text = append(text, ip.String())
		}
		require.Equal(t, tt.want, text, tt.host)
	}
	got, err := paths.Lookup(ctx, b.path, "nowhere.example")
	require.Error(t, err)
	require.Equal(t, []netip.Addr(nil), got)
}
