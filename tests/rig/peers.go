package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Peers are the fakes of a world file, run by `remsim-demo peers`.
type Peers struct {
	// What they say of themselves.
	Ubus    string            // socket of the fake broker
	Config  string            // folder with a UCI file for the daemon
	Server  string            // host:port
	Banks   map[string]string // by bank id
	Readers map[string]string // by modem

	tb   testing.TB
	proc *Process

	mu   sync.Mutex // one command at a time
	in   io.WriteCloser
	read int // how much of the output belongs to earlier commands
}

// Entry is one line of a bank's log.
type Entry struct {
	Sequence uint64 `json:"sequence"`
	Conn     uint64 `json:"conn"`
	Slot     int    `json:"slot"`
	Kind     string `json:"kind"`    // tpdu, power-on, cold-reset, warm-reset, power-off
	Command  string `json:"command"` // hexadecimal digits, as the rest
	Answer   string `json:"answer"`
	Sent     bool   `json:"sent"` // the answer went out
}

// Challenge is what a card's home network sends and expects in return, as
// hexadecimal digits.
type Challenge struct {
	RAND, AUTN, RES, CK, IK string
}

// StartPeers starts the peers of a world file of tests/worlds.
func StartPeers(tb testing.TB, world string) *Peers {
	tb.Helper()
	return StartPeersIn(tb, "", filepath.Join(Root(), "tests", "worlds", world))
}

// StartPeersIn starts the peers of any world file in a network namespace.
func StartPeersIn(tb testing.TB, space, world string) *Peers {
	tb.Helper()
	in, stdin, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close() // the child has its own
	args := []string{"peers", "--world", world, "--dir", Dir(tb)}
	p := &Peers{tb: tb, in: stdin, proc: Start(tb, Options{Stdin: in, Net: space}, filepath.Join(Programs(tb, Checked), "remsim-demo"), args...)}
	tb.Cleanup(func() { // before the cleanup of Start: it ends by itself
		_ = stdin.Close()
		if code := p.proc.Wait(); code != 0 {
			tb.Errorf("remsim-demo peers ended with status %d:\n%s", code, p.proc.Stderr)
		}
	})
	lines, err := p.lines(func(string) bool { return true })
	if err == nil {
		err = json.Unmarshal([]byte(lines[0]), p)
	}
	if err != nil {
		tb.Fatalf("remsim-demo peers: %v; it says:\n%s", err, p.proc.Stderr)
	}
	return p
}

// Do carries out one command: assign, bank stop, modem primary power-on and so on.
func (p *Peers) Do(format string, args ...any) {
	p.tb.Helper()
	if _, err := p.Ask(format, args...); err != nil {
		p.tb.Fatal(err)
	}
}

// Ask carries out one command and returns the lines that it prints.
func (p *Peers) Ask(format string, args ...any) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	command := fmt.Sprintf(format, args...)
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return nil, fmt.Errorf("peers: %s: %w", command, err)
	}
	lines, err := p.lines(func(line string) bool { return line == "ok" || strings.HasPrefix(line, "error ") })
	if err != nil {
		return nil, fmt.Errorf("peers: %s: %w", command, err)
	}
	last := lines[len(lines)-1]
	if why, bad := strings.CutPrefix(last, "error "); bad {
		return nil, fmt.Errorf("peers: %s: %s", command, why)
	}
	return lines[:len(lines)-1], nil
}

// lines takes whole lines of the output up to the one that is the last.
func (p *Peers) lines(last func(string) bool) (lines []string, err error) {
	text, ok := p.proc.Stdout.Until(func(text string) bool {
		lines = lines[:0]
		for line := range strings.Lines(text[p.read:]) {
			line, whole := strings.CutSuffix(line, "\n")
			if lines = append(lines, line); whole && last(line) {
				return true
			}
		}
		return false
	})
	if !ok {
		return nil, fmt.Errorf("no answer; so far:\n%s", text[p.read:])
	}
	p.read = len(text) // one command at a time: nothing follows
	return lines, nil
}

// Log is what a bank did so far.
func (p *Peers) Log(bank int) []Entry {
	p.tb.Helper()
	lines, err := p.Ask("log %d", bank)
	if err != nil {
		p.tb.Fatal(err)
	}
	log := make([]Entry, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &log[i]); err != nil {
			p.tb.Fatalf("log of bank %d: %q: %v", bank, line, err)
		}
	}
	return log
}

// Challenge has the home network of a card make a challenge.
func (p *Peers) Challenge(bank, slot int) Challenge {
	p.tb.Helper()
	var c Challenge
	lines, err := p.Ask("challenge %d %d", bank, slot)
	if err == nil && len(lines) != 1 {
		err = fmt.Errorf("%d lines instead of one", len(lines))
	}
	if err == nil {
		err = json.Unmarshal([]byte(lines[0]), &c)
	}
	if err != nil {
		p.tb.Fatalf("challenge for bank %d slot %d: %v", bank, slot, err)
	}
	return c
}

// UCI is the configuration of a router that lives with these peers.
func (p *Peers) UCI() string {
	p.tb.Helper()
	text, err := os.ReadFile(filepath.Join(p.Config, "remsim"))
	if err != nil {
		p.tb.Fatal(err)
	}
	return string(text)
}
