package cell_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
)

func woken(c *cell.Cell[int]) bool {
	select {
	case <-c.Changed():
		return true
	default:
		return false
	}
}

func TestNewestWinsAndEqualWakesNobody(t *testing.T) {
	c := cell.New(1, func(a, b int) bool { return a == b })
	require.False(t, woken(c), "a new cell has no change to report")

	c.Set(1)
	require.False(t, woken(c), "an equal value is no change")

	c.Set(2)
	c.Set(3)
	require.True(t, woken(c))
	require.False(t, woken(c), "two changes make one wake-up")
	require.Equal(t, 3, c.Get())
}
