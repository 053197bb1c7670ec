package ionmesh

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/lease"
)

// Clock reads the clocks that leases go by, and waits on the one that counts.
type Clock interface {
	Read() lease.Clock
	// Wait returns when CLOCK_BOOTTIME has reached at, or when ctx ends.
	Wait(ctx context.Context, at time.Duration)
}

// systemClock is the kernel's.
type systemClock struct{ bootID string }

// NewClock reads the kernel's clocks.
func NewClock() (Clock, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read the id of this boot: %w", err)
	}
	return systemClock{strings.TrimSpace(string(b))}, nil
}

// maxBound is the largest error with which the system's clock still tells
// something about a lease.
const maxBound = time.Minute

// Read reads all clocks. The kernel says itself how far its time may be off: NTP
// clears STA_UNSYNC and sets an error bound, which grows from then on (ntp_adjtime,
// RFC 5905 §A.5.5.1).
func (c systemClock) Read() lease.Clock {
	var boot unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) // no Linux that Go runs on lacks it
	out := lease.Clock{Boot: time.Duration(boot.Nano()), BootID: c.bootID, Wall: time.Now()}
	var tx unix.Timex
	if state, err := unix.Adjtimex(&tx); err == nil && state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0 {
		out.Bound = time.Duration(tx.Maxerror) * time.Microsecond
		out.Trusted = out.Bound <= maxBound
	}
	return out
}

// Wait sleeps on a timer of CLOCK_BOOTTIME: Go's own stand still while the router
// sleeps.
func (c systemClock) Wait(ctx context.Context, at time.Duration) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		c.sleep(ctx, at)
		return
	}
	f := os.NewFile(uintptr(fd), "timerfd") // non-blocking: the runtime polls it
	defer func() { _ = f.Close() }()
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, at.Nanoseconds()))}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		c.sleep(ctx, at)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [8]byte
	_, _ = f.Read(b[:]) // it expired, or ctx ended
}

// sleep is Wait without a timerfd: it looks each second.
func (c systemClock) sleep(ctx context.Context, at time.Duration) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for c.Read().Boot < at {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
