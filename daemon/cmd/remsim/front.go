package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// frontTime bounds one call: ModemManager lets go of the modem, and the modem writes its
// flash.
const frontTime = 75 * time.Second

// runFront works the switch for UIM Remote in a modem's firmware. Nothing is written
// before its owner has seen what, and has said yes.
func runFront(ctx context.Context, c *cli, args []string) error {
	undo, yes := false, false
	words, err := c.parse("front", args, 1, 2, func(fs *flag.FlagSet) {
		fs.BoolVar(&undo, "undo", false, "write the value back that was there before")
		fs.BoolVar(&yes, "yes", false, "ask nothing: for scripts")
	})
	if err != nil {
		return err
	}
	if words[0] != "enable" {
		fmt.Fprintf(c.err, "remsim front: %q is not enable\n", words[0])
		return errUsage
	}
	call := map[string]any{"modem": word(words, 1), "action": "plan", "interrupt": yes}
	plan, err := c.front(ctx, call)
	if err != nil && strings.Contains(err.Error(), "argument interrupt") {
		fmt.Fprintln(c.err, "ModemManager uses the AT port that is needed. It can be made to let go of the modem: its connection is cut for about 20 s.")
		if err := c.confirm("Let ModemManager go?"); err != nil {
			return err
		}
		call["interrupt"] = true
		plan, err = c.front(ctx, call)
	}
	if err != nil {
		return err
	}
	if !plan.Needed && !undo {
		return c.tell(plan)
	}
	question := plan.Text
	call["action"], call["old"] = "enable", plan.Old
	if undo {
		if plan.Kept == "" {
			return fmt.Errorf("there is nothing to undo: no earlier value of modem %s is kept", plan.Modem)
		}
		question = fmt.Sprintf("write %s back to %s of this %s, which is at %s", plan.Kept, plan.Item, plan.Model, plan.Old)
		call["action"], call["old"] = "undo", ""
	}
	if !yes {
		fmt.Fprintln(c.err, question)
		if err := c.confirm("Write this to the modem?"); err != nil {
			return err
		}
	}
	done, err := c.front(ctx, call)
	if err != nil {
		return err
	}
	if err := c.tell(done); err != nil || c.json {
		return err
	}
	fmt.Fprintf(c.out, "`remsim reset %s` restarts it\n", done.Modem)
	return nil
}

// front calls the method, and prints nothing.
func (c *cli) front(ctx context.Context, args map[string]any) (s model.FirmwareSwitch, err error) {
	quiet := *c
	quiet.json = false
	_, err = quiet.call(ctx, frontTime, "front", args, &s)
	return s, err
}

// tell prints what was done, or that there is nothing to do.
func (c *cli) tell(s model.FirmwareSwitch) error {
	if c.json {
		return c.printJSON(s)
	}
	fmt.Fprintln(c.out, s.Text)
	return nil
}

// errNotConfirmed ends a command that its owner did not say yes to.
var errNotConfirmed = errors.New("nothing was done: it was not confirmed (scripts say --yes)")

// confirm asks a question, and takes only yes for a yes.
func (c *cli) confirm(question string) error {
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	line, _ := bufio.NewReader(c.in).ReadString('\n') // the end of the input is no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errNotConfirmed
}
