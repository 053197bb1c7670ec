package uimremote_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: generous, for a busy machine.
const patience = 30 * time.Second

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// world is a modem and the way to it.
type world struct {
	modem   *uimremotefake.Modem
	device  string
	options uimremote.Options
	proxy   *uimremotefake.Proxy // nil: the proxy is a real one
}

// sysfs makes a /sys in which a control port has a driver.
func sysfs(t *testing.T, port, driver string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "class", "usbmisc", port, "device")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.Symlink("../../../../bus/usb/drivers/"+driver, filepath.Join(dir, "driver")))
	return root
}

func fakeQMI(t *testing.T, o uimremotefake.Options) *world {
	w := &world{modem: uimremotefake.New(o), device: "qmi:/dev/cdc-wdm0"}
	w.options = uimremote.Options{Sysfs: sysfs(t, "cdc-wdm0", "qmi_wwan"), QMIProxy: filepath.Join(t.TempDir(), "qmi-proxy")}.Quick(patience)
	w.open(t)
	return w
}

func fakeMBIM(t *testing.T, o uimremotefake.Options) *world {
	w := &world{modem: uimremotefake.New(o), device: "qmi:/dev/cdc-wdm0"}
	w.options = uimremote.Options{Sysfs: sysfs(t, "cdc-wdm0", "cdc_mbim"), MBIMProxy: filepath.Join(t.TempDir(), "mbim-proxy")}.Quick(patience)
	w.open(t)
	return w
}

// open starts the fake proxy of the world.
func (w *world) open(t *testing.T) {
	t.Helper()
	var err error
	if w.options.MBIMProxy != "" {
		w.proxy, err = w.modem.ServeMBIM(w.options.MBIMProxy)
	} else {
		w.proxy, err = w.modem.ServeQMI(w.options.QMIProxy)
	}
	require.NoError(t, err)
	p := w.proxy
	t.Cleanup(func() {
		_ = p.Close()
		w.modem.Close()
	})
}

// desk runs a front on a cardfake.Desk.
type desk struct {
	*cardfake.Desk
	front *uimremote.Front
	stop  func() error // ends Run and tells what it returned
	done  chan struct{}
}

// run runs the front until the test ends.
func run(t *testing.T, front *uimremote.Front) *desk {
	t.Helper()
	d := &desk{Desk: cardfake.NewDesk(front), front: front, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var result error
	go func() {
		defer close(d.done)
		result = front.Run(ctx, d)
	}()
	d.stop = func() error {
		cancel()
		select {
		case <-d.done:
			return result
		case <-time.After(patience):
			return errors.New("Run does not end")
		}
	}
	t.Cleanup(func() {
		_ = d.stop()
		select {
		case <-d.done:
		default:
			t.Error("Run does not end")
		}
	})
	return d
}

// await receives within patience: what never comes fails its own test, and not the whole
// program ten minutes later.
func await[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		require.Fail(t, "nothing came")
	}
	return v
}

// serve runs a front of the world that is up.
func (w *world) serve(t *testing.T) *desk {
	t.Helper()
	front, err := uimremote.New(w.device, w.options)
	require.NoError(t, err)
	d := run(t, front)
	d.waitUp(t)
	return d
}

func (d *desk) waitUp(t *testing.T) {
	t.Helper()
	select {
	case <-d.Up:
	case <-d.done:
		require.NoError(t, d.stop(), "Run ended")
		require.Fail(t, "Run ended")
	case <-time.After(patience):
		require.Fail(t, "the front does not come up")
	}
}

// ended waits for Run to end by itself, after FrontDown.
func (d *desk) ended(t *testing.T) error {
	t.Helper()
	select {
	case <-d.done:
		return d.stop()
	case <-time.After(patience):
		require.Fail(t, "the front does not end")
		return nil
	}
}

// nextHeld waits for a command that is held back.
func (d *desk) nextHeld(t testing.TB) cardfake.Held {
	t.Helper()
	h, err := d.NextHeld(within(t))
	require.NoError(t, err)
	return h
}

// waitLines waits for edges until want comes, and returns what came.
func (d *desk) waitLines(t testing.TB, want card.Lines) []card.Lines {
	t.Helper()
	seen, err := d.WaitLines(within(t), want)
	require.NoError(t, err)
	return seen
}

// edges are the edges so far.
func (d *desk) edges() (out []string) {
	for {
		select {
		case l := <-d.Edges:
			switch l {
			case card.Lines{Powered: true, Clock: true}:
				out = append(out, "on")
			case card.Lines{Powered: true, Clock: true, Reset: true}:
				out = append(out, "reset")
			case card.Lines{}:
				out = append(out, "off")
			default:
				out = append(out, fmt.Sprintf("%+v", l))
			}
		default:
			return out
		}
	}
}

// attach inserts the software card and has the modem use it.
func (w *world) attach(t *testing.T, d *desk) {
	t.Helper()
	require.NoError(t, d.front.Insert(cardfake.Default().ATR))
	atr, err := w.modem.Attach(within(t))
	require.NoError(t, err)
	require.Equal(t, []byte(cardfake.Default().ATR), atr)
}

// send transmits a TPDU and returns the answer in upper-case hexadecimal digits.
func (w *world) send(t *testing.T, tpdu string) string {
	t.Helper()
	b, err := hex.DecodeString(tpdu)
	require.NoError(t, err)
	answer, err := w.modem.Transmit(within(t), b)
	require.NoError(t, err, tpdu)
	return upper(answer)
}

// transmitted is the result of a command that is under way.
type transmitted struct {
	answer []byte
	err    error
}

// begin sends a TPDU that is not answered at once.
func (w *world) begin(t *testing.T, tpdu string) <-chan transmitted {
	t.Helper()
	b, err := hex.DecodeString(tpdu)
	require.NoError(t, err)
	ctx, out := within(t), make(chan transmitted, 1)
	go func() {
		answer, err := w.modem.Transmit(ctx, b)
		out <- transmitted{answer, err}
	}()
	return out
}

func upper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
