package meter

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// program is nft, by its full name: no search path has a say.
const program = "/usr/sbin/nft"

const (
	// patience bounds one run of nft. A firewall that loads its rules holds the
	// kernel's lock for a second or two on a small router.
	patience = 20 * time.Second
	// maxOutput bounds what nft may say: 15 links with 10 counters of some 100
	// bytes are 15 KiB.
	maxOutput = 256 << 10
)

// System is the packet filter of this machine, through nft.
type System struct {
	program string
	noQuota bool // this kernel has none
}

// NewSystem returns the packet filter of this machine.
func NewSystem() *System { return &System{program: program} }

// Apply implements Kernel.
func (s *System) Apply(ctx context.Context, links []model.MeterLink) error {
	if err := check(links); err != nil {
		return err
	}
	have, err := s.Read(ctx)
	if errors.Is(err, ErrNoTable) {
		// A table of that name with another layout is an older version's.
		if _, err = s.Remove(ctx); err == nil {
			have.Epoch = newEpoch()
		}
	}
	if err != nil {
		return err
	}
	write := func(quota bool) error {
		w := script{quota: quota}
		_, err := s.nft(ctx, w.write(have.Epoch, limits(links, have), have.links()), "-f", "-")
		return err
	}
	if s.noQuota {
		return write(false)
	}
	if err = write(true); err == nil || ctx.Err() != nil {
		return err
	}
	// Without quotas a limit is kept from one reading to the next.
	if write(false) != nil {
		return err
	}
	s.noQuota = true
	return nil
}

// check refuses what must not get into a script. Names come from a checked
// configuration; a device's name can be anything without a slash.
func check(links []model.MeterLink) error {
	devices := make(map[string]string)
	for _, l := range links {
		switch other := devices[l.Device]; {
		case !plain(l.Name, "_-", 64):
			return fmt.Errorf("count link %q: its name cannot be written", l.Name)
		case l.Number < 1 || l.Number > model.MaxLinks:
			return fmt.Errorf("count link %s: %d is no number of a link", l.Name, l.Number)
		case l.Device == "":
			continue
		case !plain(l.Device, "_-.@", 15):
			return fmt.Errorf("count link %s: the device name %q cannot be written", l.Name, l.Device)
		case other != "":
			return fmt.Errorf("count link %s: its device %s is that of link %s", l.Name, l.Device, other)
		}
		devices[l.Device] = l.Name
	}
	return nil
}

// plain tells that s is made of letters, digits and the characters in extra.
func plain(s, extra string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune(extra, rune(c)) {
			return false
		}
	}
	return true
}

// limits tells what each link has left.
func limits(links []model.MeterLink, have Reading) []rules {
	out := make([]rules, 0, len(links))
	for _, l := range links {
		// What passes between the reading and the new rules, a few
		// milliseconds, is not held against the quota; the account has it.
		r := rules{MeterLink: l, limited: l.UntilEpoch != "" && l.UntilEpoch == have.Epoch, left: l.Until}
		for _, c := range have.Counts {
			if c.Link == l.Name {
				r.left -= c.Rx + c.Tx
			}
		}
		out = append(out, r)
	}
	return out
}

func (r Reading) links() []string {
	var out []string
	for _, c := range r.Counts {
		out = append(out, c.Link)
	}
	return out
}

func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Read implements Kernel.
func (s *System) Read(ctx context.Context) (Reading, error) {
	out, err := s.nft(ctx, "", "-j", "list", "counters", "table", family, table)
	if err != nil {
		return Reading{}, err
	}
	return parse(out)
}

// Remove implements Kernel.
func (s *System) Remove(ctx context.Context) (bool, error) {
	_, err := s.nft(ctx, "", "delete", "table", family, table)
	if errors.Is(err, ErrNoTable) {
		return false, nil
	}
	return err == nil, err
}

// nft runs the program with stdin and returns what it prints.
func (s *System) nft(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{} // no option comes from the environment
	cmd.WaitDelay = time.Second
	out, said := bounded{left: maxOutput}, bounded{left: 4 << 10}
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case err == nil && out.left < 0:
		return nil, fmt.Errorf("run nft: %w: it is longer than %d bytes", ErrMalformed, maxOutput)
	case err == nil:
		return out.b.Bytes(), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s %w", s.program, ErrNoProgram)
	case strings.Contains(said.b.String(), "No such file or directory") && args[0] != "-f":
		return nil, ErrNoTable
	case strings.Contains(said.b.String(), "JSON support not compiled"):
		return nil, errors.New("this nft cannot write JSON: install nftables-json in place of nftables-nojson")
	}
	return nil, fmt.Errorf("run nft: %s: %w", firstLine(said.b.String()), err)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// bounded keeps the first bytes and counts down to below 0 for the rest.
type bounded struct {
	b    bytes.Buffer
	left int
}

var _ io.Writer = (*bounded)(nil)

// Write implements io.Writer.
func (w *bounded) Write(p []byte) (int, error) {
	if n := min(len(p), max(0, w.left)); n > 0 {
		w.b.Write(p[:n])
	}
	w.left -= min(len(p), w.left+1)
	return len(p), nil
}
