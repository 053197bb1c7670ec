package netns_test

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// worlds is how many routers are on trial at a time. They wait most of the time.
const worlds = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", worlds); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// rounds is how often each kind of cut is made on each path.
const rounds = 3

// TestCuts cuts either path in every way, under traffic: control traffic moves to
// the other path or stays where it is, the modem's card never goes, and in the end
// no rule and no route of ours is left behind.
func TestCuts(t *testing.T) {
	for _, c := range cuts {
		for _, name := range []string{"iot", "wan"} {
			t.Run(c.name+" of "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, "fast")
				w.takeCard()
				stop := w.traffic()
				for range rounds {
					w.cut(c, w.paths[name])
				}
				stop()
				w.cardStayed()
				w.leave()
			})
		}
	}
}

// takeCard has the operator assign a card, and the modem power it.
func (w *world) takeCard() {
	w.far.Do("assign client 7 slot 1 bank 1 slot 2")
	w.settled()
	w.slot.Do("modem primary power-on")
}

// settled waits until all is as it should be with both paths well.
func (w *world) settled() {
	w.Helper()
	w.daemon.Until("control on iot, data on wan, the card there", func(s *rig.Status) bool {
		return s.Failover.Control == "iot" && s.Failover.State == "normal" && s.Link("wan").Usable && s.Link("iot").Usable &&
			s.State == "operational" && w.connected(s)
	})
}

// connected tells that server and bank are.
func (w *world) connected(s *rig.Status) bool {
	return len(s.Sessions) == 1 && s.Sessions[0].Server.State == "connected" && s.Sessions[0].Bankd.State == "connected"
}

// cut cuts a path and heals it, and looks at what comes of it.
func (w *world) cut(c cut, p *path) {
	w.Helper()
	other := map[string]string{"iot": "wan", "wan": "iot"}[p.name]
	before, four, told := w.rules(), p.four(), w.newest()
	c.do(w, p)
	if c.heals {
		w.free(four)
		w.settled()
	} else {
		w.daemon.Until("the cut of "+p.name+" is noticed", func(s *rig.Status) bool { return !s.Link(p.name).Usable })
		w.daemon.Until("control traffic is on "+other, func(s *rig.Status) bool { return s.Failover.Control == other })
		w.free(four)
		w.daemon.Until("server and bank are reached over "+other, func(s *rig.Status) bool { return w.connected(s) && s.State == "operational" })
		w.onlyOver(w.paths[other])
		c.undo(w, p)
		w.settled()
		// The path in use: away, ride through, and back. The journal folds what happens
		// again into one entry, so only the first round is looked at.
		if w.cuts++; p.name == "iot" && w.cuts == 1 {
			w.inOrder(told, "control traffic moves from iot to wan", "the card is held", "the bank is back with the same card")
			w.inOrder(told, "control traffic moves from iot to wan", "control traffic moves from wan to iot")
		}
	}
	w.cardStayed()
	after := w.rules()
	if !c.heals {
		require.Equal(w, before, after, "rules and routes after the path is back")
	}
	require.Len(w, strings.Split(after, "\n"), len(strings.Split(before, "\n")), "rules and routes")
}

// free has server and bank find out that connections from an address are dead. Stock
// ones do not, or only after a while, and let nobody take their place until then:
// what is measured here is ours.
func (w *world) free(host string) {
	w.far.Do("server drop %s", host)
	w.far.Do("bank drop %s", host)
}

// cardStayed asks the modem whether its card ever went.
func (w *world) cardStayed() {
	w.Helper()
	_, err := w.slot.Ask("modem primary no-reset-since")
	require.NoError(w, err, w.daemon.Stderr)
}

// onlyOver looks at the kernel's sockets: none of control traffic is on another path.
func (w *world) onlyOver(p *path) {
	w.Helper()
	n := 0
	for line := range strings.Lines(w.router.Output("ss -Htn state established dst " + peer)) {
		require.Contains(w, line, "%"+p.device+":")
		n++
	}
	require.Equal(w, 2, n, "connections to server and bank")
}

// rules is what the kernel holds of ours.
func (w *world) rules() string {
	w.Helper()
	var b strings.Builder
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(w.router.Output("ip " + family + " rule")) {
			if strings.Contains(line, "proto 173") {
				b.WriteString(line)
			}
		}
		b.WriteString(w.router.Output("ip " + family + " route show table all proto 173"))
	}
	return b.String()
}

// leave ends the daemon, which leaves everything, and cleans up, which leaves nothing.
func (w *world) leave() {
	w.Helper()
	before := w.rules()
	require.NotEmpty(w, before)
	code, _ := w.daemon.Stop()
	require.Zero(w, code)
	require.Equal(w, before, w.rules(), "the end of the daemon leaves the rules")
	w.daemon.Cleanup()
	require.Empty(w, w.rules())
	require.NotContains(w, w.router.Output("nft list tables"), "remsim")
	require.Contains(w, w.daemon.Cleanup(), "nothing to clean up")
}

// traffic has the modem read its card, again and again, until stop: what it asks for
// goes to the bank. While the bank is away it gets no answer, which is as it should be.
func (w *world) traffic() (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		pause := time.NewTicker(100 * time.Millisecond)
		defer pause.Stop()
		for {
			_, _ = w.slot.Ask("modem primary read-iccid 8988211000000000011")
			select {
			case <-quit:
				return
			case <-pause.C:
			}
		}
	})
	return func() {
		close(quit)
		wg.Wait()
	}
}

// event is one entry of the journal.
type event struct {
	ID                  int64
	Kind, Subject, Text string
}

// events are what the daemon has told after an entry, oldest first.
func (w *world) events(after int64) (list []event) {
	w.Helper()
	var reply struct{ Events []event }
	require.NoError(w, json.Unmarshal([]byte(w.daemon.OK("events", "--json", "--limit", "500")), &reply))
	for _, e := range reply.Events {
		if e.ID > after {
			list = append(list, e)
		}
	}
	return list
}

// newest is the last entry so far.
func (w *world) newest() int64 {
	w.Helper()
	list := w.events(0)
	require.NotEmpty(w, list)
	return list[len(list)-1].ID
}

// inOrder looks for entries whose texts contain words, one after the other.
func (w *world) inOrder(after int64, words ...string) {
	w.Helper()
	list := w.events(after)
	rest := list
	for _, text := range words {
		i := slices.IndexFunc(rest, func(e event) bool { return strings.Contains(e.Text, text) })
		require.GreaterOrEqual(w, i, 0, "%q is not told, or not after what came before it: %+v", text, list)
		rest = rest[i+1:]
	}
}
