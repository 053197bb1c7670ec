package netns_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// limits are the 99th percentiles that must be kept, from the first control byte
// that stays unanswered, or the loss of the carrier, to control back.
var limits = map[string]time.Duration{"fast": 4 * time.Second, "normal": 10 * time.Second}

// TestBenchFailover cuts the path of the bank under traffic, again and again, and
// prints how long control traffic was away. `make bench-failover` runs it, with
// $REMSIM_FAILOVER_ROUNDS cuts of each kind.
func TestBenchFailover(t *testing.T) {
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("REMSIM_FAILOVER_ROUNDS"), "0"))
	require.NoError(t, err)
	if rounds == 0 {
		t.Skip("runs by `make bench-failover`: REMSIM_FAILOVER_ROUNDS is not set")
	}
	var mu sync.Mutex
	var table []string
	for _, detect := range []string{"fast", "normal"} {
		for _, c := range cuts {
			t.Run(detect+", "+c.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, detect)
				w.takeCard()
				stop := w.traffic()
				defer stop()
				var bank, beat []time.Duration
				for range rounds {
					b, o := w.measure(c, w.paths["iot"])
					bank, beat = append(bank, b), append(beat, o)
				}
				w.cardStayed()
				row := fmt.Sprintf("%-7s %-28s %8s %8s %8s %8s   of %d", detect, c.name,
					percentile(bank, 50), percentile(bank, 99), percentile(beat, 50), percentile(beat, 99), rounds)
				mu.Lock()
				table = append(table, row)
				mu.Unlock()
				for _, d := range []time.Duration{percentile(bank, 99), percentile(beat, 99)} {
					require.LessOrEqual(t, d, limits[detect], row)
				}
			})
		}
	}
	t.Cleanup(func() {
		slices.Sort(table)
		t.Logf("control back after a cut of its path, from the first unanswered byte or lost carrier (bank whose slot is free, orchestrator):\n"+
			"%-7s %-28s %8s %8s %8s %8s\n%s", "detect", "cut", "bank p50", "p99", "orch p50", "p99", strings.Join(table, "\n"))
	})
}

// measure makes one cut and tells how long bank and orchestrator were away.
func (w *world) measure(c cut, p *path) (bank, beat time.Duration) {
	w.Helper()
	other := w.paths["wan"]
	if c.heals {
		other = p
	}
	four := p.four()
	back := make(chan time.Time, 1)
	moved := make(chan struct{})
	watch := w.daemon.Begin(rig.Options{}, "status", "--watch", "--json")
	defer watch.End()
	begun := time.Now() // no later than the first byte that stays unanswered
	c.do(w, p)
	w.free(four) // the bank's slot is free
	go func() {  // it ends with watch
		defer close(moved)
		if rig.Statuses(watch, func(s *rig.Status) bool { return c.heals || s.Failover.Control == other.name }) == nil {
			return
		}
		w.free(four) // and still so, if a lossy path let one more connection through
		if w.beat(other, begun) == nil {
			back <- time.Now()
		}
	}()
	s := rig.Statuses(watch, func(s *rig.Status) bool {
		return s.Failover.Control == other.name && w.connected(s) && s.State == "operational" && w.isOver(other)
	})
	bank = time.Since(begun)
	require.NotNil(w, s, "the bank is not back: %s", w.daemon.Stderr)
	<-moved
	require.NotEmpty(w, back, "the orchestrator is not back")
	beat = (<-back).Sub(begun)
	if !c.heals {
		c.undo(w, p)
	}
	w.settled()
	return bank, beat
}

// isOver asks the kernel whether the bank's connection is on a path, and has not
// merely not been missed yet.
func (w *world) isOver(p *path) bool {
	out := w.router.Output("ss -Htn state established dst " + peer + " dport = 9999")
	return strings.Contains(out, p.four()+"%"+p.device+":") && strings.Count(out, "\n") == 1
}

// beat sends beats over a path, as the daemon would, until one is answered.
func (w *world) beat(p *path, since time.Time) error {
	dialer := net.Dialer{Timeout: time.Second, Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) {
			if err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, p.device); err == nil {
				// The mark of the orchestrator's traffic on this link: contract of the fence.
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(int32(uint32(p.link())<<28|3<<24)))
			}
		})
		return cmp.Or(err, e)
	}}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the stand-in's own certificate
		DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = w.router.Do(func() error {
				c, err = dialer.DialContext(ctx, network, address)
				return err
			})
			return c, err
		},
	}}
	var err error
	for time.Since(since) < rig.Bound {
		var r *http.Response
		if r, err = client.Post(w.beats.url, "application/json", strings.NewReader(`{"device_id":"router"}`)); err == nil {
			return r.Body.Close()
		}
	}
	return err
}

// link is the number of the path's link: the order of the configuration.
func (p *path) link() int { return p.number }

// percentile of a list, in tens of milliseconds.
func percentile(list []time.Duration, p int) time.Duration {
	s := slices.Clone(list)
	slices.Sort(s)
	return s[min(len(s)-1, len(s)*p/100)].Round(10 * time.Millisecond)
}
