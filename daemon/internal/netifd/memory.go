package netifd

import (
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// debts are the interfaces that this package has taken down and not brought up
// since. With a file they outlive the process: netifd leaves down what was taken
// down, so a daemon that dies in between owes the `up` when it starts again.
// The owner locks.
type debts struct {
	file string          // "" keeps them in memory only
	idle map[string]bool // by interface: it was seen down since
}

// newDebts reads what an earlier run has left. What it took down is down by now.
// A file that is damaged or not there is an empty one: refusing to work would
// help nobody.
func newDebts(file string) *debts {
	d := &debts{file: file, idle: map[string]bool{}}
	if file == "" {
		return d
	}
	b, err := os.ReadFile(file)
	var names []string
	if err != nil || json.Unmarshal(b, &names) != nil {
		return d
	}
	for _, name := range names {
		d.idle[name] = true
	}
	return d
}

// add notes an interface that is about to be taken down.
func (d *debts) add(name string) {
	if _, known := d.idle[name]; !known {
		d.idle[name] = false
		d.keep()
	}
}

// pay notes that it was brought up.
func (d *debts) pay(name string) {
	if _, known := d.idle[name]; known {
		delete(d.idle, name)
		d.keep()
	}
}

// mark enters in a list from netifd what is owed. What somebody else has brought
// up after it was down is owed no more.
func (d *debts) mark(list []model.Interface) {
	for i := range list {
		wasIdle, owed := d.idle[list[i].Name]
		switch {
		case !owed:
		case list[i].Idle():
			d.idle[list[i].Name], list[i].TakenDown = true, true
		case wasIdle:
			d.pay(list[i].Name)
		}
	}
}

// keep writes the file. Without it only a crash in the next moments leaves an
// interface down, which is no reason not to go on.
func (d *debts) keep() {
	if d.file == "" {
		return
	}
	b, err := json.Marshal(slices.Sorted(maps.Keys(d.idle)))
	if err != nil {
		return
	}
	if os.WriteFile(d.file+".new", b, 0o600) == nil {
		_ = os.Rename(d.file+".new", d.file)
	}
}
