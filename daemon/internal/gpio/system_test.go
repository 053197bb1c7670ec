package gpio

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// export lays out a directory as the kernel's gpio class has it.
func export(t *testing.T, files map[string]string) (*System, func(string) string) {
	t.Helper()
	s := &System{sysfs: t.TempDir()}
	dir := filepath.Join(s.sysfs, "sim1")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o644))
	}
	return s, func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(b)
	}
}

func TestExportedLine(t *testing.T) {
	for _, c := range []struct {
		name        string
		files       map[string]string
		high        bool
		file, wrote string // what Drive(true) writes
	}{
		{"active high", map[string]string{"value": "1", "active_low": "0"}, true, "value", "1"},
		{"active low inverts", map[string]string{"value": "1", "active_low": "1"}, false, "value", "0"},
		{"output that may change direction", map[string]string{"value": "0", "active_low": "0", "direction": "out"}, false, "value", "1"},
		{"input becomes an output in one step", map[string]string{"value": "0", "active_low": "1", "direction": "in"}, true, "direction", "high"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, read := export(t, c.files)
			h, err := s.Export("sim1")
			require.NoError(t, err)
			high, err := h.Level()
			require.NoError(t, err)
			require.Equal(t, c.high, high)
			require.NoError(t, h.Drive(true))
			require.Equal(t, c.wrote, read(c.file)[:len(c.wrote)])
			require.NoError(t, h.Close())
			_, err = h.Level()
			require.ErrorIs(t, err, ErrClosed)
		})
	}
}

func TestExportNamesStayInTheirDirectory(t *testing.T) {
	s, _ := export(t, map[string]string{"value": "0", "active_low": "0"})
	for _, name := range []string{"", "..", "../sim1", "sim1/device", "/etc"} {
		_, err := s.Export(name)
		require.ErrorIs(t, err, ErrBadLine, name)
	}
	_, err := s.Export("sim2")
	require.ErrorIs(t, err, ErrGone)
}

func TestDamagedMemoryIsEmpty(t *testing.T) {
	m := NewFileMemory(t.TempDir())
	for _, text := range []string{"", "null", "{", "[1]", "\x00"} {
		require.NoError(t, os.WriteFile(m.path, []byte(text), 0o600))
		_, cutOff, err := m.Pending("x")
		require.NoError(t, err)
		require.False(t, cutOff)
		require.NoError(t, m.Begin("x", false), text)
	}
}
