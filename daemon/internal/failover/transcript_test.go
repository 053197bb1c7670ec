package failover

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// TestTranscripts plays testdata/*.txt: lines that begin with a time happen,
// indented ones are what is decided then. What comes of a wake-up between two
// lines carries its own time.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(want), got)
		})
	}
}

// player holds the world that a transcript describes.
type player struct {
	t      *testing.T
	policy Policy
	links  []Link
	mem    Memory
	now    time.Time
	last   Decision
	told   map[string]string // the verdicts
	out    strings.Builder
}

func play(t *testing.T, script string) string {
	p := &player{t: t, policy: policy(), told: map[string]string{}}
	for line := range strings.Lines(script) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, "  ") {
			p.line(line)
		}
	}
	return p.out.String()
}

func (p *player) line(line string) {
	clock, rest, _ := strings.Cut(line, " ")
	at, err := time.Parse("15:04:05", clock)
	switch {
	case line == "" || line[0] == '#':
		p.out.WriteString(line + "\n")
		return
	case err != nil:
		p.setting(clock, strings.Fields(rest))
		p.out.WriteString(line + "\n")
		return
	}
	for w := p.last.WakeAt; !w.IsZero() && w.Before(at); w = p.last.WakeAt {
		require.True(p.t, w.After(p.now), "wake in the past")
		p.step(w, w.Format("15:04:05 "))
	}
	p.out.WriteString(line + "\n")
	p.event(rest)
	p.step(at, "")
}

// setting reads `policy key=value…` and `link NAME word…`.
func (p *player) setting(what string, words []string) {
	if what == "link" {
		l := Link{Name: words[0], User: model.UserAlways}
		p.links = append(p.links, l)
		p.words(&p.links[len(p.links)-1], words[1:])
		return
	}
	require.Equal(p.t, "policy", what)
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		seconds, _ := time.ParseDuration(v)
		switch k {
		case "control":
			p.policy.ControlOrder = strings.Split(v, ",")
		case "hold":
			p.policy.Hold = seconds
		case "grace":
			p.policy.Grace = seconds
		case "failback":
			p.policy.Failback = v
		default:
			require.Fail(p.t, "unknown policy", w)
		}
	}
}

func (p *player) words(l *Link, words []string) {
	for i, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "modem":
			l.Modem, l.Resettable = l.Name, true
			l.ModemState = ModemState(v)
		case "user":
			l.User = model.UserTraffic(v)
		case "card":
			l.NeedsCard = true
		case "metered":
			l.Metered = true
		case "usable":
			l.Up, l.Usable, l.Reason, l.LastGood = true, true, "", p.now
		case "unusable:":
			l.Up, l.Usable, l.Reason = true, false, strings.Join(words[i+1:], " ")
			return
		case "down:":
			l.Up, l.Usable, l.Reason = false, false, strings.Join(words[i+1:], " ")
			return
		default:
			require.Fail(p.t, "unknown word", w)
		}
	}
}

// event reads `LINK word…`, `switch ROLE LINK`, or nothing: only time passes.
func (p *player) event(text string) {
	w := strings.Fields(text)
	switch {
	case len(w) == 0:
	case w[0] == "switch":
		p.policy.Forced = map[string]string{w[1]: w[2]}
	default:
		for i := range p.links {
			if p.links[i].Name == w[0] {
				p.words(&p.links[i], w[1:])
				return
			}
		}
		require.Fail(p.t, "no such link", text)
	}
}

// step decides and tells what is new.
func (p *player) step(now time.Time, clock string) {
	p.now = now
	var d Decision
	d, p.mem = Decide(now, p.policy, p.mem, p.links)
	say := func(format string, args ...any) { fmt.Fprintf(&p.out, "  "+clock+format+"\n", args...) }
	if d.Data != p.last.Data {
		say("data: %s", d.DataReason)
	}
	if d.Control != p.last.Control {
		say("control: %s", d.ControlReason)
	}
	for _, c := range d.Candidates {
		if key := c.Role + " " + c.Link; p.told[key] != c.Reason {
			p.told[key] = c.Reason
			say("%s over %s: %s", c.Role, c.Link, c.Reason)
		}
	}
	for _, r := range d.Resets {
		if !contains(p.last.Resets, r) {
			say("reset %s: %s", r.Modem, r.Reason)
		}
	}
	if d.GraceEnds.IsZero() != p.last.GraceEnds.IsZero() {
		if d.GraceEnds.IsZero() {
			say("grace: ended, a control path is back")
		} else {
			say("grace: until %s", d.GraceEnds.Format("15:04:05"))
		}
	}
	if d.State != p.last.State {
		say("state: %s", d.State)
	}
	p.last = d
}

func contains(list []Reset, r Reset) bool {
	for _, o := range list {
		if o.Modem == r.Modem {
			return true
		}
	}
	return false
}
