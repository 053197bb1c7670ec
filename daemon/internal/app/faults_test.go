package app_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// faultWorld is a modem that uses its remote card through a front.
type faultWorld struct {
	*autoWorld
	emulator *cardemfake.Device // one of these is nil
	modem    *uimremotefake.Modem
	proxy    *uimremotefake.Proxy
}

// useEmulator makes the world of a modem with a card emulator in its slot.
func useEmulator(t *testing.T) *faultWorld {
	d := cardemfake.New(cardemfake.Config{Path: "2-1"})
	w := &faultWorld{autoWorld: newAutoWorld(t, d), emulator: d}
	w.autoWorld.start()
	return w
}

// useService makes the world of a modem with UIM Remote.
func useService(t *testing.T) *faultWorld {
	w := &faultWorld{autoWorld: newAutoWorld(t), modem: uimremotefake.New(uimremotefake.Options{Offered: true})}
	w.port("cdc-wdm0")
	w.serve()
	w.autoWorld.start()
	return w
}

// serve starts the proxy, anew after it was closed.
func (w *faultWorld) serve() {
	w.Helper()
	p, err := w.modem.ServeQMI(w.options.QMIProxy)
	require.NoError(w, err)
	w.proxy = p
	w.Cleanup(func() { _ = p.Close(); w.modem.Close() })
}

// on switches the card on, as a modem that starts does.
func (w *faultWorld) on(ctx context.Context) {
	w.Helper()
	atr := cardfake.Default().ATR
	if w.emulator != nil {
		err := w.emulator.Wait(ctx, func(d *cardemfake.Device) bool { return d.Attached() && string(d.ATR()) == string(atr) })
		require.NoError(w, err, "%s", w.log)
		w.emulator.PowerOff()
		_, err = w.emulator.PowerOn(ctx)
		require.NoError(w, err)
		return
	}
	got, err := w.modem.Attach(ctx)
	require.NoError(w, err, "%s", w.log)
	require.Equal(w, []byte(atr), got)
}

func (w *faultWorld) send(ctx context.Context, tpdu []byte) ([]byte, error) {
	if w.emulator != nil {
		return w.emulator.TPDU(ctx, tpdu)
	}
	return w.modem.Transmit(ctx, tpdu)
}

// works reads the ICCID: every answer is the right one.
func (w *faultWorld) works(ctx context.Context) {
	w.Helper()
	for i, tpdu := range readICCID {
		got, err := w.send(ctx, tpdu)
		require.NoError(w, err, "%s", w.log)
		require.Equal(w, []string{"9000", "9000", "988812010000000010f19000"}[i], fmt.Sprintf("%x", got))
	}
}

// sent is the result of a command that is under way.
type sent struct {
	answer []byte
	err    error
}

// authenticate has the bank go silent, and begins an AUTHENTICATE.
func (w *faultWorld) authenticate(ctx context.Context) <-chan sent {
	w.Helper()
	got, err := w.send(ctx, []byte{0x00, 0xA4, 0x04, 0x0C, 0x07, 0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02})
	require.NoError(w, err)
	require.Equal(w, "9000", fmt.Sprintf("%x", got))
	w.until("the counters stand still", func(s *model.Snapshot) bool { return s.Sessions[0].TPDU.Sent >= 4 })
	before := w.status().Sessions[0].TPDU.Sent
	rand := [16]byte{1, 2, 3}
	autn, _, _, _ := w.card.Milenage().Challenge(rand, w.card.SQN()+32, [2]byte{0x80})
	w.bank.Stall(true)
	tpdu := slices.Concat([]byte{0x00, 0x88, 0x00, 0x81, 0x22, 0x10}, rand[:], []byte{0x10}, autn[:])
	out := make(chan sent, 1)
	go func() {
		got, err := w.send(ctx, tpdu)
		out <- sent{got, err}
	}()
	w.until("AUTHENTICATE is on its way", func(s *model.Snapshot) bool { return s.Sessions[0].TPDU.Sent > before })
	return out
}

// faults break the way between the modem and its card while AUTHENTICATE waits. Each
// leaves a finding and a verdict, and nothing that is wrong.
var faults = []struct {
	name   string
	start  func(t *testing.T) *faultWorld
	break_ func(ctx context.Context, w *faultWorld, got <-chan sent)
	code   string // of the finding while it is broken
	broken string // the doctor's verdict then; "" if it is over at once
	mend   func(ctx context.Context, w *faultWorld)
	after  string // the doctor's verdict when it works again
}{
	{
		name: "the emulator's firmware resets", start: useEmulator,
		break_: func(_ context.Context, w *faultWorld, got <-chan sent) {
			w.emulator.Restart()
			require.Error(w, (<-got).err)
		},
		code:  "front-unplugged",
		after: `^primary answers: the card front failed and came back: serve SIMtrace2 at usb:2-1:0: card emulator is unplugged, while AUTHENTICATE had waited [\d.]+ s for its answer; it was back after [\d.]+ s$`,
	},
	{
		name: "an endpoint of the emulator stalls", start: useEmulator,
		break_: func(_ context.Context, w *faultWorld, _ <-chan sent) { w.emulator.Stall(cardemfake.In, 1000) },
		code:   "front-stalled",
		after:  `^primary answers: the card front failed and came back: serve SIMtrace2 at usb:2-1:0: card emulator stalls again and again, while AUTHENTICATE had waited [\d.]+ s for its answer; it was back after [\d.]+ s$`,
	},
	{
		name: "the emulator is unplugged", start: useEmulator,
		break_: func(_ context.Context, w *faultWorld, got <-chan sent) {
			w.emulator.Unplug()
			require.Error(w, (<-got).err)
		},
		code:   "front-unplugged",
		broken: `^primary front: the card emulator is not plugged in: serve SIMtrace2 at usb:2-1:0: card emulator is unplugged, while AUTHENTICATE had waited [\d.]+ s for its answer$`,
		mend:   func(_ context.Context, w *faultWorld) { w.emulator.Plug() },
		after:  `^primary answers: the card front failed and came back: .*; it was back after [\d.]+ s$`,
	},
	{
		name: "the proxy goes", start: useService,
		break_: func(_ context.Context, w *faultWorld, got <-chan sent) {
			require.NoError(w, w.proxy.Close())
			require.Error(w, (<-got).err)
		},
		code:   "front-proxy-gone",
		broken: `^primary front: the program that shares the modem's control port is gone: no proxy: the proxy closed the connection: unexpected EOF, while AUTHENTICATE had waited [\d.]+ s for its answer$`,
		mend:   func(_ context.Context, w *faultWorld) { w.serve() },
		after:  `^primary answers: the card front failed and came back: .*; it was back after [\d.]+ s$`,
	},
	{
		name: "the modem restarts behind its proxy", start: useService,
		break_: func(_ context.Context, w *faultWorld, got <-chan sent) {
			w.modem.Restart()
			require.Error(w, (<-got).err)
		},
		code:  "front-modem-restarted",
		after: `^primary answers: the card front failed and came back: the modem has forgotten its clients; it was restarted, while AUTHENTICATE had waited [\d.]+ s for its answer; it was back after [\d.]+ s$`,
	},
	{
		name: "the modem cycles the card's power, with an emulator", start: useEmulator,
		break_: func(_ context.Context, w *faultWorld, _ <-chan sent) { w.emulator.PowerOff() },
		code:   "card-cut",
		after:  `^primary answers: the modem gave a command up before its answer came: the modem reset the card, while AUTHENTICATE had waited [\d.]+ s for its answer$`, // RST goes first
	},
	{
		name: "the modem cycles the card's power, with UIM Remote", start: useService,
		break_: func(_ context.Context, w *faultWorld, got <-chan sent) {
			require.NoError(w, w.modem.PowerDown())
			require.Error(w, (<-got).err)
		},
		code:  "card-cut",
		after: `^primary answers: the modem gave a command up before its answer came: the modem switched the card off, while AUTHENTICATE had waited [\d.]+ s for its answer$`,
	},
}

func TestFaultsOfFrontsDuringAuthenticate(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w, ctx := f.start(t), withBound(t)
			w.on(ctx)
			w.works(ctx)
			doing, giveUp := context.WithCancel(ctx)
			defer giveUp()
			got := w.authenticate(doing)
			f.break_(ctx, w, got)
			w.until("the journal has "+f.code, func(*model.Snapshot) bool {
				return regexp.MustCompile(`finding: .* map\[code:` + f.code + ` `).MatchString(w.journal())
			})
			giveUp()
			if f.broken != "" {
				require.Equal(t, f.code, w.untilFinding(f.code).Code)
				require.Regexp(t, f.broken, w.doctor())
				require.Len(t, w.status().Health.Findings, 1, "%v", w.status().Health.Findings)
				f.mend(ctx, w)
			}
			w.bank.Stall(false)
			w.until("the front is back", func(s *model.Snapshot) bool {
				return !slices.ContainsFunc(s.Health.Findings, func(g model.Finding) bool { return g.Severity == model.Critical })
			})
			w.on(ctx)
			w.works(ctx)
			w.untilState(model.StateOperational)
			w.until("the verdict of what was", func(*model.Snapshot) bool { return regexp.MustCompile(f.after).MatchString(w.doctor()) })
			if w.modem != nil {
				require.Zero(t, w.modem.Late, "no answer came to a modem that had given up")
			}
		})
	}
}

// Ten seconds of silence are ridden through: the modem waits, the owner is told, and the
// right answer comes.
func TestTenSecondsOfSilence(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *faultWorld{"emulator": useEmulator, "UIM Remote": useService} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ctx := start(t), withBound(t)
			w.on(ctx)
			w.works(ctx)
			got := w.authenticate(ctx)
			silence := time.After(10 * time.Second)
			w.untilFinding("card-slow")
			require.Equal(t, "primary answers: the card lets the modem wait: AUTHENTICATE has waited for its answer for 5s", w.doctor())
			<-silence
			w.bank.Stall(false)
			answer := <-got
			require.NoError(t, answer.err, "%s", w.log)
			require.Equal(t, "6135", fmt.Sprintf("%x", answer.answer))
			w.works(ctx)
			w.until("nothing to tell", func(s *model.Snapshot) bool { return len(s.Health.Findings) == 0 })
			require.Equal(t, "everything that was checked works", w.doctor())
		})
	}
}
