package ubusfake_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// ubusProgram is OpenWrt's command line program.
func ubusProgram(t *testing.T, socket string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := exec.LookPath("ubus")
	if err != nil {
		t.Skip("needs the ubus program: no Debian package has it; build openwrt/ubus and put it on the PATH")
	}
	return exec.CommandContext(bounded(t), program, append([]string{"-s", socket}, args...)...)
}

// stream runs a program that prints until it is stopped, line by line.
func stream(t *testing.T, cmd *exec.Cmd) <-chan string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := make(chan string, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			lines <- sc.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		cmd.Wait()
		io.Copy(io.Discard, out)
	})
	return lines
}

// TestTheRealProgramTalksToOurs runs OpenWrt's ubus program against our object,
// over our broker and over the real one.
func TestTheRealProgramTalksToOurs(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		o := golden("golden")
		publish(t, socket, o)
		output := func(args ...string) (string, error) {
			out, err := ubusProgram(t, socket, args...).CombinedOutput()
			return string(out), err
		}

		out, err := output("list")
		require.NoError(t, err, out)
		require.Equal(t, "golden\n", out)
		out, err = output("-v", "list", "gol*")
		require.NoError(t, err, out)
		// The program has words for these types only.
		require.Contains(t, out, `"echo":{"arr":"Array","tbl":"Table","str":"String","i64":"(unknown)","i32":"Integer","i16":"(unknown)","flag":"Boolean","dbl":"(unknown)"}`)
		require.Contains(t, out, `"fail":{"code":"Integer"}`)

		sent := `{"str":"héllo \"q\"","n":-7,"big":8589934592,"t":true,"f":false,"d":1.5,"a":[1,[2,"x"],{}],"o":{"k":null}}`
		out, err = output("-S", "call", "golden", "echo", sent)
		require.NoError(t, err, out)
		require.JSONEq(t, sent, out)

		out, err = output("-S", "call", "golden", "two")
		require.NoError(t, err, out)
		require.Equal(t, "{\"part\":0}\n{\"part\":1}\n", out)
		out, err = output("-S", "call", "golden", "defer")
		require.NoError(t, err, out)
		require.JSONEq(t, `{"late":"reply"}`, out)

		for args, status := range map[string]ubus.Status{
			`call golden nosuch`:            ubus.StatusMethodNotFound,
			`call golden fail {"code":8}`:   ubus.StatusNotSupported,
			`call nosuch echo`:              ubus.StatusNotFound,
			`-t 1 call golden hang`:         ubus.StatusTimeout,
			`call golden fail {"code":"x"}`: ubus.StatusInvalidArgument,
		} {
			out, err := output(strings.Fields(args)...)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s: %s", args, out)
			// It ends with the status, or with its negative after a call.
			require.Contains(t, []int{int(status), 256 - int(status)}, exit.ExitCode(), "%s: %s", args, out)
		}
	})
}

func TestTheRealProgramHearsUs(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		o := golden("golden")
		server := publish(t, socket, o)
		heard := stream(t, ubusProgram(t, socket, "-S", "listen", "demo.*"))
		subscribed := stream(t, ubusProgram(t, socket, "-S", "subscribe", "golden"))
		require.Eventually(t, o.HasSubscribers, patience, 5*time.Millisecond)
		require.NoError(t, o.Notify(bounded(t), "change", map[string]int64{"sequence": 1 << 40}))
		require.JSONEq(t, `{"change":{"sequence":1099511627776}}`, receive(t, subscribed, "notification"))

		// The listener says nothing when it is ready: send until it hears.
		var line string
		require.Eventually(t, func() bool {
			require.NoError(t, server.Send(bounded(t), "demo.event", map[string]string{"k": "v"}))
			select {
			case line = <-heard:
				return true
			case <-time.After(10 * time.Millisecond):
				return false
			}
		}, patience, time.Millisecond)
		require.JSONEq(t, `{"demo.event":{"k":"v"}}`, line)

		got := make(chan string, 1)
		c := dial(t, socket)
		require.NoError(t, c.Listen(bounded(t), "from.program", func(_ string, data ubus.Table) { got <- data.String() }))
		out, err := ubusProgram(t, socket, "send", "from.program", `{"a":[1,2]}`).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, `{"a":[1,2]}`, receive(t, got, "event"))
	})
}

func TestTheRealProgramWaitsForOurObject(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		cmd := ubusProgram(t, socket, "-t", "30", "wait_for", "golden")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		publish(t, socket, golden("golden"))
		require.NoError(t, cmd.Wait(), out.String())
	})
}

func TestTheRealProgramMonitors(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		publish(t, socket, golden("golden"))
		lines := stream(t, ubusProgram(t, socket, "monitor"))
		c := dial(t, socket)
		require.Eventually(t, func() bool {
			_, err := c.Call(bounded(t), "golden", "echo", map[string]string{"str": "monitored"})
			require.NoError(t, err)
			for {
				select {
				case l := <-lines:
					if strings.Contains(l, "monitored") && json.Valid([]byte(l[strings.Index(l, "{"):])) {
						return true
					}
				case <-time.After(10 * time.Millisecond):
					return false
				}
			}
		}, patience, time.Millisecond)
	})
}
