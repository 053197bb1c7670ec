package uimremote

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The firmware's switch: the service is compiled into Qualcomm modems, and registered at
// boot if this EFS item says so. Quectel modems ship with 00 (RG650E, RG502Q, RM520N-GL:
// ddimension/wwand-rsim, docs/plan.md §1 and §5) and let AT commands read and write
// it: AT+QNVFR answers +QNVFR: and the bytes in hexadecimal digits, AT+QNVFW writes them.
const (
	enableItem = "/nv/item_files/modem/uim/remote/uim_remote_service_enable"
	enabled    = "01"
)

// Errors of the switch.
var (
	// ErrNotQuectel: only Quectel's commands for EFS items are known.
	ErrNotQuectel = errors.New("the modem is not from Quectel; no other way to switch UIM Remote on is known")
	// ErrNoItem: the firmware does not have the switch, so it has no UIM Remote either.
	ErrNoItem = errors.New("the modem's firmware has no switch for UIM Remote")
	// ErrChanged: the modem is not as the plan or the backup says.
	ErrChanged = errors.New("the modem is not the one, or not in the state, that this was made for")
	// ErrAnswer: what the modem said, or what a backup holds, is not understood.
	ErrAnswer = errors.New("not understood")
	// ErrNotWritten: the modem said OK and the item is as it was.
	ErrNotWritten = errors.New("the modem did not take the value")
)

// AT sends one AT command ("AT+CGMM") and returns the lines of its answer without the
// final OK; ERROR and +CME ERROR are errors.
type AT interface {
	Do(ctx context.Context, command string) ([]string, error)
}

// Plan is what switching UIM Remote on would do to a modem. Making one only reads.
type Plan struct {
	Model string
	Item  string // of the EFS
	Old   string // its value now, in hexadecimal digits
	New   string
	// Commands are what Apply sends, in order, and Undo what undoes it. Both are empty
	// if the switch is on already.
	Commands []string
	Undo     []string
}

// Needed tells whether there is anything to do.
func (p Plan) Needed() bool { return len(p.Commands) > 0 }

// String writes the plan for an operator to decide on.
func (p Plan) String() string {
	if !p.Needed() {
		return fmt.Sprintf("UIM Remote is on in the firmware of this %s already (%s = %s); nothing to do", p.Model, p.Item, p.Old)
	}
	return fmt.Sprintf("switch UIM Remote on in the firmware of this %s: %s from %s to %s\n  do:   %s\n  undo: %s\nIt takes effect when the modem restarts.",
		p.Model, p.Item, p.Old, p.New, strings.Join(p.Commands, "; "), strings.Join(p.Undo, "; "))
}

// planFor is the plan for a modem with this value.
func planFor(model, old string) Plan {
	p := Plan{Model: model, Item: enableItem, Old: old, New: enabled}
	if old != enabled {
		p.Commands = []string{writeCommand(enabled), readCommand()}
		p.Undo = []string{writeCommand(old), readCommand()}
	}
	return p
}

func readCommand() string { return fmt.Sprintf("AT+QNVFR=%q", enableItem) }

func writeCommand(value string) string { return fmt.Sprintf("AT+QNVFW=%q,%s", enableItem, value) }

// EnablePlan reads what the modem is and how its switch stands, and tells what switching
// UIM Remote on would do. It changes nothing.
func EnablePlan(ctx context.Context, at AT) (Plan, error) {
	model, err := quectelModel(ctx, at)
	if err != nil {
		return Plan{}, err
	}
	old, err := readItem(ctx, at)
	if err != nil {
		return Plan{}, err
	}
	return planFor(model, old), nil
}

// backup is the file that Undo needs.
type backup struct {
	Model string `json:"model"`
	Item  string `json:"item"`
	Value string `json:"value"`
}

// Apply carries a plan out, for an operator who has seen it: it writes the old value to
// the backup file, then the new one to the modem, and reads it back. It takes effect when
// the modem restarts, which is the caller's to do. An older backup of the same modem and
// value is kept; another one is never overwritten.
func Apply(ctx context.Context, at AT, p Plan, backupFile string) error {
	if !p.Needed() {
		return nil
	}
	model, err := quectelModel(ctx, at)
	if err != nil {
		return err
	}
	old, err := readItem(ctx, at)
	if err != nil {
		return err
	}
	if now := planFor(model, old); now.String() != p.String() {
		return fmt.Errorf("switch UIM Remote on: %w: the plan is for %s with %s, this is %s with %s", ErrChanged, p.Model, p.Old, model, old)
	}
	if err := keep(backupFile, backup{Model: model, Item: enableItem, Value: old}); err != nil {
		return fmt.Errorf("keep the old value of %s: %w", enableItem, err)
	}
	return writeItem(ctx, at, p.New)
}

// Kept tells what a backup file holds: the value that Undo writes back, "" if there is no
// backup.
func Kept(backupFile string) (value string, err error) {
	b, err := readBackup(backupFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return b.Value, err
}

// Undo writes the value in the backup file to the modem again and reads it back; then
// it removes the file. Like Apply it takes effect when the modem restarts.
func Undo(ctx context.Context, at AT, backupFile string) error {
	b, err := readBackup(backupFile)
	if err != nil {
		return fmt.Errorf("undo the switch of UIM Remote: %w", err)
	}
	model, err := quectelModel(ctx, at)
	if err != nil {
		return err
	}
	if model != b.Model {
		return fmt.Errorf("undo the switch of UIM Remote: %w: the backup is of %s, this is %s", ErrChanged, b.Model, model)
	}
	if err := writeItem(ctx, at, b.Value); err != nil {
		return err
	}
	if err := os.Remove(backupFile); err != nil {
		return fmt.Errorf("remove the backup, which was written back: %w", err)
	}
	return nil
}

// quectelModel tells the model of a Quectel modem.
func quectelModel(ctx context.Context, at AT) (string, error) {
	maker, err := at.Do(ctx, "AT+CGMI")
	if err != nil {
		return "", fmt.Errorf("ask the modem's manufacturer: %w", err)
	}
	if len(maker) == 0 || !strings.Contains(strings.ToLower(maker[0]), "quectel") {
		return "", fmt.Errorf("%w; it says %q", ErrNotQuectel, maker)
	}
	model, err := at.Do(ctx, "AT+CGMM")
	if err != nil {
		return "", fmt.Errorf("ask the modem's model: %w", err)
	}
	if len(model) == 0 || strings.TrimSpace(model[0]) == "" {
		return "", fmt.Errorf("ask the modem's model: %w: an empty answer", ErrAnswer)
	}
	return strings.TrimSpace(model[0]), nil
}

// readItem reads the switch. A modem that refuses the command, ctx being well, does not
// have the item.
func readItem(ctx context.Context, at AT) (string, error) {
	lines, err := at.Do(ctx, readCommand())
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrNoItem, readCommand(), err)
	}
	for _, l := range lines {
		v, ok := strings.CutPrefix(strings.TrimSpace(l), "+QNVFR:")
		if !ok {
			continue
		}
		v = strings.ToUpper(strings.Trim(strings.TrimSpace(v), `"`))
		if b, err := hex.DecodeString(v); err == nil && len(b) > 0 && len(b) <= 16 {
			return v, nil
		}
	}
	return "", fmt.Errorf("read %s: %w: no value of 1 to 16 bytes in the answer", enableItem, ErrAnswer)
}

// writeItem writes the switch and reads it back.
func writeItem(ctx context.Context, at AT, value string) error {
	if _, err := at.Do(ctx, writeCommand(value)); err != nil {
		return fmt.Errorf("write %s to %s: %w", value, enableItem, err)
	}
	got, err := readItem(ctx, at)
	if err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	if got != value {
		return fmt.Errorf("write %s to %s: %w: it is %s", value, enableItem, ErrNotWritten, got)
	}
	return nil
}

// keep writes the backup so that it survives a power cut.
func keep(file string, b backup) error {
	old, err := readBackup(file)
	switch {
	case err == nil && old == b:
		return nil
	case err == nil || !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s is there already and says something else; undo it, or move it away", file)
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(text, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the first error is the one to tell
	}
	return err
}

func readBackup(file string) (backup, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return backup{}, err
	}
	var b backup
	if err := json.Unmarshal(text, &b); err != nil {
		return backup{}, fmt.Errorf("read backup %s: %w", file, err)
	}
	if v, err := hex.DecodeString(b.Value); err != nil || len(v) == 0 || len(v) > 16 || b.Item != enableItem || b.Model == "" {
		return backup{}, fmt.Errorf("read backup %s: %w: it is no backup of %s", file, ErrAnswer, enableItem)
	}
	b.Value = strings.ToUpper(b.Value)
	return b, nil
}
