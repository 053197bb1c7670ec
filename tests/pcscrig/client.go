package pcscrig

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

// ErrNoAnswer: SCardTransmit ended without any byte, which is how vpcd tells that the
// card went away during a command.
var ErrNoAnswer = errors.New("the card went away without an answer")

// python is Debian's, for which python3-pyscard is built; another may come first in
// the PATH.
const python = "/usr/bin/python3"

//go:embed client.py
var clientProgram string

// Client is a PC/SC program (pyscard) with one reader, driven verb by verb. Its
// methods may be called from any goroutine; they wait for each other.
type Client struct {
	reader string
	cmd    *exec.Cmd
	cancel context.CancelFunc

	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Scanner
	err error // why the program is of no use any more
}

// Client starts a PC/SC program for reader i. Close ends it; so does the end of the
// test.
func (r *Rig) Client(i int) *Client {
	r.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{reader: r.Reader(i), cancel: cancel, cmd: r.Command(ctx, python, "-u", "-c", clientProgram, r.Reader(i))}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		r.tb.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		r.tb.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	c.cmd.Stderr = &r.log
	if err := c.cmd.Start(); err != nil {
		r.tb.Fatalf("start PC/SC program: %v", err)
	}
	r.tb.Cleanup(c.Close)
	if _, err := c.answer(); err != nil {
		r.tb.Fatalf("PC/SC program: %v; log:\n%s", err, r.log.String())
	}
	return c
}

// Close ends the program.
func (c *Client) Close() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in != nil {
		_ = c.in.Close()
		_ = c.cmd.Wait() // it was killed
		c.in = nil
		c.err = errors.New("the PC/SC program was closed")
	}
}

// Readers lists the readers that pcscd has.
func (c *Client) Readers(ctx context.Context) ([]string, error) {
	b, err := c.do(ctx, "readers")
	return strings.Split(string(b), "\n"), err
}

// WaitCard waits for a card in the reader and returns its ATR.
func (c *Client) WaitCard(ctx context.Context) ([]byte, error) { return c.do(ctx, "wait_card") }

// WaitNoCard waits for the reader to be empty.
func (c *Client) WaitNoCard(ctx context.Context) error {
	_, err := c.do(ctx, "wait_empty")
	return err
}

// PowerOn connects to the card, which powers it, and returns its ATR.
func (c *Client) PowerOn(ctx context.Context) ([]byte, error) { return c.do(ctx, "connect") }

// Reset resets the card warm and returns its ATR.
func (c *Client) Reset(ctx context.Context) ([]byte, error) { return c.do(ctx, "reset") }

// PowerOff ends the connection and takes the card's power away.
func (c *Client) PowerOff(ctx context.Context) error {
	_, err := c.do(ctx, "unpower")
	return err
}

// ATR is the ATR of the connected card.
func (c *Client) ATR(ctx context.Context) ([]byte, error) { return c.do(ctx, "status") }

// Transmit sends a command APDU and returns the answer.
func (c *Client) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	b, err := c.do(ctx, "transmit "+hex.EncodeToString(apdu))
	if err == nil && len(b) == 0 {
		return nil, ErrNoAnswer
	}
	return b, err
}

// do has the program obey one verb. If ctx ends first the program is killed.
func (c *Client) do(ctx context.Context, line string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return nil, fmt.Errorf("PC/SC program on %s: %w", c.reader, err)
	}
	b, err := c.answer()
	if ctx.Err() != nil {
		c.err = fmt.Errorf("PC/SC program on %s: killed: %w", c.reader, ctx.Err())
		return nil, c.err
	}
	return b, err
}

func (c *Client) answer() ([]byte, error) {
	if !c.out.Scan() {
		return nil, fmt.Errorf("PC/SC program on %s ended: %w", c.reader, io.ErrUnexpectedEOF)
	}
	word, rest, _ := strings.Cut(c.out.Text(), " ")
	if word != "ok" {
		return nil, fmt.Errorf("PC/SC on %s: %s", c.reader, rest)
	}
	return hex.DecodeString(rest)
}

func lockThread() { runtime.LockOSThread() }
