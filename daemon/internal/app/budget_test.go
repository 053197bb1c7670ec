package app_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter/meterfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
)

// iotConfig is a router whose card comes from a bank directly, over a metered
// link with 1 MB a month.
func (w *world) iotConfig(more string) string {
	text := strings.Replace(w.config(""), "list control_path 'primary'", "list control_path 'iot'", 1)
	text = text[:strings.Index(text, "config server")] + text[strings.Index(text, "config failover"):]
	return text + fmt.Sprintf(`
config bank
	option host '127.0.0.1'
	option port '%d'
	option bank_id '%d'
	option slot '%d'
	option tls '0'
	list modem 'primary'

config link 'iot'
	option network 'wwan1'
	option metered '1'
	option user_traffic 'never'

config budget
	option link 'iot'
	option monthly_mb '1'
%s`, w.bank.Port(), slot.ID, slot.Slot, more)
}

// withIoT plays the interface of the link.
func (w *world) withIoT() {
	n, err := netifdfake.Start(w.broker.Path())
	require.NoError(w, err)
	w.Cleanup(n.Close)
	require.NoError(w, n.Add(netifdfake.Config{Name: "wwan1", Proto: "dhcp", Device: "wwan1", L3: "wwan1", Addresses: []string{"10.1.0.1/24"}}))
	n.SetAvailable("wwan1", true)
}

// through sends every connection of the daemon through a packet filter.
func through(f *meterfake.Fake) func(d *app.Drivers) {
	return func(d *app.Drivers) {
		d.Meter = f
		d.Dial = func(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return f.Conn(c, via, purpose), nil
		}
	}
}

// asked counts the commands of an instruction that the card itself has seen.
func (w *world) asked(ins byte) (n int) {
	for _, e := range w.card.Log() {
		if len(e.Command) > 1 && e.Command[1] == ins {
			n++
		}
	}
	return n
}

func (w *world) budgetOf(s *model.Snapshot) model.Budget {
	if len(s.Budget) != 1 {
		return model.Budget{}
	}
	return s.Budget[0]
}

// A month's budget is used up while a modem is registered: AUTHENTICATE still goes
// to the card, STATUS is answered here, and other purposes do not leave.
func TestAtTheLimitTheCardStillAuthenticates(t *testing.T) {
	w, f := newWorld(t), meterfake.New()
	w.withIoT()
	w.assign() // the bank serves clients that have a map
	w.write(w.iotConfig(""))
	w.startWith(through(f))
	ctx := withBound(t)
	w.untilState(model.StateOperational)
	w.power(ctx)
	m := &modem{reader: w.reader, profile: cardfake.Default()}
	adf := append([]byte{0x00, 0xA4, 0x04, 0x0C, byte(len(m.profile.AID))}, m.profile.AID...)
	require.NoError(t, m.expect(ctx, adf, 0x90, 0x00))
	require.NoError(t, m.authenticate(ctx))
	status := []byte{0x80, 0xF2, 0x00, 0x0C, 0x00}
	require.NoError(t, m.expect(ctx, status, 0x90, 0x00))
	w.until("the bank's bytes are counted", func(s *model.Snapshot) bool { return w.budgetOf(s).Purposes["bank"] > 0 })

	f.Pass(meterfake.Packet{Device: "wwan1", Way: meterfake.In, Bytes: 1_000_000})
	// The reading that a look brings about tells it; here somebody looks.
	w.until("the limit is reached", func(s *model.Snapshot) bool { return w.budgetOf(s).State == "reached" })
	require.Contains(t, w.untilFinding("budget-reached").Text, "only beats, AUTHENTICATE and its answer still pass")
	w.until("the filter has the new rules", func(*model.Snapshot) bool { return strings.Contains(f.String(), "[bank orchestrator dns]") })

	seen := w.asked(0xF2)
	for range 5 {
		require.NoError(t, m.expect(ctx, status, 0x90, 0x00))
		require.NoError(t, m.authenticate(ctx), "the network asks anew")
	}
	require.Equal(t, seen, w.asked(0xF2), "no STATUS has gone to the card")
	require.Equal(t, 6, w.asked(0x88))
	require.False(t, f.Pass(meterfake.Packet{Device: "wwan1", Way: meterfake.Out, Mark: model.Mark(1, model.PurposeProbe), Bytes: 100}))
	require.False(t, f.Pass(meterfake.Packet{Device: "wwan1", Way: meterfake.Out, Mark: model.Mark(1, model.PurposeServer), Bytes: 100}))
}

// What the month has carried outlives a restart of the daemon, and of the router.
func TestAccountsOutliveRestartAndReboot(t *testing.T) {
	w, f := newWorld(t), meterfake.New()
	w.withIoT()
	w.assign() // the bank serves clients that have a map
	w.write(w.iotConfig(""))
	w.startWith(through(f))
	w.untilState(model.StateOperational)
	f.Pass(meterfake.Packet{Device: "wwan1", Way: meterfake.In, Bytes: 100_000})
	before := w.until("it is counted", func(s *model.Snapshot) bool { return w.budgetOf(s).Month >= 100_000 })
	w.stop()
	f.Pass(meterfake.Packet{Device: "wwan1", Way: meterfake.In, Bytes: 50_000}) // the filter counts on
	w.startWith(through(f))
	w.until("what came meanwhile is counted too", func(s *model.Snapshot) bool { return w.budgetOf(s).Month >= w.budgetOf(before).Month+50_000 })
	w.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "run"))) // a reboot: tmpfs and the filter's table are gone
	f.Flush()
	w.startWith(through(f))
	w.until("the account of before the reboot", func(s *model.Snapshot) bool {
		b := w.budgetOf(s)
		return b.State == "ok" && b.Month >= w.budgetOf(before).Month
	})
}
