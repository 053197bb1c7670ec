package vm

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

var errNoUserspace = errors.New("the machine did not reach userspace")

// console collects what the machine prints and tells when init speaks first.
type console struct {
	mu     sync.Mutex
	text   strings.Builder
	spoken chan struct{}
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(b)
	if c.spoken != nil && strings.Contains(c.text.String(), "VM-INIT") {
		close(c.spoken)
		c.spoken = nil
	}
	return len(b), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// boot runs the emulator once. q35 and one processor: -M microvm hangs in TSC
// calibration under emulation, and two processors are slower than one.
func boot(ctx context.Context, k Kernel, initrd string) (Run, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "max", "-m", "512", "-smp", "1",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio", "-nic", "none",
		"-kernel", k.Image, "-initrd", initrd,
		"-append", "console=ttyS0 quiet loglevel=3 panic=-1 random.trust_cpu=on mitigations=off")
	spoken := make(chan struct{})
	con := &console{spoken: spoken}
	cmd.Stdout, cmd.Stderr = con, con
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return Run{}, fmt.Errorf("start the emulator: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()

	run := Run{}
	late := time.NewTimer(bootLimit)
	defer late.Stop()
	for {
		select {
		case <-spoken:
			run.Boot = time.Since(start)
			spoken = nil
			late.Stop()
		case <-late.C:
			cancel()
			<-done
			run.Console = con.String()
			return run, fmt.Errorf("%w in %s", errNoUserspace, bootLimit)
		case err := <-done:
			run.Total, run.Console = time.Since(start), con.String()
			if err != nil {
				return run, fmt.Errorf("run the machine: %w", errors.Join(err, ctx.Err()))
			}
			if spoken != nil && !strings.Contains(run.Console, "VM-INIT") {
				return run, errNoUserspace
			}
			if run.Boot == 0 {
				run.Boot = run.Total
			}
			return run, nil
		}
	}
}
