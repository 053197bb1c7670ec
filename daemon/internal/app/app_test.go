package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func withBound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	t.Cleanup(cancel)
	return ctx
}

var readICCID = [][]byte{
	{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00},
	{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x2F, 0xE2},
	{0x00, 0xB0, 0x00, 0x00, 0x0A},
}

func TestRemoteCardFromRegistrationToCommands(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	s := w.until("registered", func(s *model.Snapshot) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].Server.State == model.ConnConnected
	})
	require.Equal(t, model.StateWaiting, s.State)

	w.assign()
	ctx := withBound(t)
	w.power(ctx)
	var last []byte
	for _, tpdu := range readICCID {
		last = w.transmit(ctx, tpdu)
	}
	require.Equal(t, "988812010000000010f1", fmt.Sprintf("%x", last[:10]), "8988211000000000011, halves swapped")
	s = w.untilState(model.StateOperational)
	require.Equal(t, "…0011", string(s.Modems[0].Card.ICCID), "masked")
	require.Equal(t, model.BankSlot(slot), *s.Sessions[0].Bank)
	w.until("counters", func(s *model.Snapshot) bool { return s.Sessions[0].TPDU.Received >= 3 })
}

func TestCommandsOverTheBus(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	w.assign()
	ctx := withBound(t)
	w.power(ctx)
	w.untilState(model.StateOperational)

	require.NoError(t, w.call("unmap", nil, nil))
	require.NoError(t, w.reader.WaitNoCard(ctx), "the modem sees the removal")
	w.untilState(model.StateWaiting)

	args := map[string]any{"host": "localhost", "port": int(w.bank.Port()), "bank_id": 1, "slot": 2}
	err := w.call("map", args, nil)
	require.NoError(t, err)
	// Nobody told this bank's TLS: off a section, TLS is the default.
	require.Equal(t, "bank-tls-failed", w.untilFinding("bank-tls-failed").Code)

	w.write(w.config("\nconfig bank\n\toption bank_id '1'\n\toption tls '0'\n\toption host '127.0.0.1'\n"))
	var reply struct {
		OK bool `json:"ok"`
	}
	require.NoError(t, w.call("reload", nil, &reply))
	require.True(t, reply.OK)
	require.NoError(t, w.call("map", args, nil))
	w.power(ctx)
	w.untilState(model.StateOperational)

	var tested struct {
		OK    bool         `json:"ok"`
		Steps []model.Step `json:"steps"`
	}
	for _, target := range []string{"server", "bank", "card"} {
		require.NoError(t, w.call("test", map[string]any{"target": target}, &tested))
		require.True(t, tested.OK, "%s: %+v", target, tested.Steps)
	}

	require.NoError(t, w.call("sim", map[string]any{"source": "local"}, nil))
	require.NoError(t, w.reader.WaitNoCard(ctx))
	require.NoError(t, w.call("sim", map[string]any{"source": "remote"}, nil))
	w.power(ctx)

	require.NoError(t, w.call("tracing", map[string]any{"on": true}, nil))
	var trace struct {
		APDUs []model.APDU `json:"apdus"`
	}
	w.until("trace", func(*model.Snapshot) bool {
		w.transmit(ctx, readICCID[0])
		return w.call("trace", nil, &trace) == nil && len(trace.APDUs) > 0
	})
	require.Contains(t, trace.APDUs[0].Name, "SELECT")
}

func TestArgumentsAreRefusedInWords(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	w.until("on the bus", func(s *model.Snapshot) bool { return s.Sequence > 0 })
	tests := []struct {
		method string
		args   map[string]any
		status ubus.Status
		want   string
	}{
		{"map", map[string]any{"slot": 1}, ubus.StatusInvalidArgument, "argument bank_id is missing; accepted: 0..1023"},
		{"map", map[string]any{"bank_id": 1, "slot": 1024}, ubus.StatusInvalidArgument, "argument slot: 1024 is not 0..1023"},
		{"map", map[string]any{"bank_id": "one", "slot": 1}, ubus.StatusInvalidArgument, "argument bank_id: want an integer"},
		{"map", map[string]any{"bank_id": 1, "slot": 1, "port": 70000}, ubus.StatusInvalidArgument, "argument port: 70000 is not 1..65535"},
		{"unmap", map[string]any{"modem": "x"}, ubus.StatusNotFound, `there is no modem "x"; configured: primary`},
		{"sim", map[string]any{"source": "both"}, ubus.StatusInvalidArgument, `source "both" is neither remote nor local`},
		{"test", map[string]any{"target": "moon"}, ubus.StatusInvalidArgument, `"moon" is not one of server bank card path`},
		{"trace", map[string]any{"limit": 201}, ubus.StatusInvalidArgument, "argument limit: 201 is not 1..200"},
		{"events", map[string]any{"limit": 0}, ubus.StatusInvalidArgument, "argument limit: 0 is not 1..500"},
		{"status", map[string]any{"since": "now"}, ubus.StatusInvalidArgument, "argument since: want an integer"},
		{"diagnose", map[string]any{"modem": "x"}, ubus.StatusNotFound, "there is no modem x"},
		{"history", map[string]any{"metric": "mood"}, ubus.StatusInvalidArgument, "mood"},
		{"reset", map[string]any{"method": "hammer"}, ubus.StatusInvalidArgument, `"hammer" is not one of auto soft modemmanager gpio power`},
		{"reset", nil, ubus.StatusNotSupported, "modem primary has no option match: there is no hardware to reset"},
		{"gpio", map[string]any{"line": "led"}, ubus.StatusInvalidArgument, `"led" is not one of sim reset power`},
		{"gpio", map[string]any{"modem": "primary", "line": "sim"}, ubus.StatusNotFound, "modem primary has no option sim_line"},
		{"gpio", map[string]any{"line": "sim", "dry_run": false}, ubus.StatusNotSupported, "gpio only shows"},
		{"nonsense", nil, ubus.StatusMethodNotFound, ""},
	}
	for _, tt := range tests {
		err := w.call(tt.method, tt.args, nil)
		require.Equal(t, tt.status, ubus.StatusOf(err), tt.method)
		require.ErrorContains(t, err, tt.want)
	}
}

func TestUnchangedStatusIsShort(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	s := w.until("registered", func(s *model.Snapshot) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].Server.State == model.ConnConnected
	})
	reply, err := w.conn.Call(withBound(t), "remsim", "status", map[string]any{"since": s.Sequence, "ubus_rpc_session": "0"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"sequence": s.Sequence, "unchanged": true}, reply.Map())
}

func TestBadConfigurationNeverStopsWhatWorks(t *testing.T) {
	w := newWorld(t)
	w.write("config modem 'primary'\n\toption client_id '5000'\n")
	w.start()
	w.untilState(model.StateStopped)
	require.Contains(t, w.untilFinding("config-invalid").Text, "client_id")
	var report model.ConfigReport
	require.NoError(t, w.call("config", nil, &report))
	require.False(t, report.OK)
	require.NotEmpty(t, report.Errors)

	w.write(w.config(""))
	w.hup <- syscall.SIGHUP
	w.until("registered", func(s *model.Snapshot) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].Server.State == model.ConnConnected
	})
	w.assign()
	w.power(withBound(t))
	w.untilState(model.StateOperational)

	w.write("config modem 'primary'\n\toption client_id '5000'\n")
	w.hup <- syscall.SIGHUP
	w.untilFinding("config-refused")
	require.Equal(t, model.StateOperational, w.status().State, "the running configuration stays")

	w.stop()
	w.start()
	w.untilFinding("config-refused")
	w.power(withBound(t))
	require.Equal(t, model.StateOperational, w.untilState(model.StateOperational).State, "the last good one, kept in the state directory, is used")
}

func TestSwitchedOffConnectsNowhere(t *testing.T) {
	w := newWorld(t)
	w.write(strings.Replace(w.config(""), "enabled '1'", "enabled '0'", 1))
	w.start()
	w.untilState(model.StateStopped)
	require.Empty(t, w.server.Clients())
}

func TestEachWayOfFailingIsItsFinding(t *testing.T) {
	w := newWorld(t)
	dead := freePort(t)
	w.write(strings.Replace(w.config(""), fmt.Sprintf("option port '%d'", w.server.Port()), fmt.Sprintf("option port '%d'", dead), 1))
	w.start()
	require.Contains(t, w.untilFinding("server-connect-refused").Text, fmt.Sprint(dead))

	w.server.GreetHTTP(true)
	w.write(w.config(""))
	w.hup <- syscall.SIGHUP
	w.untilFinding("server-rspro-garbage")
	w.server.GreetHTTP(false)
	w.until("registered", func(s *model.Snapshot) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].Server.State == model.ConnConnected
	})

	w.bank.Remove(int(slot.Slot))
	w.assign()
	w.untilFinding("bank-no-card")
	w.bank.Insert(int(slot.Slot), w.card)
	_, err := w.reader.WaitCard(withBound(t))
	require.NoError(t, err)
	w.until("no finding", func(s *model.Snapshot) bool { return len(s.Health.Findings) == 0 })
}

func TestNumbersGrowOverARestart(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	before := w.until("on the bus", func(s *model.Snapshot) bool { return s.Sequence > 0 }).Sequence
	w.stop()
	w.start()
	after := w.until("on the bus again", func(s *model.Snapshot) bool { return s.Sequence > 0 }).Sequence
	require.Greater(t, after, before+1<<31)
	info, err := os.Stat(filepath.Join(w.dir, "state"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}
