package pcscrig

import (
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// OpenSCTool sends command APDUs to reader i with Debian's opensc-tool and returns the
// answers. OpenSC does GET RESPONSE (61xx) and repeats with the right length (6Cxx)
// itself, but gives answer data only to a command that has Le. It is told to guess no card
// type, and so selects nothing before.
func (r *Rig) OpenSCTool(ctx context.Context, i int, apdus ...string) ([][]byte, error) {
	r.tb.Helper()
	Need(r.tb, "opensc-tool")
	args := []string{"--reader", r.Reader(i), "--card-driver", "default"}
	for _, a := range apdus {
		args = append(args, "--send-apdu", a)
	}
	out, err := output(r.Command(ctx, "opensc-tool", args...))
	if err != nil {
		return nil, err
	}
	return parseOpenSC(out)
}

// Scriptor sends command APDUs to reader i with pcsc-tools' scriptor, one after the
// other as they are, and returns the answers.
func (r *Rig) Scriptor(ctx context.Context, i int, apdus ...string) ([][]byte, error) {
	r.tb.Helper()
	Need(r.tb, "scriptor")
	cmd := r.Command(ctx, "scriptor", "-r", r.Reader(i), "-p", "T=0")
	cmd.Stdin = strings.NewReader(strings.Join(apdus, "\n") + "\n")
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	return parseScriptor(out)
}

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w; it says:\n%s", cmd.Args[0], err, out)
	}
	return string(out), nil
}

// parseOpenSC takes the answers out of opensc-tool's output: a line with the status
// word, then lines of up to 16 bytes, followed by the same as text.
func parseOpenSC(out string) ([][]byte, error) {
	head := regexp.MustCompile(`^Received \(SW1=0x([0-9A-F]{2}), SW2=0x([0-9A-F]{2})\)`)
	var answers [][]byte
	var data, sw []byte
	finish := func() {
		if sw != nil {
			answers = append(answers, append(data, sw...))
		}
		data, sw = nil, nil
	}
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if m := head.FindStringSubmatch(line); m != nil {
			finish()
			b, err := hex.DecodeString(m[1] + m[2])
			if err != nil {
				return nil, err
			}
			sw = b
			continue
		}
		if strings.HasPrefix(line, "Sending:") {
			finish()
		}
		if sw == nil {
			continue
		}
		// n bytes take 3n letters, their text n more.
		b, err := hex.DecodeString(strings.ReplaceAll(line[:len(line)/4*3], " ", ""))
		if err != nil {
			return nil, fmt.Errorf("opensc-tool says %q: %w", line, err)
		}
		data = append(data, b...)
	}
	finish()
	return answers, nil
}

// parseScriptor takes the answers out of scriptor's output: "< 61 22 : text", over several
// lines if long.
func parseScriptor(out string) ([][]byte, error) {
	var answers [][]byte
	inside := false
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		rest, first := strings.CutPrefix(line, "< ")
		if !first && !inside {
			continue
		}
		if first {
			answers = append(answers, nil)
		}
		digits, _, last := strings.Cut(rest, " : ")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("scriptor says %q: %w", line, err)
		}
		answers[len(answers)-1] = append(answers[len(answers)-1], b...)
		inside = !last
	}
	return answers, nil
}
