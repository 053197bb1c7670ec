package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

const (
	defaultUbus = "/var/run/ubus/ubus.sock"
	object      = "remsim"
	callTime    = 10 * time.Second
	testTime    = time.Minute // connection tests wait for what they test
)

// dial connects to the bus, with an error that names the socket and the program
// behind it.
func (c *cli) dial(ctx context.Context) (*ubus.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	conn, err := ubus.Dial(ctx, c.ubus)
	if err != nil {
		return nil, fmt.Errorf("%w; is ubusd running?", err)
	}
	return conn, nil
}

// call makes one call and decodes the reply into out. With --json the reply has
// been printed as well; shown tells.
func (c *cli) call(ctx context.Context, limit time.Duration, method string, args, out any) (shown bool, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	return c.callOn(ctx, conn, limit, method, args, out)
}

func (c *cli) callOn(ctx context.Context, conn *ubus.Conn, limit time.Duration, method string, args, out any) (shown bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := c.progress(ctx, method)
	reply, err := conn.Call(ctx, object, method, args)
	stop()
	if err != nil {
		return false, explain(err)
	}
	if err := reply.Decode(out); err != nil {
		return false, fmt.Errorf("read the reply of %s: %w", method, err)
	}
	if c.json {
		return true, c.printJSON(reply)
	}
	return false, nil
}

// errAway means that there is a bus but no daemon on it.
var errAway = errors.New("the daemon is not on the bus; is the service remsim running?")

// explain puts what a person can act on before the status of the bus.
func explain(err error) error {
	var status *ubus.StatusError
	if !errors.As(err, &status) {
		return err
	}
	if status.Message != "" {
		return errors.New(status.Message)
	}
	if status.Status == ubus.StatusNotFound {
		return errAway
	}
	return err
}

func (c *cli) printJSON(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(v)
}

// terminal tells whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// progress shows on a terminal that a long call is still under way. The
// returned function ends it and wipes the line.
func (c *cli) progress(ctx context.Context, what string) (stop func()) {
	if !terminal(c.err) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		start := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for shown := false; ; {
			select {
			case <-ctx.Done():
				if shown {
					fmt.Fprint(c.err, "\r\x1b[K")
				}
				return
			case <-tick.C:
				shown = true
				fmt.Fprintf(c.err, "\r\x1b[K%s … %d s", what, int(time.Since(start).Seconds()))
			}
		}
	}()
	return func() { cancel(); <-done }
}
