package ionmesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryAfter(t *testing.T) {
	const date = "Tue, 24 Nov 2026 20:00:00 GMT"
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", date, 0},
		{"120", "", 2 * time.Minute},
		{"4294967296", date, 0},
		{"-5", date, 0},
		{"999999", date, maxRetryAfter},
		{"Tue, 24 Nov 2026 20:05:00 GMT", date, 5 * time.Minute},
		{"Tue, 24 Nov 2026 19:00:00 GMT", date, 0},
		{"Tue, 24 Nov 2026 20:05:00 GMT", "", 0},
		{"soon", date, 0},
	} {
		require.Equal(t, c.want, retryAfter(c.value, c.date), "%q at %q", c.value, c.date)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "Tue, 24 Nov 2026 20:00:00 GMT")
	f.Add("Tue, 24 Nov 2026 20:05:00 GMT", "Tue, 24 Nov 2026 20:00:00 GMT")
	f.Add("Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		got := retryAfter(value, date)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, maxRetryAfter)
	})
}
