package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/rspro/rsprofake"
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

// challenge is what a card's home network sends and expects in return (3GPP TS
// 33.102 §6.3), as hexadecimal digits. The keys are test keys.
type challenge struct {
	RAND string `json:"rand"`
	AUTN string `json:"autn"`
	RES  string `json:"res"`
	CK   string `json:"ck"`
	IK   string `json:"ik"`
}

// modemTime bounds what `modem` does: somebody waits for its answer.
const modemTime = 15 * time.Second

// servePeers starts a world's peers and obeys one command a line: those of `do`,
// `log BANK`, `challenge BANK SLOT`, and `modem NAME VERB …` with the verbs of the
// tour and `rest`. Each is answered by lines that end with "ok" or "error …". The end of
// input, or of ctx, ends it.
func servePeers(ctx context.Context, w *world, dir string, in io.Reader, out io.Writer) error {
	p, err := startPeers(w, dir, false)
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
	modems := make(map[string]*player)
	for name, rd := range p.readers {
		m := &player{reader: rd}
		defer m.close()
		modems[name] = m
	}
	lines := readLines(ctx, in)
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return nil
			}
			if err := p.control(ctx, modems, strings.Fields(line), out); err != nil {
				fmt.Fprintln(out, "error", err)
				continue
			}
			fmt.Fprintln(out, "ok")
		}
	}
}

// readLines gives the lines of in until its end. A read that waits cannot be ended:
// on standard input it ends with the process.
func readLines(ctx context.Context, in io.Reader) <-chan string {
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
	return lines
}

// obey carries out what is typed after a world was played, until ctx ends.
func (s *stage) obey(ctx context.Context, in io.Reader) {
	lines := readLines(ctx, in)
	for {
		select {
		case <-ctx.Done():
			return
		case line, more := <-lines:
			words := strings.Fields(line)
			switch {
			case !more:
				lines = nil // nobody types here; the world goes on
			case len(words) == 0:
			default:
				if err := s.peers.do(words); err != nil {
					s.print("  error: %v", err)
				} else {
					s.print("  > %s", line)
				}
			}
		}
	}
}

// control carries out one line and prints what it is asked for.
func (p *peers) control(ctx context.Context, modems map[string]*player, words []string, out io.Writer) error {
	if len(words) == 0 {
		return p.do(words)
	}
	switch words[0] {
	case "log":
		return p.printLog(words[1:], out)
	case "challenge":
		return p.challenge(words[1:], out)
	case "modem":
		if len(words) < 3 || modems[words[1]] == nil {
			return fmt.Errorf("%q: wants the name of a modem and a verb", words)
		}
		if words[2] == "rest" { // it no longer looks whether the card is there
			modems[words[1]].close()
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, modemTime)
		defer cancel()
		text, err := modems[words[1]].do(ctx, words[2], words[3:], p.profile)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(text)
	}
	return p.do(words)
}

// printLog prints what a bank did, one entry a line.
func (p *peers) printLog(words []string, out io.Writer) error {
	f := fields{words: words}
	id := f.number()
	if err := f.end(); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	return p.onBank(id, func(b *rsprofake.Bank) error {
		for _, e := range b.Log() {
			l := logEntry{Sequence: e.Sequence, Conn: e.Conn, Slot: e.Slot, Kind: e.Kind,
				Command: hex.EncodeToString(e.Command), Answer: hex.EncodeToString(e.Answer), Sent: e.Sent}
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// challenge makes a challenge that the card in a slot has not seen, and prints it
// with the answer that the home network expects.
func (p *peers) challenge(words []string, out io.Writer) error {
	f := fields{words: words}
	at := [2]int{f.number(), f.number()}
	if err := f.end(); err != nil {
		return err
	}
	card := p.cards[at]
	if card == nil {
		return fmt.Errorf("there is no card in bank %d slot %d", at[0], at[1])
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	// A new SEQ, the same IND (3GPP TS 33.102 C.1.1.1).
	autn, res, ck, ik := card.Milenage().Challenge(random, card.SQN()+32, [2]byte{0x80, 0})
	return json.NewEncoder(out).Encode(challenge{
		RAND: hex.EncodeToString(random[:]), AUTN: hex.EncodeToString(autn[:]), RES: hex.EncodeToString(res[:]),
		CK: hex.EncodeToString(ck[:]), IK: hex.EncodeToString(ik[:]),
	})
}
