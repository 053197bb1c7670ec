package ionmesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
)

// Kept is what outlives the process: the leases by modem, and what came of the
// last commands.
type Kept struct {
	Leases map[string]lease.Record `json:"leases"`
	Orders []KeptResult            `json:"orders,omitempty"`
}

// KeptResult is the result of one command, to be told again when it is asked again.
type KeptResult struct {
	Modem  string `json:"modem"`
	Result Result `json:"result"`
}

// Store keeps it.
type Store interface {
	Load() (Kept, error)
	// Save keeps k over a restart, and over a reboot too if durable.
	Save(k Kept, durable bool) error
}

// fileStore has one file in the run directory, which each change goes to, and one
// in the state directory, on flash, which is written only when it matters.
type fileStore struct{ state, run string }

// leaseFile is the name in both directories.
const leaseFile = "ionmesh.json"

// NewStore keeps its files in a directory that outlives a reboot and one that
// outlives a restart.
func NewStore(stateDir, runDir string) Store {
	return fileStore{filepath.Join(stateDir, leaseFile), filepath.Join(runDir, leaseFile)}
}

// Load reads both files and takes the newer record of each modem: the run
// directory's, unless flash has seen a later epoch.
func (s fileStore) Load() (Kept, error) {
	durable, err1 := load(s.state)
	k, err2 := load(s.run)
	for modem, r := range durable.Leases {
		have, ok := k.Leases[modem]
		if !ok || r.Client == have.Client && r.Epoch > have.Epoch {
			k.Leases[modem] = r
		}
	}
	return k, errors.Join(err1, err2)
}

func load(path string) (Kept, error) {
	k := Kept{Leases: make(map[string]lease.Record)}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		k, err = DecodeKept(b)
	}
	if err != nil {
		return k, fmt.Errorf("read what was kept of leases in %s: %w", path, err)
	}
	return k, nil
}

// DecodeKept reads a file of the store. Damage is an error, and nothing of it is
// used.
func DecodeKept(b []byte) (Kept, error) {
	var k Kept
	err := unmarshal(b, &k)
	if err != nil {
		k = Kept{}
	}
	if k.Leases == nil {
		k.Leases = make(map[string]lease.Record)
	}
	for modem, r := range k.Leases {
		if r.Card != nil && (r.Card.Bank.ID > maxID || r.Card.Bank.Slot > maxID) || r.Epoch < 0 {
			delete(k.Leases, modem)
			err = fmt.Errorf("the lease of %s has numbers out of range: %w", modem, ErrMalformed)
		}
	}
	return k, err
}

// Save writes the run directory's file, and the state directory's if durable.
func (s fileStore) Save(k Kept, durable bool) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep leases: %w", err)
	}
	err = replace(s.run, b)
	if durable {
		k.Orders = nil // they expire by themselves
		if b, err2 := json.Marshal(k); err2 == nil {
			err = errors.Join(err, replace(s.state, b))
		}
	}
	return err
}

// replace writes a file whole or not at all, readable by its owner only.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep leases: %w", err)
	}
	defer os.Remove(f.Name()) // nothing to remove once it was renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keep leases: %w", err)
	}
	return nil
}

// Forget removes both files, and tells whether there was one.
func Forget(stateDir, runDir string) (forgotten bool, err error) {
	var errs []error
	for _, dir := range []string{stateDir, runDir} {
		err := os.Remove(filepath.Join(dir, leaseFile))
		forgotten = forgotten || err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the lease: %w", err))
		}
	}
	return forgotten, errors.Join(errs...)
}
