package gpio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Bounds of a pulse. Shorter than MinPulse no module notices; a modem that is
// held in reset or without power for longer than MaxPulse is a modem lost.
const (
	MinPulse     = 10 * time.Millisecond
	MaxPulse     = 10 * time.Second
	DefaultPulse = 500 * time.Millisecond
)

// releaseTries and releaseWait: a release that fails is tried again for a
// second, whatever the context says.
const (
	releaseTries = 20
	releaseWait  = 50 * time.Millisecond
)

// Spec is one line as configured.
type Spec struct {
	Modem string
	Use   model.LineUse
	Line  string // NAME or CHIP:OFFSET, "!" in front for active low
	// RemoteHigh: the sim line is high while the remote card is in
	// (sim_remote_level).
	RemoteHigh bool
	Pulse      time.Duration // 0: DefaultPulse
}

// Line is a line that is held. Its methods may be called from any goroutine;
// one at a time is carried out.
type Line struct {
	spec  Spec
	info  Info
	shape shape
	mem   Memory

	mu     sync.Mutex
	handle Handle
	closed bool
}

// Open takes a line as it is. The only level it ever changes is one that a
// pulse of an earlier process left behind: that pulse is ended.
func Open(k Kernel, board Board, spec Spec, mem Memory) (*Line, error) {
	info, shape, err := resolve(k, board, spec)
	if err != nil {
		return nil, err
	}
	if shape.refused != "" {
		return nil, fmt.Errorf("%s line %s: %s: %w", spec.Use, spec.Line, shape.refused, ErrRefused)
	}
	h, err := take(k, info)
	if err != nil {
		return nil, fmt.Errorf("take %s line %s (%s:%d): %w", spec.Use, spec.Line, info.Chip, info.Offset, err)
	}
	l := &Line{spec: spec, info: info, shape: shape, mem: mem, handle: h}
	if err := l.settle(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s line %s: %w", spec.Use, spec.Line, err), h.Close())
	}
	return l, nil
}

func take(k Kernel, info Info) (Handle, error) {
	if info.Export != "" {
		return k.Export(info.Export)
	}
	if info.Used {
		return nil, fmt.Errorf("%q holds it: %w", info.Consumer, ErrBusy)
	}
	return k.Request(info.Chip, info.Offset, Consumer)
}

// settle fixes the rest level of a line that no profile describes, and ends a
// pulse that was cut off.
func (l *Line) settle() error {
	if l.spec.Use == model.LineSIM {
		return nil
	}
	rest, cutOff, err := l.mem.Pending(l.key())
	if err != nil {
		return err
	}
	if cutOff {
		if !l.shape.proven {
			l.shape.restHigh = rest
		}
		return l.release()
	}
	if l.shape.proven || !l.info.Output {
		return nil
	}
	// Nobody proves this line's polarity, and the modem works with the level
	// that is on it: that is its rest level.
	l.shape.restHigh, err = l.handle.Level()
	return err
}

func (l *Line) key() string { return l.info.key() }

// key names a line in Memory: by its name, because a chip that comes back may
// have another number.
func (i Info) key() string {
	switch {
	case i.Export != "":
		return i.Export
	case i.Name != "":
		return i.Name
	}
	return fmt.Sprintf("%s:%d", i.Chip, i.Offset)
}

// Off tells that a supply stands on off. It is false for other lines, and where
// nobody proves the polarity: neither a board profile nor the configuration.
func (l *Line) Off() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, ErrClosed
	}
	if !l.shape.power || !l.shape.proven {
		return false, nil
	}
	high, err := l.handle.Level()
	return err == nil && high != l.shape.restHigh, err
}

// Select switches the sim line to the remote or to the local card. Selecting
// what is selected already writes nothing.
func (l *Line) Select(remote bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spec.Use != model.LineSIM {
		return fmt.Errorf("select a card with the %s line: %w", l.spec.Use, ErrRefused)
	}
	if l.closed {
		return ErrClosed
	}
	want := remote == l.spec.RemoteHigh
	if now, err := l.handle.Level(); err == nil && now == want && l.info.Output {
		return nil
	}
	if err := l.handle.Drive(want); err != nil {
		return fmt.Errorf("drive sim line %s %s: %w", l.spec.Line, levelName(want), err)
	}
	l.info.Output = true
	return nil
}

// Remote tells whether the sim line stands on the remote card.
func (l *Line) Remote() (bool, error) {
	high, err := l.Level()
	return high == l.spec.RemoteHigh, err
}

// Level reads the line: true is high.
func (l *Line) Level() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, ErrClosed
	}
	high, err := l.handle.Level()
	if err != nil {
		return false, fmt.Errorf("read %s line %s: %w", l.spec.Use, l.spec.Line, err)
	}
	return high, nil
}

// Pulse takes the line away from rest for d (0: the configured length) and
// brings it back, also when ctx ends first. d is held within MinPulse and
// MaxPulse. A cancelled pulse is not an error: the line is at rest again.
func (l *Line) Pulse(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spec.Use == model.LineSIM {
		return fmt.Errorf("pulse the sim line: %w", ErrRefused)
	}
	if l.closed {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return nil
	}
	d = l.pulse(d)
	// The mark is made before the line moves, so that whoever comes after a
	// crash knows what rest is.
	if err := l.mem.Begin(l.key(), l.shape.restHigh); err != nil {
		return fmt.Errorf("pulse %s line %s: %w", l.spec.Use, l.spec.Line, err)
	}
	err := l.handle.Drive(!l.shape.restHigh)
	if err == nil {
		wait(ctx, d)
	} else {
		err = fmt.Errorf("drive %s line %s %s: %w", l.spec.Use, l.spec.Line, levelName(!l.shape.restHigh), err)
	}
	return errors.Join(err, l.release())
}

// pulse bounds a length.
func (l *Line) pulse(d time.Duration) time.Duration {
	if d <= 0 {
		d = l.spec.Pulse
	}
	if d <= 0 {
		d = DefaultPulse
	}
	return min(max(d, MinPulse), MaxPulse)
}

// release brings the line to rest. It does not look at any context: a modem
// without power is worse than a late answer.
func (l *Line) release() error {
	var err error
	for range releaseTries {
		if err = l.handle.Drive(l.shape.restHigh); err == nil {
			l.info.Output = true
			return l.mem.End(l.key())
		}
		if errors.Is(err, ErrGone) {
			break // comes back as another chip, with another Open
		}
		wait(context.Background(), releaseWait)
	}
	return fmt.Errorf("release %s line %s to %s: %w: %w", l.spec.Use, l.spec.Line, levelName(l.shape.restHigh), err, ErrStuck)
}

// Close gives the line back as it stands: its level is the next owner's.
func (l *Line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	if _, cutOff, merr := l.mem.Pending(l.key()); merr == nil && cutOff {
		err = l.release()
	}
	return errors.Join(err, l.handle.Close())
}

// wait returns after d or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func levelName(high bool) string {
	if high {
		return "high"
	}
	return "low"
}
