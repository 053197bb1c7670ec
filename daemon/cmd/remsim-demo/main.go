// Command remsim-demo runs the whole product on fakes. Without arguments it
// plays the tour: an ubus broker, an RSPRO server, a bank with software cards, a
// program in the place of a modem, and the same daemon that runs on a router,
// narrates what happens, and serves the LuCI app on loopback. `remsim-demo peers` starts only the peers and obeys
// commands on standard input: the end-to-end tests run the real programs against
// it. It is never packaged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
)

// version is set by the build (-ldflags -X main.version=…).
var version = "dev"

// options are the flags.
type options struct {
	world string
	once  bool
	dir   string

	listen string // of the LuCI app; "" is usualPort if it is free
	app    string
	luci   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "remsim-demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	peersOnly := len(args) > 0 && args[0] == "peers"
	if peersOnly {
		args = args[1:]
	}
	var o options
	fs := flag.NewFlagSet("remsim-demo", flag.ContinueOnError)
	fs.StringVar(&o.world, "world", "tests/worlds/tour.txt", "the world file to play")
	fs.BoolVar(&o.once, "once", false, "end after the last step, with status 1 if any failed")
	fs.StringVar(&o.dir, "dir", "", "folder for sockets, configuration and state; default: a temporary one")
	fs.StringVar(&o.listen, "listen", "", "loopback address and port of the LuCI app; default: port 7460, or a free one")
	fs.StringVar(&o.app, "app", "luci-app-remsim", "folder of the LuCI app")
	fs.StringVar(&o.luci, "luci", "", "a LuCI checkout or installation whose own luci.js, form.js and ui.js the pages shall run on")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q: no words are taken besides flags and `peers`", fs.Arg(0))
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "remsim-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	} else if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	w, err := readWorld(o.world)
	if err != nil {
		return err
	}
	if peersOnly {
		return servePeers(ctx, w, o.dir, in, out)
	}
	return tour(ctx, w, o, in, out)
}

func readWorld(path string) (*world, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w, err := parseWorld(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// tour plays a world with the daemon in this process.
func tour(ctx context.Context, w *world, o options, in io.Reader, out io.Writer) error {
	p, err := startPeers(w, o.dir, !o.once)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.configure(w); err != nil {
		return err
	}
	s, err := newStage(ctx, out, w, p)
	if err != nil {
		return err
	}
	defer s.close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var web <-chan error // nil: there is none
	if !o.once {
		var address string
		if address, web, err = startWeb(ctx, w, p, o); err != nil {
			return err
		}
		fmt.Fprintf(out, "Open %s in a browser on this machine and log in as %s (everything) or %s (only looking).\n", address, hint(users[0]), hint(users[1]))
	}
	d := startDaemon(ctx, daemonOptions(w, p), p.drivers())
	early := d.early()
	if o.once {
		s.stop = d.cleanup
	}
	played := make(chan error, 1)
	go func() { played <- s.play(ctx, w) }()

	select {
	case err = <-played:
		if err != nil {
			p.print(out) // what the other side looks like, for whoever searches
		}
	case err = <-web:
		web = nil
		err = fmt.Errorf("the LuCI app ended early: %w", err)
	case <-early:
		err = fmt.Errorf("the daemon ended early: %w", errors.Join(d.err, errors.New("see above")))
	}
	if err == nil && !o.once {
		fmt.Fprintf(out, "\nThe tour is over, everything keeps running. Ask it in another terminal:\n\n"+
			"  build/remsim status --ubus %s\n  build/remsim doctor --ubus %s\n  build/remsim events --follow --ubus %s\n\nType what shall happen to this world, as `bank stop` or `bank start`; Ctrl-C ends it.\n",
			p.socket(), p.socket(), p.socket())
		s.obey(ctx, in)
	}
	s.close() // what the end of the daemon brings is no part of the tour
	cancel()
	if e := d.end(); err == nil {
		err = e
	}
	if web != nil {
		err = errors.Join(err, <-web)
	}
	if err == nil && o.once {
		fmt.Fprintf(out, "\nThe tour is over: %d steps, all as they should be.\n", len(w.steps))
	}
	return err
}

// missing is how long a modem, or ModemManager, may be away in a world before
// that means anything. The router's 30 s would make a long story.
const missing = 4 * time.Second

// daemonOptions run the daemon inside a world's folder.
func daemonOptions(w *world, p *peers) app.Options {
	return app.Options{
		Version: version, ConfigDir: p.configDir(), StateDir: filepath.Join(p.dir, "state"), RunDir: filepath.Join(p.dir, "run"),
		Ubus: p.socket(), Hostname: w.router, Logger: slog.New(slog.DiscardHandler),
		// Nothing of the machine that plays the world.
		Sysinfo: p.dir, Sysfs: filepath.Join(p.dir, "sys"), ProbeTime: missing,
	}
}
