package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumbersNeverRepeatWhateverTheClockSays(t *testing.T) {
	dir := t.TempDir()
	last := int64(0)
	for range 5 {
		n, err := firstNumber(dir, time.Unix(0, 0)) // no battery: always 1970
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, last+perStart)
		require.Less(t, n, int64(1)<<53, "JavaScript reads it exactly")
		last = n
	}
	info, err := os.Stat(filepath.Join(dir, startsFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file is left")
}

func TestWithoutStateTheClockHasToDo(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	n, err := firstNumber(filepath.Join(t.TempDir(), "missing"), now)
	require.ErrorContains(t, err, "count this start")
	require.Equal(t, now.UnixMicro(), n)
}

func TestDamagedCountStartsAgain(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, startsFile), []byte("garbage"), 0o600))
	n, err := firstNumber(dir, time.Now())
	require.NoError(t, err)
	require.Equal(t, int64(perStart), n)
}
