package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const (
	// slowTime is how long a command may wait for its answer before the owner is told.
	slowTime = 5 * time.Second
	// faultHold is how long a fault that is over is shown: long enough for somebody who
	// comes to look why the modem was away.
	faultHold = 10 * time.Minute
	// backTime: a device that is back within it restarted; after it, somebody plugged it in.
	backTime = 30 * time.Second
)

// frontWatch stands between a front and its relay and tells the engine what goes wrong
// there: a device that goes, with or without a command that waits for its answer, a modem
// that gives a command up, a card that takes long. It passes everything on as it is.
type frontWatch struct {
	card.Handler
	modem string
	tell  func(model.Event)
	began chan struct{} // a command waits, and run does not know

	mu      sync.Mutex
	ending  bool // what comes now is the end that was asked for
	up      bool
	pending uint64 // 0: none
	since   time.Time
	command string    // its name
	resting bool      // run waits for began
	slow    bool      // that was told
	down    downFault // why the device is not open
}

// downFault is a fault that lasts until the front is up again.
type downFault struct {
	code  string // "": none is known
	text  string // with the command that was lost, if one was
	since time.Time
}

func newFrontWatch(modem string, h card.Handler, tell func(model.Event)) *frontWatch {
	return &frontWatch{Handler: h, modem: modem, tell: tell, began: make(chan struct{}, 1)}
}

// watchedFront lets the watch see which commands are answered.
type watchedFront struct {
	card.Front
	watch *frontWatch
}

// Answer passes the answer on; before, for the next command may come at once.
func (f watchedFront) Answer(id uint64, response []byte) error {
	f.watch.over(id)
	return f.Front.Answer(id, response)
}

// Mute passes on that there is none.
func (f watchedFront) Mute(id uint64) error {
	f.watch.over(id)
	return f.Front.Mute(id)
}

// Insert and Remove change the card: what that ends, the modem has not given up.
func (f watchedFront) Insert(atr card.ATR) error {
	f.watch.cut()
	return f.Front.Insert(atr)
}

// Remove takes the card away.
func (f watchedFront) Remove() error {
	f.watch.cut()
	return f.Front.Remove()
}

// end: the front is being taken down on purpose; that is no fault.
func (w *frontWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
}

func (w *frontWatch) fault(code, reason string, hold time.Duration) {
	w.tell(model.FrontFault{At: now(), Modem: w.modem, Code: code, Reason: reason, Hold: hold})
}

// FrontUp passes on that the device is open, and turns what was wrong into what was.
func (w *frontWatch) FrontUp(f card.Front) {
	w.mu.Lock()
	d := w.down
	w.up, w.down, w.pending = true, downFault{}, 0
	w.mu.Unlock()
	if d.code != "" {
		w.fault(d.code, "", 0)
		away := time.Since(d.since)
		if d.code != health.FrontGone || away < backTime {
			w.fault(health.FrontRestart, fmt.Sprintf("%s; it was back after %.1f s", d.text, away.Seconds()), faultHold)
		}
	}
	w.Handler.FrontUp(watchedFront{f, w})
}

// Lines passes an edge on, and notices a command that it cuts off.
func (w *frontWatch) Lines(l card.Lines) {
	if !l.Powered || l.Reset {
		if cut := w.cut(); cut != "" {
			how := "switched the card off"
			if l.Powered {
				how = "reset the card"
			}
			w.fault(health.CardCut, "the modem "+how+cut, faultHold)
		}
	}
	w.Handler.Lines(l)
}

// Command passes a command on.
func (w *frontWatch) Command(id uint64, tpdu []byte) {
	w.mu.Lock()
	w.pending, w.since, w.command = id, time.Now(), "a command"
	if len(tpdu) >= 2 {
		w.command = card.Instruction(tpdu[0], tpdu[1])
	}
	wake := w.resting
	w.resting = false
	w.mu.Unlock()
	if wake {
		select {
		case w.began <- struct{}{}:
		default: // it is on its way
		}
	}
	w.Handler.Command(id, tpdu)
}

// FrontDown passes on that the device is gone.
func (w *frontWatch) FrontDown(err error) {
	w.failed(err, w.cut())
	w.Handler.FrontDown(err)
}

// cut ends the pending command and says so in words, "" if there was none.
func (w *frontWatch) cut() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending == 0 || w.ending {
		return ""
	}
	text := fmt.Sprintf(", while %s had waited %.1f s for its answer", w.command, time.Since(w.since).Seconds())
	w.ended()
	return text
}

// over: command id has its answer, or never will.
func (w *frontWatch) over(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.pending {
		w.ended()
	}
}

// ended forgets the pending command. w.mu is held; telling does not call back.
func (w *frontWatch) ended() {
	w.pending = 0
	if w.slow {
		w.slow = false
		w.fault(health.CardSlow, "", 0)
	}
}

// closed is called when the front's Run has ended with err: what could not be opened at
// all, the relay does not know of.
func (w *frontWatch) closed(info card.Info, err error) {
	w.mu.Lock()
	up := w.up
	w.up = false
	w.mu.Unlock()
	if err != nil && !up {
		w.failed(err, "")
		w.tell(model.FrontChanged{At: now(), Modem: w.modem, Kind: info.Kind, Device: info.Device, Reason: err.Error()})
	}
}

// failed tells why the device is not open, if that is one of the things with a cure of
// their own. What was told of the same failure first stays: it happened then.
func (w *frontWatch) failed(err error, cut string) {
	code := frontCode(err)
	w.mu.Lock()
	before := w.down
	if code != before.code {
		w.down = downFault{code: code, since: time.Now()}
		if code != "" {
			w.down.text = err.Error() + cut
		}
		if before.code == health.FrontGone && code == "" {
			w.down = before // it is coming back, and cannot be opened yet
		}
	}
	after := w.down
	w.mu.Unlock()
	if before.code != "" && before.code != after.code {
		w.fault(before.code, "", 0)
	}
	if after.code != "" && after != before {
		w.fault(after.code, after.text, 0)
	}
}

// frontCode is the finding for a front's failure, "" for one without its own.
func frontCode(err error) string {
	switch {
	case errors.Is(err, cardem.ErrGone), errors.Is(err, cardem.ErrNoDevice):
		return health.FrontGone
	case errors.Is(err, cardem.ErrStalled):
		return health.FrontStalled
	case errors.Is(err, uimremote.ErrProxyGone):
		return health.FrontProxy
	case errors.Is(err, uimremote.ErrRestarted):
		return health.FrontModem
	}
	return ""
}

// run watches over commands that take long.
func (w *frontWatch) run(ctx context.Context) error {
	timer := time.NewTimer(slowTime)
	defer timer.Stop()
	for {
		if wait := w.look(time.Now()); wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.began:
		case <-timer.C:
		}
	}
}

// look tells of a command that takes long, and when to look again; 0: when one begins.
func (w *frontWatch) look(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending == 0 || w.slow {
		w.resting = true
		return 0
	}
	if wait := w.since.Add(slowTime).Sub(now); wait > 0 {
		return wait
	}
	w.slow, w.resting = true, true
	w.fault(health.CardSlow, fmt.Sprintf("%s has waited for its answer for %v", w.command, slowTime), 0)
	return 0
}
