// Command remsim is the router program: `remsim daemon` runs under procd, the
// other sub-commands ask it over ubus (but for config check, cleanup and version,
// which work while it is down).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// version is set by the build (-ldflags -X main.version=…).
var version = "dev"

// Exit statuses, as the contract has them.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// errUsage means that the words of the command line are off; the explanation
// has been printed.
var errUsage = errors.New("usage")

// command is one sub-command.
type command struct {
	name  string
	args  string // what follows the name
	about string
	run   func(ctx context.Context, c *cli, args []string) error
}

// commands lists the sub-commands in the order in which usage shows them.
func commands() []command {
	return []command{
		{"daemon", "", "run the daemon in the foreground (procd does)", runDaemon},
		{"status", "[--watch]", "state of modems, sessions and health", runStatus},
		{"modems", "", "each modem: what it is, its state, its signal, what is wrong", runModems},
		{"links", "", "each way to the network: usable or why not, what it carries, and why", runLinks},
		{"events", "[--kind KIND|--failover] [--limit N] [--follow]", "what happened, newest last", runEvents},
		{"doctor", "[MODEM]", "check everything a remote card depends on, and say what to do", runDoctor},
		{"test", "server|bank|card|path|ionmesh [NAME]", "try one thing out without disturbing what works", runTest},
		{"sim", "[MODEM] remote|local | test [MODEM]", "choose the card of a modem, or test its remote card without registering anywhere", runSim},
		{"map", "[--modem MODEM] [--host HOST] [--port PORT] BANK SLOT", "assign a bank slot by hand", runMap},
		{"unmap", "[MODEM]", "take the remote card away", runUnmap},
		{"switch", "data|control LINK|auto", "have a link carry user or control traffic, or give the choice back", runSwitch},
		{"reset", "[MODEM] [--method auto|soft|modemmanager|gpio|power]", "restart a modem", runReset},
		{"front", "enable [MODEM] [--undo] [--yes]", "switch UIM Remote on in a Quectel modem's firmware, or back; shows first what it would write", runFront},
		{"gpio", "[MODEM] sim|reset|power [--dry-run]", "show a GPIO line and what would be done with it", runGPIO},
		{"history", "METRIC MODEM [--range 1h|6h|24h|7d]", "what was measured", runHistory},
		{"trace", "[--modem MODEM] [--limit N] [--pcap FILE] [on|off]", "show traced APDUs, secrets hidden, or write them for Wireshark; on and off switch the trace", runTrace},
		{"config", "[check [DIR]|reload]", "errors and costs of the configuration", runConfig},
		{"cleanup", "", "after the daemon has ended: local cards, and no rule, route or table left behind", runCleanup},
		{"discover", "", "modems, fronts, lines and networks that are there, and how a section names them", runDiscover},
		{"credential", "[list] | add KIND NAME [FILE] | remove KIND NAME", "certificates and keys that the configuration calls by name; without FILE they come from standard input", runCredential},
		{"support", "[FILE]", "show what a support archive holds, and write it", runSupport},
		{"version", "", "print the version", runVersion},
	}
}

// cli is what every sub-command shares: its streams and common flags.
type cli struct {
	in       io.Reader // answers to questions
	out, err io.Writer
	ubus     string
	json     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, out, errw io.Writer) int {
	c := &cli{in: os.Stdin, out: out, err: errw}
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		usage(out)
		return exitOK
	}
	for _, cmd := range commands() {
		if cmd.name != args[0] {
			continue
		}
		switch err := cmd.run(ctx, c, args[1:]); {
		case err == nil:
			return exitOK
		case errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.Is(err, errUsage):
			return exitUsage
		case errors.Is(err, errFailed): // what failed has been printed
			return exitFailure
		default:
			fmt.Fprintf(errw, "remsim %s: %v\n", cmd.name, err)
			return exitFailure
		}
	}
	fmt.Fprintf(errw, "remsim: there is no command %q\n\n", args[0])
	usage(errw)
	return exitUsage
}

// errFailed means that the command ran and its answer is no: already printed.
var errFailed = errors.New("failed")

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: remsim COMMAND [--json] [--ubus SOCKET] …")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %s\n        %s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	}
}

// parse reads flags anywhere on the line and returns the words between them.
// At least min and at most max words are accepted.
func (c *cli) parse(name string, args []string, min, max int, define func(*flag.FlagSet)) ([]string, error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // we say it ourselves
	fs.StringVar(&c.ubus, "ubus", defaultUbus, "`SOCKET` of ubusd")
	if name != "daemon" {
		fs.BoolVar(&c.json, "json", false, "print the reply as JSON")
	}
	refuse := func(format string, args ...any) error {
		fmt.Fprintf(c.err, "remsim %s: %s\n", name, fmt.Sprintf(format, args...))
		usageOf(c.err, name, fs)
		return errUsage
	}
	if define != nil {
		define(fs)
	}
	var words []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				usageOf(c.out, name, fs)
				return nil, err
			}
			return nil, refuse("%v", err)
		}
		if fs.NArg() == 0 {
			break
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
	if len(words) < min {
		return nil, refuse("a word is missing")
	}
	if len(words) > max {
		return nil, refuse("%q is one word too many", words[max])
	}
	return words, nil
}

// usageOf explains one sub-command and its flags.
func usageOf(w io.Writer, name string, fs *flag.FlagSet) {
	for _, cmd := range commands() {
		if cmd.name == name {
			fmt.Fprintf(w, "usage: remsim %s\n  %s\n", strings.TrimSpace(name+" "+cmd.args), cmd.about)
		}
	}
	fs.VisitAll(func(f *flag.Flag) {
		value, about := flag.UnquoteUsage(f)
		if !slices.Contains([]string{"", "0", "false"}, f.DefValue) {
			about += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, "  %-16s %s\n", strings.TrimSpace("--"+f.Name+" "+value), about)
	})
}

func runVersion(_ context.Context, c *cli, args []string) error {
	if _, err := c.parse("version", args, 0, 0, nil); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(map[string]string{"version": version})
	}
	fmt.Fprintln(c.out, "remsim", version)
	return nil
}
