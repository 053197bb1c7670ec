package mmrig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// space is a network namespace, held by one locked thread, in which the played
// modems own the abstract socket "mbim-proxy" that ModemManager connects to. A
// program started from it gets its own mounts too: dir/sys as /sys and dir/dev
// as /dev.
type space struct {
	*thread
	dir   string
	proxy proxy
}

func newSpace(dir string) (*space, error) {
	for _, d := range []string{"sys/class", "sys/bus", "sys/devices", "dev/pts"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"null", "zero", "random", "urandom", "ptmx"} {
		if err := os.WriteFile(filepath.Join(dir, "dev", name), nil, 0o600); err != nil {
			return nil, err
		}
	}
	s := &space{dir: dir, thread: newThread()}
	if err := s.do(func() error { return unix.Unshare(unix.CLONE_NEWNET) }); err != nil {
		s.close()
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	if out, err := s.probe(); err != nil {
		s.close()
		return nil, fmt.Errorf("mount namespace: %w: %s", err, out)
	}
	return s, nil
}

// listen listens on an abstract socket of the namespace.
func (s *space) listen(name string) (l net.Listener, err error) {
	err = s.do(func() error {
		l, err = net.Listen("unix", "@"+name)
		return err
	})
	return l, err
}

func (s *space) close() {
	s.proxy.close()
	s.thread.close()
}

// command makes a command that sees dir/sys and dir/dev. Start it with do, so
// that it also is in the network namespace. The mounts end with it.
func (s *space) command(name string, args ...string) *exec.Cmd {
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, dev := range []string{"null", "zero", "random", "urandom", "ptmx"} {
		fmt.Fprintf(&script, "mount --bind /dev/%s '%s/dev/%s'\n", dev, s.dir, dev)
	}
	fmt.Fprintf(&script, "mount --bind /dev/pts '%s/dev/pts'\n", s.dir)
	fmt.Fprintf(&script, "mount --bind '%s/sys' /sys\nmount --rbind '%s/dev' /dev\nexec \"$0\" \"$@\"\n", s.dir, s.dir)
	return exec.Command("unshare", append([]string{"-m", "--propagation", "private", "sh", "-c", script.String(), name}, args...)...)
}

func (s *space) probe() ([]byte, error) {
	cmd := s.command("true")
	var out []byte
	err := s.do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	return out, err
}
