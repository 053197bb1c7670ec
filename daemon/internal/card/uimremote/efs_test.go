package uimremote_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
)

// quectel is a modem's AT port.
type quectel struct {
	maker, model, value string
	noItem, stubborn    bool
	sent                []string
}

var errAT = errors.New("+CME ERROR: 4")

const item = `"/nv/item_files/modem/uim/remote/uim_remote_service_enable"`

func (q *quectel) Do(_ context.Context, command string) ([]string, error) {
	q.sent = append(q.sent, command)
	switch {
	case command == "AT+CGMI":
		return []string{q.maker}, nil
	case command == "AT+CGMM":
		return []string{q.model}, nil
	case q.noItem:
	case command == "AT+QNVFR="+item:
		return []string{"+QNVFR: " + q.value}, nil
	case strings.HasPrefix(command, "AT+QNVFW="+item+","):
		if !q.stubborn {
			q.value = command[strings.LastIndex(command, ",")+1:]
		}
		return nil, nil
	}
	return nil, errAT
}

func (q *quectel) writes() int {
	return len(slices.DeleteFunc(slices.Clone(q.sent), func(c string) bool { return !strings.HasPrefix(c, "AT+QNVFW") }))
}

func rm520n() *quectel { return &quectel{maker: "Quectel", model: "RM520N-GL", value: "00"} }

func TestPlanOnlyReads(t *testing.T) {
	q := rm520n()
	p, err := uimremote.EnablePlan(within(t), q)
	require.NoError(t, err)
	require.True(t, p.Needed())
	require.Equal(t, []string{"AT+CGMI", "AT+CGMM", "AT+QNVFR=" + item}, q.sent)
	require.Equal(t, []string{"AT+QNVFW=" + item + ",01", "AT+QNVFR=" + item}, p.Commands)
	require.Equal(t, []string{"AT+QNVFW=" + item + ",00", "AT+QNVFR=" + item}, p.Undo)
	require.Contains(t, p.String(), "from 00 to 01")
	require.Contains(t, p.String(), "when the modem restarts")
}

func TestApplyAndUndo(t *testing.T) {
	q, file := rm520n(), filepath.Join(t.TempDir(), "uim-remote.json")
	p, err := uimremote.EnablePlan(within(t), q)
	require.NoError(t, err)
	require.NoError(t, uimremote.Apply(within(t), q, p, file))
	require.Equal(t, "01", q.value)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	p, err = uimremote.EnablePlan(within(t), q)
	require.NoError(t, err)
	require.False(t, p.Needed())
	require.Contains(t, p.String(), "nothing to do")
	require.NoError(t, uimremote.Apply(within(t), q, p, file))
	require.Equal(t, 1, q.writes())

	require.NoError(t, uimremote.Undo(within(t), q, file))
	require.Equal(t, "00", q.value)
	require.NoFileExists(t, file)
	require.ErrorIs(t, uimremote.Undo(within(t), q, file), os.ErrNotExist)
	require.Equal(t, 2, q.writes())
}

func TestTheSwitchRefuses(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(q *quectel, file string)
		want   error
		text   string
	}{
		{"another maker", func(q *quectel, _ string) { q.maker = "Fibocom" }, uimremote.ErrNotQuectel, ""},
		{"no item", func(q *quectel, _ string) { q.noItem = true }, uimremote.ErrNoItem, "+CME ERROR: 4"},
		{"another value than in the plan", func(q *quectel, _ string) { q.value = "02" }, uimremote.ErrChanged, ""},
		{"another modem than in the plan", func(q *quectel, _ string) { q.model = "EG25" }, uimremote.ErrChanged, ""},
		{"no value", func(q *quectel, _ string) { q.value = "zz" }, uimremote.ErrAnswer, ""},
		{"another backup", func(_ *quectel, file string) {
			_ = os.WriteFile(file, []byte(`{"model":"EG25","item":`+item+`,"value":"00"}`), 0o600)
		}, nil, "is there already"},
		{"no place for the backup", func(_ *quectel, file string) { _ = os.RemoveAll(filepath.Dir(file)) }, os.ErrNotExist, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			q, file := rm520n(), filepath.Join(t.TempDir(), "uim-remote.json")
			p, err := uimremote.EnablePlan(within(t), q)
			require.NoError(t, err)
			x.change(q, file)
			err = uimremote.Apply(within(t), q, p, file)
			require.Error(t, err)
			if x.want != nil {
				require.ErrorIs(t, err, x.want)
			}
			require.ErrorContains(t, err, x.text)
			require.Zero(t, q.writes(), "nothing is written")
		})
	}
}

func TestAModemThatDoesNotTakeTheValue(t *testing.T) {
	q, file := rm520n(), filepath.Join(t.TempDir(), "uim-remote.json")
	p, err := uimremote.EnablePlan(within(t), q)
	require.NoError(t, err)
	q.stubborn = true
	require.ErrorIs(t, uimremote.Apply(within(t), q, p, file), uimremote.ErrNotWritten)
	require.FileExists(t, file)
	q.stubborn = false
	require.NoError(t, uimremote.Apply(within(t), q, p, file), "the same backup is kept")

	q.model = "EG25"
	require.ErrorIs(t, uimremote.Undo(within(t), q, file), uimremote.ErrChanged)
	require.NoError(t, os.WriteFile(file, []byte(`{"model":"EG25","item":"/nv/other","value":"00"}`), 0o600))
	require.ErrorIs(t, uimremote.Undo(within(t), q, file), uimremote.ErrAnswer)
}
