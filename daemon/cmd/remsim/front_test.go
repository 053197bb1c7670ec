package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus/ubusfake"
)

// firmware plays the daemon's method front for a modem whose port ModemManager has open.
type firmware struct {
	value, kept string
	open        bool     // in ModemManager
	asked       []string // actions that got through
}

func (f *firmware) serve(_ context.Context, req *ubus.Request) {
	action, _ := req.Args.Text("action", "")
	old, _ := req.Args.Text("old", "")
	if interrupt, _ := req.Args.Bool("interrupt", false); f.open && !interrupt {
		_ = req.Fail(ubus.StatusNotSupported, "ModemManager has /dev/ttyUSB2 open (argument interrupt)")
		return
	}
	f.asked = append(f.asked, strings.TrimSpace(action+" "+old))
	s := model.FirmwareSwitch{Modem: "primary", Model: "RM520N-GL", Item: "/x", Old: f.value, New: "01", Needed: f.value != "01", Kept: f.kept, Text: "the plan"}
	switch action {
	case "enable":
		f.kept, f.value, s.Text = f.value, "01", "switched on"
	case "undo":
		f.value, f.kept, s.Text = f.kept, "", "as it was"
	}
	_ = req.Reply(s)
}

// ask runs one command line against it, with what its owner types.
func (f *firmware) ask(t *testing.T, typed string, args ...string) (status int, out, errs string) {
	t.Helper()
	broker, err := ubusfake.Start(filepath.Join(t.TempDir(), "ubus.sock"))
	require.NoError(t, err)
	defer broker.Close()
	client := ubus.NewClient(broker.Path(), ubus.Options{})
	require.NoError(t, client.AddObject(&ubus.Object{Path: object, Methods: []ubus.Method{{Name: "front", Handler: f.serve}}}))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	up, done := make(chan struct{}), make(chan error, 1)
	client.OnState(func(on bool, _ error) {
		if on {
			close(up)
		}
	})
	go func() { done <- client.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	<-up
	var o, e bytes.Buffer
	c := &cli{in: strings.NewReader(typed), out: &o, err: &e}
	err = runFront(ctx, c, append(args, "--ubus", broker.Path()))
	if err != nil {
		e.WriteString(err.Error())
		status = 1
	}
	return status, o.String(), e.String()
}

func TestFrontEnableAsksFirst(t *testing.T) {
	f := &firmware{value: "00"}
	for _, typed := range []string{"", "n\n", "maybe\n"} {
		status, _, errs := f.ask(t, typed, "enable", "primary")
		require.Equal(t, 1, status)
		require.Contains(t, errs, "the plan\nWrite this to the modem? [y/N]")
		require.Contains(t, errs, "nothing was done")
	}
	require.Equal(t, []string{"plan", "plan", "plan"}, f.asked)
	require.Equal(t, "00", f.value)

	status, out, _ := f.ask(t, "y\n", "enable", "primary")
	require.Zero(t, status)
	require.Equal(t, "switched on\n`remsim reset primary` restarts it\n", out)
	require.Equal(t, "enable 00", f.asked[len(f.asked)-1], "what was shown is what is written")
	require.Equal(t, "01", f.value)

	status, out, _ = f.ask(t, "", "enable")
	require.Zero(t, status)
	require.Equal(t, "the plan\n", out, "there is nothing to do, and nothing to ask")

	status, _, errs := f.ask(t, "yes\n", "enable", "--undo")
	require.Zero(t, status)
	require.Contains(t, errs, "write 00 back to /x of this RM520N-GL, which is at 01")
	require.Equal(t, "00", f.value)
	status, _, errs = f.ask(t, "", "enable", "--undo", "--yes")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "there is nothing to undo")
}

func TestFrontEnableBesideModemManager(t *testing.T) {
	f := &firmware{value: "00", open: true}
	status, _, errs := f.ask(t, "n\n", "enable")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "its connection is cut for about 20 s")
	require.Empty(t, f.asked)
	status, out, _ := f.ask(t, "", "enable", "--yes", "--json")
	require.Zero(t, status)
	require.Equal(t, []string{"plan", "enable 00"}, f.asked)
	require.Contains(t, out, `"text": "switched on"`)
}

func TestFrontWords(t *testing.T) {
	f := &firmware{value: "00"}
	_, _, errs := f.ask(t, "", "disable")
	require.Contains(t, errs, `"disable" is not enable`)
	require.Empty(t, f.asked)
}
