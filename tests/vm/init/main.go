//go:build linux

// Command init is the first and only program of the test machine: it mounts
// what the tests need, loads the modules, runs the jobs one after the other
// and powers the machine off. It is not for any other use.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// jobLimit ends a job that hangs, so that its output is not lost.
const jobLimit = 5 * time.Minute

type plan struct {
	Modules []string
	Jobs    []struct {
		Name string
		Path string
		Args []string
	}
}

func main() {
	fmt.Println("VM-INIT")
	if err := work(); err != nil {
		fmt.Printf("VM-ERROR %v\n", err)
	} else {
		fmt.Println("VM-DONE")
	}
	unix.Sync()
	// PID 1 must not return: the kernel would panic.
	for {
		fmt.Println(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
		time.Sleep(time.Second)
	}
}

func work() error {
	for _, m := range []struct{ kind, on string }{
		{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}, {"tracefs", "/sys/kernel/tracing"},
	} {
		if err := unix.Mount(m.kind, m.on, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.on, err)
		}
	}
	if err := os.Mkdir("/dev/pts", 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := unix.Mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666"); err != nil {
		return fmt.Errorf("mount devpts: %w", err)
	}
	var p plan
	b, err := os.ReadFile("/plan.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	for _, m := range p.Modules {
		if err := load(m); err != nil {
			return fmt.Errorf("load %s: %w", m, err)
		}
	}
	if err := unix.Mount("configfs", "/sys/kernel/config", "configfs", 0, ""); err != nil {
		return fmt.Errorf("mount configfs: %w", err)
	}
	for _, j := range p.Jobs {
		run(j.Name, j.Path, j.Args)
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

func run(name, path string, args []string) {
	fmt.Printf("VM-START %s\n", name)
	ctx, cancel := context.WithTimeout(context.Background(), jobLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/tmp", os.Stdout, os.Stdout
	cmd.Env = []string{"REMSIM_VM=1", "HOME=/tmp", "TMPDIR=/tmp", "PATH=/jobs"}
	start := time.Now()
	err := cmd.Run()
	rc := cmd.ProcessState.ExitCode()
	if err != nil && rc <= 0 {
		fmt.Printf("%s: %v\n", name, err)
		rc = 255
	}
	fmt.Printf("\nVM-RESULT %s rc=%d seconds=%.2f\n", name, rc, time.Since(start).Seconds())
}
