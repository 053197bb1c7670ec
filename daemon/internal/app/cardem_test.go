package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// emulatorWorld is a world whose modem has a card emulator in its slot.
func emulatorWorld(t *testing.T, d *cardemfake.Device) *world {
	w := newWorld(t)
	text := strings.Replace(w.config(""), "option front 'vpcd'", "option front 'cardem'\n\toption match 'usb:9-1'", 1)
	w.write(strings.Replace(text, w.reader.Addr(), "usb:2-1:0", 1))
	w.startWith(func(drivers *app.Drivers) {
		drivers.Front = func(kind, device string) (card.Front, error) {
			require.Equal(t, "cardem", kind)
			return cardem.NewOn(cardemfake.Bus{d}, device)
		}
	})
	w.assign()
	return w
}

// slotOn waits for the remote card at the modem's contacts and powers it.
func slotOn(ctx context.Context, t *testing.T, w *world, d *cardemfake.Device) {
	t.Helper()
	require.NoError(t, d.Wait(ctx, func(d *cardemfake.Device) bool {
		return d.Attached() && string(d.ATR()) == string(cardfake.Default().ATR)
	}), "%s", w.log)
	_, err := d.PowerOn(ctx)
	require.NoError(t, err)
}

func TestCardEmulatorFromModemToBank(t *testing.T) {
	d := cardemfake.New(cardemfake.Config{Path: "2-1"})
	w := emulatorWorld(t, d)
	ctx := withBound(t)
	slotOn(ctx, t, w, d)
	read := func() {
		t.Helper()
		var last []byte
		for _, tpdu := range readICCID {
			var err error
			last, err = d.TPDU(ctx, tpdu)
			require.NoError(t, err, "%s\n%s", d, w.log)
		}
		require.Equal(t, "988812010000000010f19000", fmt.Sprintf("%x", last))
	}
	read()
	s := w.until("the card is ready", func(s *model.Snapshot) bool { return s.Modems[0].Card.State == model.CardReady })
	require.Equal(t, "cardem", s.Modems[0].Card.Front)

	// Unplugged in the middle of everything, and plugged in again.
	d.Unplug()
	w.until("the card is away", func(s *model.Snapshot) bool { return s.Modems[0].Card.State != model.CardReady })
	d.PowerOff()
	d.Plug()
	slotOn(ctx, t, w, d)
	read()
}
