package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/client"
	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
)

// user is whatever uses a card through a front, from its own side.
type user struct {
	front card.Front
	on    func(ctx context.Context) error // waits for the card, if need be, and powers it
	off   func(ctx context.Context) error
	send  func(ctx context.Context, tpdu []byte) ([]byte, error)
}

// viaVPCD is a PC/SC program.
func viaVPCD(t testing.TB) user {
	reader, err := vpcdfake.Listen("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Close() })
	front, err := vpcd.New(reader.Addr())
	require.NoError(t, err)
	return user{
		front: front, off: reader.PowerOff, send: reader.Transmit,
		on: func(ctx context.Context) error {
			if _, err := reader.WaitCard(ctx); err != nil {
				return err
			}
			_, err := reader.PowerOn(ctx)
			return err
		},
	}
}

// viaCardem is a modem with a card emulator in its slot.
func viaCardem(t testing.TB) user {
	d := cardemfake.New(cardemfake.Config{Path: "2-1"})
	front, err := cardem.NewOn(cardemfake.Bus{d}, "usb:2-1:0")
	require.NoError(t, err)
	return user{
		front: front, send: d.TPDU,
		on: func(ctx context.Context) error {
			err := d.Wait(ctx, func(d *cardemfake.Device) bool {
				return d.Attached() && string(d.ATR()) == string(cardfake.Default().ATR)
			})
			if err == nil {
				_, err = d.PowerOn(ctx)
			}
			return err
		},
		off: func(context.Context) error { d.PowerOff(); return nil },
	}
}

// viaUIMRemote is a Qualcomm modem behind a qmi-proxy.
func viaUIMRemote(t testing.TB) user {
	m := uimremotefake.New(uimremotefake.Options{Offered: true})
	dir := t.TempDir()
	device, socket := filepath.Join(dir, "class", "usbmisc", "cdc-wdm0", "device"), filepath.Join(dir, "qmi-proxy")
	require.NoError(t, os.MkdirAll(device, 0o755))
	require.NoError(t, os.Symlink("../../../../bus/usb/drivers/qmi_wwan", filepath.Join(device, "driver")))
	proxy, err := m.ServeQMI(socket)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = proxy.Close()
		m.Close()
	})
	front, err := uimremote.New("qmi:/dev/cdc-wdm0", uimremote.Options{Sysfs: dir, QMIProxy: socket})
	require.NoError(t, err)
	first := true
	return user{
		front: front, send: m.Transmit,
		on: func(ctx context.Context) error {
			var err error
			if first {
				first = false
				_, err = m.Attach(ctx)
			} else {
				_, err = m.PowerUp(ctx)
			}
			return err
		},
		off: func(context.Context) error { return m.PowerDown() },
	}
}

// chain is front, relay, RSPRO client and fake bank, on real sockets but for USB.
type chain struct {
	user
	session *relay.Session
	card    *cardfake.Card

	mu      sync.Mutex
	notes   []string
	state   model.CardState
	changed chan struct{} // closed when state does
}

// happened takes the relay's events.
func (c *chain) happened(e model.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := e.(type) {
	case model.Noted:
		c.notes = append(c.notes, e.Text)
	case model.CardChanged:
		c.state = e.State
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// until waits for the relay to see the card so. An ATR takes a modem longer than its edges
// take to the host, but the fakes spend no time on a byte.
func (c *chain) until(ctx context.Context, want model.CardState) error {
	for {
		c.mu.Lock()
		is, changed := c.state, c.changed
		c.mu.Unlock()
		if is == want {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the card is %s, wait for %s: %w", is, want, ctx.Err())
		}
	}
}

func newChain(t testing.TB, m user, mode string, check bool) *chain {
	return newChainOn(t, m, mode, check, cardfake.New(cardfake.Default()), nil)
}

// newChainOn is one with a card that was in use before, and what was stored of it.
func newChainOn(t testing.TB, m user, mode string, check bool, sim *cardfake.Card, stored []cache.Kept) *chain {
	c := &chain{user: m, card: sim, changed: make(chan struct{})}
	bank, err := rsprofake.StartBank(rsprofake.BankConfig{ID: slot.ID, Slots: 4})
	require.NoError(t, err)
	t.Cleanup(bank.Close)
	bank.Insert(int(slot.Slot), c.card)
	bank.Map(int(slot.Slot), router)

	c.session = relay.New(relay.Config{Modem: "primary", Check: check, Stored: stored, Events: c.happened})
	c.session.SetPlan(model.CardPlan{Show: true, Hold: true, Cache: mode, StatusInterval: 600e9})
	plan := cell.New(model.SessionPlan{}, client.SamePlan)
	plan.Set(model.SessionPlan{Online: true, Client: router, Bank: &model.BankAssignment{
		Slot: slot, Endpoint: model.Endpoint{Host: "127.0.0.1", Port: bank.Port()}}})
	session := client.New(client.Config{Modem: "primary", Hostname: "test", Version: "1", Plan: plan, Events: func(model.Event) {}, Bank: c.session})

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var failed error
	running.Go(func() { _ = session.Run(ctx) }) // ends with ctx only
	running.Go(func() { failed = c.front.Run(ctx, c.session) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		c.session.Close()
		require.NoError(t, failed, "front")
	})
	return c
}

// start runs one start-up from power to power off.
func (c *chain) start(t testing.TB, u cardfake.StartUp, challenge cardfake.Challenger) []cardfake.Entry {
	t.Helper()
	log, _ := c.timedStart(t, u, challenge)
	return log
}

// timedStart tells how long it took from the first command to the last.
func (c *chain) timedStart(t testing.TB, u cardfake.StartUp, challenge cardfake.Challenger) (log []cardfake.Entry, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for _, w := range cardfake.Wants() {
		require.NoError(t, c.card.QueueProactive(w))
	}
	require.NoError(t, c.on(ctx))
	require.NoError(t, c.until(ctx, model.CardReady))
	begin := time.Now()
	log, err := u.Run(func(b []byte) ([]byte, error) { return c.send(ctx, b) }, challenge)
	took = time.Since(begin)
	require.NoError(t, err)
	require.NoError(t, c.off(ctx))
	require.NoError(t, c.until(ctx, model.CardPresent))
	// Without a pause the edges of three starts are one burst to a front, which would
	// take it for edges that are late (ISO 7816-3 §6.4 has 10 ms between off and on).
	<-time.After(30 * time.Millisecond)
	return log, took
}

// TestStartUpThroughEveryFront has a modem start up three times through each front, the
// relay and a bank on sockets, and once more after a reboot: whatever is kept or was stored
// of the card, it answers as it would in the modem's slot.
func TestStartUpThroughEveryFront(t *testing.T) {
	fronts := []struct {
		name string
		via  func(testing.TB) user
	}{{"cardem", viaCardem}, {"uim-remote", viaUIMRemote}, {"vpcd", viaVPCD}}
	modes := []struct {
		name, mode string
		check      bool
	}{{"off", "off", false}, {"safe", "safe", false}, {"full", "full", false}, {"check safe", "safe", true}, {"check full", "full", true}}
	for _, f := range fronts {
		for _, m := range modes {
			for _, u := range cardfake.StartUps() {
				t.Run(f.name+"/"+m.name+"/"+u.Name, func(t *testing.T) {
					c, twin, keeps := newChain(t, f.via(t), m.mode, m.check), cardfake.New(cardfake.Default()), m.mode != "off" && !m.check
					here, there := cardfake.Home(c.card), cardfake.Home(twin)
					sameThrough(t, c, twin, u, here, there, 3, keeps)
					require.Empty(t, c.noted(), "check mode saw a difference")
					if keeps { // another daemon, which has what this one would have stored
						stored, err := cache.ParseKept(cache.AppendKept(nil, c.session.Keep()))
						require.NoError(t, err)
						c = newChainOn(t, f.via(t), m.mode, false, c.card, stored)
						sameThrough(t, c, twin, u, here, there, 1, true)
						n := len(stored[0].Items())
						require.Equal(t, []string{fmt.Sprintf("answers of the card that were stored: %d, that it gave again: %d", n, n)}, c.noted())
					}
				})
			}
		}
	}
}

// sameThrough compares so many start-ups with those of the card's twin. keeps: some commands
// must not reach the card.
func sameThrough(t *testing.T, c *chain, twin *cardfake.Card, u cardfake.StartUp, here, there cardfake.Challenger, times int, keeps bool) {
	t.Helper()
	total := 0
	for range times {
		want, err := u.Direct(twin, there)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(want), 150)
		got := c.start(t, u, here)
		require.Empty(t, cardfake.Difference(want, got), "in the modem's slot, and through the bank")
		total += len(got)
	}
	require.Equal(t, twin.TerminalResponses(), c.card.TerminalResponses())
	stats := c.session.Stats()
	t.Logf("%d commands, %d answered here", total, stats.Cached)
	require.Equal(t, int64(total), stats.Sent+stats.Cached)
	require.Equal(t, keeps, stats.Cached > 0)
	require.Zero(t, stats.Errors)
}

// noted are the notes for the journal.
func (c *chain) noted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notes
}
