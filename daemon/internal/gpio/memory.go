package gpio

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Memory keeps, across a crash of the daemon, which lines are away from rest.
type Memory interface {
	// Begin notes that the line is about to leave its rest level.
	Begin(line string, restHigh bool) error
	// End notes that it is back.
	End(line string) error
	// Pending tells whether a line was left away from rest.
	Pending(line string) (restHigh, cutOff bool, err error)
}

// FileMemory keeps it in one small file of the run directory: a reboot resets
// the hardware, so tmpfs is the right place.
type FileMemory struct {
	path string
	mu   sync.Mutex
}

// NewFileMemory keeps its file in dir.
func NewFileMemory(dir string) *FileMemory {
	return &FileMemory{path: filepath.Join(dir, "gpio-pulses.json")}
}

// Begin implements Memory.
func (m *FileMemory) Begin(line string, restHigh bool) error {
	return m.change(func(p map[string]bool) { p[line] = restHigh })
}

// End implements Memory.
func (m *FileMemory) End(line string) error {
	return m.change(func(p map[string]bool) { delete(p, line) })
}

// Pending implements Memory.
func (m *FileMemory) Pending(line string) (restHigh, cutOff bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.read()
	restHigh, cutOff = p[line]
	return restHigh, cutOff, err
}

// read takes a damaged file for an empty one: it cannot be told what was in it,
// and refusing to work would help nobody.
func (m *FileMemory) read() (map[string]bool, error) {
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]bool{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pulses that were cut off: %w", err)
	}
	p := map[string]bool{}
	if json.Unmarshal(b, &p) != nil || p == nil {
		return map[string]bool{}, nil
	}
	return p, nil
}

func (m *FileMemory) change(f func(map[string]bool)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.read()
	if err != nil {
		return err
	}
	f(p)
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("note a pulse: %w", err)
	}
	tmp := m.path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("note a pulse: %w", err)
	}
	if err := os.Rename(tmp, m.path); err != nil {
		return fmt.Errorf("note a pulse: %w", err)
	}
	return nil
}
