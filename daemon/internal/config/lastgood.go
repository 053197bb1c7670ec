package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// LastGood is the name of the last accepted text in the state directory.
const LastGood = "config.last-good"

// SaveLastGood stores the text of an accepted configuration in the state
// directory, mode 0600. A crash or a power cut leaves the old text or the new
// one, whole. A text that is stored already is not written again: it is flash.
func SaveLastGood(stateDir string, text []byte) (err error) {
	if old, err := LoadLastGood(stateDir); err == nil && string(old) == string(text) {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("store the last good configuration: %w", err)
		}
	}()
	f, err := os.CreateTemp(stateDir, "."+LastGood+"-") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync() // the content before the name
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(stateDir, LastGood))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(stateDir)
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// LoadLastGood returns the stored text; the error wraps fs.ErrNotExist if there is none.
func LoadLastGood(stateDir string) ([]byte, error) {
	f, err := os.Open(filepath.Join(stateDir, LastGood))
	if err != nil {
		return nil, fmt.Errorf("open the last good configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read the last good configuration: %w", err)
	}
	return text, nil
}

// ReadText returns the text of the file `remsim` in a UCI directory, to be
// given to Parse and, once accepted, to SaveLastGood: what is stored is then
// what was checked.
func ReadText(dir string) ([]byte, error) { return read(filepath.Join(dir, FileName)) }
