package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLastGood(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadLastGood(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, SaveLastGood(dir, []byte(working)))
	require.NoError(t, SaveLastGood(dir, []byte(enabled)))
	got, err := LoadLastGood(dir)
	require.NoError(t, err)
	require.Equal(t, enabled, string(got))
	cfg, problems, err := Parse(LastGood, got)
	require.NoError(t, err)
	require.Empty(t, withoutLater(problems))
	require.Len(t, cfg.Modems, 2)

	info, err := os.Stat(filepath.Join(dir, LastGood))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file stays")
}

// Flash wears: the same text is not written again.
func TestLastGoodWritesOnlyChanges(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, SaveLastGood(dir, []byte(working)))
	before, err := os.Stat(filepath.Join(dir, LastGood))
	require.NoError(t, err)
	require.NoError(t, SaveLastGood(dir, []byte(working)))
	after, err := os.Stat(filepath.Join(dir, LastGood))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
}

func TestLastGoodSurvivesAFailedWrite(t *testing.T) {
	dir := t.TempDir()
	// A directory in the way makes the rename fail.
	require.NoError(t, os.Mkdir(filepath.Join(dir, LastGood), 0o700))
	err := SaveLastGood(dir, []byte(working))
	require.ErrorContains(t, err, "store the last good configuration: ")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file stays")
	require.ErrorIs(t, SaveLastGood(filepath.Join(dir, "none"), nil), fs.ErrNotExist)
}

func TestReadTextIsWhatLoadChecks(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), []byte(working), 0o644))
	text, err := ReadText(dir)
	require.NoError(t, err)
	require.Equal(t, working, string(text))
}
