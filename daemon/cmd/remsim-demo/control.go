package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// ready is the first line that `remsim-demo peers` prints.
type ready struct {
	Ubus    string            `json:"ubus"`
	Config  string            `json:"config"` // UCI directory, written
	Server  string            `json:"server"`
	Banks   map[int]string    `json:"banks"`
	Readers map[string]string `json:"readers"`
}

// logEntry is one line of a bank's log.
type logEntry struct {
	Sequence uint64 `json:"sequence"`
	Conn     uint64 `json:"conn"`
	Slot     int    `json:"slot"`
	Kind     string `json:"kind"`
	Command  string `json:"command"`
	Answer   string `json:"answer"`
	Sent     bool   `json:"sent"`
}

// servePeers starts a world's peers and obeys one command a line: those of `do`,
// and `log BANK`. Each is answered by lines that end with "ok" or "error …". The
// end of input, or of ctx, ends it.
func servePeers(ctx context.Context, w *world, dir string, in io.Reader, out io.Writer) error {
	p, err := startPeers(w, dir)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.configure(w); err != nil {
		return err
	}
	r := ready{Ubus: p.socket(), Config: p.configDir(), Banks: map[int]string{}, Readers: map[string]string{}}
	if p.server != nil {
		r.Server = p.server.Addr()
	}
	for id, b := range p.banks {
		r.Banks[id] = b.Addr()
	}
	for name, rd := range p.readers {
		r.Readers[name] = rd.Addr()
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(in); sc.Scan(); {
			select {
			case lines <- sc.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return nil
			}
			if err := p.control(strings.Fields(line), out); err != nil {
				fmt.Fprintln(out, "error", err)
				continue
			}
			fmt.Fprintln(out, "ok")
		}
	}
}

func (p *peers) control(words []string, out io.Writer) error {
	if len(words) == 0 || words[0] != "log" {
		return p.do(words)
	}
	f := fields{words: words[1:]}
	id := f.number()
	if err := f.end(); err != nil {
		return err
	}
	b := p.banks[id]
	if b == nil {
		return fmt.Errorf("there is no bank %d", id)
	}
	enc := json.NewEncoder(out)
	for _, e := range b.Log() {
		l := logEntry{Sequence: e.Sequence, Conn: e.Conn, Slot: e.Slot, Kind: e.Kind,
			Command: hex.EncodeToString(e.Command), Answer: hex.EncodeToString(e.Answer), Sent: e.Sent}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
