package route

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func sampleRules() []Rule {
	return []Rule{
		{Family: IPv4, Pref: 400, Protocol: Protocol, Mark: 0xf0000000, Mask: 0xf0000000, Table: 17215},
		{Family: IPv6, Pref: 421, Protocol: Protocol, From: netip.MustParsePrefix("2001:db8::/56"), Table: 17201},
		{Family: IPv4, Pref: 410, Protocol: Protocol, Out: "wwan0", Table: 254, Suppress: true},
		{Family: IPv4, Pref: 1001, In: "wan", Table: 1},
	}
}

func sampleRoutes() []Route {
	return []Route{
		{Family: IPv4, Table: 17201, To: anywhere(IPv4), Metric: metricEnd, Unreachable: true},
		{Family: IPv4, Table: 17201, To: anywhere(IPv4), Metric: 1, Via: netip.MustParseAddr("100.64.0.1"), OnLink: true},
		{Family: IPv6, Table: 17202, To: linkLocal, Metric: 1},
	}
}

func TestMessagesReadBack(t *testing.T) {
	for _, want := range sampleRules() {
		b, err := encodeRule(want)
		require.NoError(t, err)
		got, err := decodeRule(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, want := range sampleRoutes() {
		b, err := encodeRoute(want, 7)
		require.NoError(t, err)
		got, index, protocol, err := decodeRoute(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, Protocol, protocol)
		require.Equal(t, !want.Unreachable, index == 7)
	}
}

// FuzzDecode holds that no message of the kernel makes a decoder panic, and that
// whatever rule or route of ours is accepted can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, r := range sampleRules() {
		b, err := encodeRule(r)
		require.NoError(f, err)
		f.Add(b)
	}
	for _, r := range sampleRoutes() {
		b, err := encodeRoute(r, 7)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error) bool {
			if err != nil && !errors.Is(err, errMalformed) {
				t.Fatalf("error is not errMalformed: %v", err)
			}
			return err == nil
		}
		if r, err := decodeRule(b); check(err) && (r.Family == IPv4 || r.Family == IPv6) && r.Mask != 0 && r.Table != 0 {
			again, err := encodeRule(r)
			require.NoError(t, err)
			back, err := decodeRule(again)
			require.NoError(t, err)
			require.Equal(t, r, back)
		}
		if r, index, _, err := decodeRoute(b); check(err) && r.To.IsValid() && r.To.Bits() > 0 && !r.Via.IsValid() {
			again, err := encodeRoute(r, index)
			require.NoError(t, err)
			back, _, _, err := decodeRoute(again)
			require.NoError(t, err)
			require.Equal(t, r, back)
		}
		_, err := decodeLink(b)
		check(err)
		_, _, err = decodeAddr(b)
		check(err)
		_, err = decodeTracked(b)
		check(err)
	})
}
