package journal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
)

var t0 = time.Unix(1_800_000_000, 0)

func TestRepetitionIsCountedAndMovesToTheEnd(t *testing.T) {
	j := journal.New(100)
	j.Add(t0, "server", "primary", "connection refused", nil)
	j.Add(t0.Add(time.Second), "card", "primary", "card inserted", nil)
	again := j.Add(t0.Add(2*time.Second), "server", "primary", "connection refused", nil)

	require.Equal(t, 2, again.Count)
	require.Equal(t, int64(102), again.ID)
	all := j.Since(0, 10, "")
	require.Len(t, all, 2)
	require.Equal(t, []string{"card", "server"}, []string{all[0].Kind, all[1].Kind})
	require.Equal(t, all[1:], j.Since(101, 10, ""), "who has seen 101 sees only the repetition")
}

func TestWhatIsNoRepetitionIsKeptApart(t *testing.T) {
	j := journal.New(1)
	j.Add(t0, "card", "primary", "card inserted", map[string]string{"atr": "3B00"})
	j.Add(t0, "card", "primary", "card inserted", map[string]string{"atr": "3B01"})
	j.Add(t0, "card", "iot", "card inserted", map[string]string{"atr": "3B00"})
	j.Add(t0.Add(11*time.Minute), "card", "primary", "card inserted", map[string]string{"atr": "3B00"})
	require.Len(t, j.Since(0, 10, ""), 4, "other data, another subject, too long ago")
}

func TestHistoryIsBoundedAndFiltered(t *testing.T) {
	j := journal.New(1)
	for i := range 2000 {
		j.Add(t0, []string{"a", "b"}[i%2], "x", fmt.Sprint(i), nil)
	}
	require.Len(t, j.Since(0, 5000, ""), 500)
	newest := j.Since(0, 3, "a")
	require.Equal(t, []string{"1994", "1996", "1998"}, []string{newest[0].Text, newest[1].Text, newest[2].Text})
	require.Empty(t, j.Since(2000, 10, ""))
}
