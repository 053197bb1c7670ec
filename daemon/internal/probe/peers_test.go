package probe_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe/probefake"
)

func dns(l *model.ProbeLink) { l.Path.DNS = []netip.Addr{netip.MustParseAddr(dns4)} }

// TestPeerThatAnswersTCPOnly is found out, and asked that way from then on.
func TestPeerThatAnswersTCPOnly(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Targets = []string{deaf4 + ":9998"} })}, func(r *rig) {
		r.settled()
		require.Equal(t, deaf4+" answers", r.last("iot").Reason)
		before := r.shots()
		r.pass(time.Hour)
		require.InDelta(t, 12, r.shots()-before, 1)
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
	})
}

// TestPeerThatBecomesDeafToEchoes is asked by TCP from then on; the link stays
// usable.
func TestPeerThatBecomesDeafToEchoes(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.settled()
		r.world.Host(server4, probefake.Host{Connect: true})
		r.pass(time.Hour)
		require.Zero(t, r.bad())
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
		r.world.Host(server4, probefake.Host{Echo: true})
		r.set(func(l *probefake.Link) { l.Cut = false })
		r.until(true, 2*time.Minute)
	})
}

// TestBankIsNeverConnectedTo: a bank that answers no echo is no proof of
// anything, and no connection is opened to it. The link's DNS server stands in.
func TestBankIsNeverConnectedTo(t *testing.T) {
	links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Targets, l.Extra = nil, []string{mute4}; dns(l) })}
	inBubble(t, model.DetectNormal, links, func(r *rig) {
		r.settled()
		require.Equal(t, dns4+" answers", r.last("iot").Reason)
		r.pass(time.Hour)
		require.Contains(t, r.world.String(), "connect=0")
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
	})
}

// TestNobodyAnswersProbes: the link is judged by what flows.
func TestNobodyAnswersProbes(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Targets, l.Extra = nil, []string{mute4} })}, func(r *rig) {
		r.settled()
		j := r.last("iot")
		require.True(t, j.Passive)
		require.False(t, j.V4.Known)
		before := r.shots()
		r.pass(6 * time.Hour)
		require.LessOrEqual(t, r.shots()-before, 12*6, "who never answered is asked twice an hour")
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
		require.Contains(t, r.last("iot").Reason, "overdue")
		r.traffic.Answer("iot")
		r.until(true, time.Minute)
	})
}

// TestDeadPeerBehindAGoodLink: what is unanswered is the peer's doing, as long as
// another host answers; and it is looked into less and less.
func TestDeadPeerBehindAGoodLink(t *testing.T) {
	links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Extra = []string{mute4} })}
	inBubble(t, model.DetectNormal, links, func(r *rig) {
		r.settled()
		before := r.shots()
		r.traffic.Write("iot")
		r.pass(time.Hour)
		require.True(t, r.last("iot").Usable)
		require.Less(t, r.shots()-before, 400)
	})
}

// TestPeerIsDeadAndTheNetworkIsNot says so.
func TestPeerIsDeadAndTheNetworkIsNot(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(dns)}, func(r *rig) {
		r.settled()
		r.world.Host(server4, probefake.Host{})
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
		require.Equal(t, "no answer from "+server4+"; the DNS server of the link answers", r.last("iot").Reason)
	})
}

// TestQuiet: on a link whose budget is used up nothing is sent, and an answer that
// does not come still tells.
func TestQuiet(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.settled()
		r.change(func(p *model.ProbePlan) { p.Links[0].Quiet = true })
		before := r.shots()
		r.pass(24 * time.Hour)
		require.True(t, r.last("iot").Usable)
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
		require.Contains(t, r.last("iot").Reason, "overdue")
		r.traffic.Answer("iot")
		r.until(true, 2*time.Minute)
		require.Equal(t, before, r.shots())
		r.change(func(p *model.ProbePlan) { p.Links[0].Quiet = false })
		require.Greater(t, r.shots(), before, "and it is asked again when it may be")
	})
}

// TestPaths: a link whose address changed keeps its verdict until it was judged
// anew; one that is gone is down.
func TestPaths(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil), iot(func(l *model.ProbeLink) { l.Path = model.Path{Link: "wan", Number: 2, Device: "wwan1"} })}, func(r *rig) {
		r.settled()
		require.True(t, r.last("wan").Usable)
		said := r.count()
		r.change(func(p *model.ProbePlan) { p.Links[0].Path.Generation++ })
		r.pass(time.Second)
		require.Equal(t, said, r.count(), "nothing has changed")
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.change(func(p *model.ProbePlan) { p.Links[0].Path.Generation++ })
		require.True(t, r.last("iot").Usable)
		r.until(false, 5*time.Second)
		require.True(t, r.last("wan").Usable, "the other link goes its own way")
		r.change(func(p *model.ProbePlan) { p.Links = p.Links[:1] })
		require.False(t, r.last("wan").Usable)
		require.Equal(t, "it is down", r.last("wan").Reason)
		require.False(t, r.last("wan").LastGood.IsZero())
	})
}

// TestNumbers are told no more often than every 10 s.
func TestNumbers(t *testing.T) {
	links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Metered = false })}
	inBubble(t, model.DetectFast, links, func(r *rig) {
		r.settled()
		r.set(func(l *probefake.Link) { l.Loss = 0.2 })
		r.pass(time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		alone := 0
		for i := 1; i < len(r.events); i++ {
			if a, b := r.events[i-1], r.events[i]; a.Usable == b.Usable {
				alone++
				require.GreaterOrEqual(t, b.When().Sub(a.When()), 10*time.Second)
			}
		}
		require.Greater(t, alone, 100)
	})
}

// TestNames that change are followed, and a name that cannot be resolved keeps
// the address that it had.
func TestNames(t *testing.T) {
	links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Targets = []string{"bank.example:9998"} })}
	inBubble(t, model.DetectNormal, links, func(r *rig) {
		r.settled()
		r.pass(time.Hour)
		r.world.Host(server4, probefake.Host{})
		r.world.Host(server6, probefake.Host{})
		r.world.Name("bank.example", deaf4)
		r.traffic.Write("iot")
		r.until(false, 6*time.Second+20*time.Millisecond)
		r.traffic.Break("iot")
		r.until(true, time.Minute)
		require.Equal(t, deaf4+" answers", r.last("iot").Reason)
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.traffic.Write("iot")
		r.until(false, 10*time.Second)
		r.pass(time.Hour)
		r.set(func(l *probefake.Link) { l.Cut = false })
		r.until(true, 2*time.Minute)
	})
}

func TestReasonsAreOneClause(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.settled()
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.traffic.Write("iot")
		r.until(false, 7*time.Second)
		reason := r.last("iot").Reason
		require.Equal(t, "no answer from "+server4+" within 1.8 s", reason)
		require.False(t, strings.HasSuffix(reason, "."))
	})
}

// TestUnusableLinkIsAskedLessAndLess: a minute apart in the end.
func TestUnusableLinkIsAskedLessAndLess(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.settled()
		r.set(func(l *probefake.Link) { l.Cut = true })
		r.traffic.Write("iot")
		r.until(false, 7*time.Second)
		before := r.shots()
		r.pass(time.Hour)
		require.InDelta(t, 2*60, r.shots()-before, 20, "an echo and a connection each time")
	})
}
