package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startsFile counts the daemon's starts, in the state directory.
const startsFile = "starts"

// perStart is how many numbers each start has to give away. With 2^21 starts
// they stay below 2^53, so that JavaScript reads them exactly.
const perStart = 1 << 32

// firstNumber returns the first sequence number of this start, above every
// number of earlier ones whatever the clock says: a router without a battery
// starts each time in 1970. It costs one small write to flash per start. Where
// the state cannot be written the clock has to do, and the error says so.
func firstNumber(stateDir string, now time.Time) (int64, error) {
	path := filepath.Join(stateDir, startsFile)
	var starts int64
	if b, err := os.ReadFile(path); err == nil {
		// A damaged file counts from 0: numbers may then repeat once, which
		// is better than not starting.
		starts, _ = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	}
	starts = max(0, starts) + 1
	if err := writeFile(path, []byte(strconv.FormatInt(starts, 10)+"\n")); err != nil {
		return now.UnixMicro(), fmt.Errorf("count this start: %w", err)
	}
	return starts * perStart, nil
}

// writeFile replaces a file whole or not at all, readable by its owner only.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing to remove once it was renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
