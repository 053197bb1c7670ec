package rig

import (
	"io"
	"os"
	"testing"

	"github.com/creack/pty"
)

// Terminal makes a terminal for a program, and what the program writes to it. The
// output ends with the test.
func Terminal(tb testing.TB) (*os.File, *Output) {
	tb.Helper()
	screen, terminal, err := pty.Open()
	if err != nil {
		tb.Fatalf("make a terminal: %v", err)
	}
	out, done := newOutput(), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, screen) // ends with an error when the terminal is closed
		out.close()
	}()
	tb.Cleanup(func() {
		_ = terminal.Close()
		_ = screen.Close()
		<-done
	})
	return terminal, out
}
