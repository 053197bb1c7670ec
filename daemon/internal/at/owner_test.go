package at_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
)

// The port's last owner went away amid getting into step: the answer to its marker comes
// to us, before ours.
func TestTheLastOwnersMarkerIsNotOurs(t *testing.T) {
	m, err := atfake.New(t.TempDir(), "quectel-lte")
	require.NoError(t, err)
	t.Cleanup(m.Close)
	last, err := at.OpenPort(m.Path())
	require.NoError(t, err)
	_, err = last.Write([]byte("ATE0\r\rAT+CMEE?\r"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(m.Received()) == 2 }, limit, 1e6)
	require.NoError(t, last.Close()) // the answers stay in the tty

	b := start(t, m, patient)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for range 3 {
		lines, err := b.conn.Do(ctx, at.Command{Text: "+CGMI", Shape: at.Bare})
		require.NoError(t, err)
		require.Equal(t, []string{"Quectel"}, lines)
	}
}
