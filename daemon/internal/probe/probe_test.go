package probe_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe/probefake"
)

var settings = []model.Detect{model.DetectFast, model.DetectNormal, model.DetectFrugal}

// cuts are the ways to lose a link, of which the driver learns by itself.
var cuts = []struct {
	name string
	cut  func(*probefake.Link)
}{
	{"silent drop", func(l *probefake.Link) { l.Cut = true }},
	{"5 s delay", func(l *probefake.Link) { l.Delay = 5 * time.Second }},
	{"gateway gone", func(l *probefake.Link) { l.NoRoute4, l.NoRoute6 = true, true }},
	{"carrier off", func(l *probefake.Link) { l.NoCarrier = true }},
}

// TestCutUnderTraffic: a control byte stays unanswered, and the link is unusable
// within the time that the setting names: 2.5 s, 6 s and 10 s.
func TestCutUnderTraffic(t *testing.T) {
	for _, detect := range settings {
		for _, c := range cuts {
			for _, host := range []string{server4 + ":9998", "[" + server6 + "]:9998", "bank.example:9998"} {
				t.Run(fmt.Sprintf("%s/%s/%s", detect, c.name, host), func(t *testing.T) {
					links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Targets = []string{host} })}
					inBubble(t, detect, links, func(r *rig) {
						r.settled()
						r.set(c.cut)
						r.traffic.Write("iot")
						took := r.until(false, detect.Probing(true).Busy()+20*time.Millisecond)
						t.Logf("unusable after %s: %s", took, r.last("iot").Reason)
						r.set(func(l *probefake.Link) { *l = probefake.Link{Delay: 40 * time.Millisecond} })
						p := detect.Probing(true)
						r.until(true, p.RetryMost+2*p.Burst()+p.Wait)
					})
				})
			}
		}
	}
}

// TestCutOfAnIdleLink: nothing flows, and the link is unusable within the time
// that the setting names for that.
func TestCutOfAnIdleLink(t *testing.T) {
	for _, detect := range settings {
		for _, metered := range []bool{false, true} {
			for _, c := range cuts {
				t.Run(fmt.Sprintf("%s/metered %t/%s", detect, metered, c.name), func(t *testing.T) {
					links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Metered = metered })}
					inBubble(t, detect, links, func(r *rig) {
						r.settled()
						r.set(c.cut)
						r.until(false, detect.Probing(metered).Idle()+20*time.Millisecond)
					})
				})
			}
		}
	}
}

// TestLoss: 60 % loss while a byte is unanswered makes nearly every link unusable
// with the first burst, and all but a few with the second one.
func TestLoss(t *testing.T) {
	p := model.DetectFast.Probing(true)
	first, second := 0, 0
	const links = 60
	for seed := range uint64(links) {
		seeded(t, seed, model.DetectFast, []model.ProbeLink{iot(nil)}, func(r *rig) {
			r.settled()
			r.set(func(l *probefake.Link) { l.Loss = 0.6 })
			r.traffic.Write("iot")
			r.pass(p.Busy())
			if !r.last("iot").Usable {
				first++
			}
			r.pass(p.Burst())
			if j := r.last("iot"); !j.Usable {
				second++
				require.Contains(t, j.Reason, server4)
			}
		})
	}
	t.Logf("of %d links %d were unusable after %s, %d after %s", links, first, p.Busy(), second, p.Busy()+p.Burst())
	require.GreaterOrEqual(t, first, links*8/10)
	require.GreaterOrEqual(t, second, links*95/100)
}

// TestSomeLossIsNoCut: at 5 % loss links stay usable for hours.
func TestSomeLossIsNoCut(t *testing.T) {
	links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Metered = false })}
	bad := 0
	for seed := range uint64(20) {
		seeded(t, seed, model.DetectNormal, links, func(r *rig) {
			r.settled()
			r.set(func(l *probefake.Link) { l.Loss = 0.05 })
			r.pass(time.Hour)
			bad += r.bad()
		})
	}
	t.Logf("unusable %d times in 20 h", bad)
	require.LessOrEqual(t, bad, 2)
}

// TestDelay: an answer that comes later than a probe waits counts as lost.
func TestDelay(t *testing.T) {
	for _, tc := range []struct {
		delay  time.Duration
		usable bool
	}{{time.Second, true}, {2 * time.Second, false}, {5 * time.Second, false}} {
		inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil)}, func(r *rig) {
			r.settled()
			r.set(func(l *probefake.Link) { l.Delay = tc.delay })
			r.traffic.Write("iot")
			r.pass(20 * time.Second)
			require.Equal(t, tc.usable, r.last("iot").Usable, tc.delay)
		})
	}
}

// TestLookIsTakenAtOnce, of a lost carrier too, when the plan asks for one.
func TestLookIsTakenAtOnce(t *testing.T) {
	inBubble(t, model.DetectFrugal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.settled()
		r.set(func(l *probefake.Link) { l.NoCarrier = true })
		r.change(func(p *model.ProbePlan) { p.Generation++ })
		j := r.last("iot")
		require.False(t, j.Usable)
		require.Equal(t, "the device has no carrier", j.Reason)
		r.set(func(l *probefake.Link) { l.NoCarrier = false })
		r.change(func(p *model.ProbePlan) { p.Generation++ })
		r.until(true, 5*time.Second)
	})
}

// TestBrokenConnection: a connection that breaks is looked into at once.
func TestBrokenConnection(t *testing.T) {
	inBubble(t, model.DetectFrugal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.settled()
		r.set(func(l *probefake.Link) { l.NoRoute4 = true })
		r.traffic.Break("iot")
		j := r.last("iot")
		require.False(t, j.Usable)
		require.Equal(t, "no route to "+server4, j.Reason)
	})
}

// TestTrafficIsProof: over a link that is heard all the time, or whose device
// counts what comes from beyond, not one probe is sent.
func TestTrafficIsProof(t *testing.T) {
	for _, detect := range settings {
		inBubble(t, detect, []model.ProbeLink{iot(nil)}, func(r *rig) {
			r.settled()
			r.pass(time.Hour)
			before := r.shots()
			require.Greater(t, before, 1, "silence is probed")
			r.set(func(l *probefake.Link) { l.Counts, l.Rate = true, 50 })
			r.pass(detect.Probing(true).Silence) // the probe that was due
			before = r.shots()
			r.pass(time.Hour)
			require.Equal(t, before, r.shots(), "counted traffic")
			require.True(t, r.last("iot").Usable)
			r.set(func(l *probefake.Link) { l.Rate = 0 })
			for range 3600 {
				r.pass(time.Second)
				r.traffic.Write("iot")
				r.traffic.Answer("iot")
			}
			require.LessOrEqual(t, r.shots()-before, 1, "heard traffic")
		})
	}
}

// TestTrafficThatEnds: a device that counted until it went silent is found dead
// no later than any other.
func TestTrafficThatEnds(t *testing.T) {
	inBubble(t, model.DetectNormal, []model.ProbeLink{iot(nil)}, func(r *rig) {
		r.set(func(l *probefake.Link) { l.Counts, l.Rate = true, 50 })
		r.settled()
		r.pass(time.Hour)
		r.set(func(l *probefake.Link) { l.Cut, l.Rate = true, 0 })
		r.until(false, model.DetectNormal.Probing(true).Idle()+20*time.Millisecond)
	})
}

// TestMonth: an idle link costs what the setting says.
func TestMonth(t *testing.T) {
	for _, detect := range settings {
		for _, metered := range []bool{false, true} {
			links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Metered, l.Targets = metered, []string{"[" + server6 + "]:9998"} })}
			inBubble(t, detect, links, func(r *rig) {
				r.settled()
				_, before := r.world.Sent("wwan0")
				r.pass(24 * time.Hour)
				_, after := r.world.Sent("wwan0")
				month := float64(after-before) * 30 / 1e6
				t.Logf("%s metered=%t: %.3f MB a month, said %.3f", detect, metered, month, detect.Probing(metered).Month())
				require.InEpsilon(t, detect.Probing(metered).Month(), month, 0.03)
			})
		}
	}
}

// TestFamilies: one family is enough, and what became of the other one is told.
func TestFamilies(t *testing.T) {
	links := []model.ProbeLink{iot(func(l *model.ProbeLink) { l.Targets, l.Metered = []string{"bank.example:9998"}, false })}
	inBubble(t, model.DetectNormal, links, func(r *rig) {
		r.settled()
		r.pass(30 * time.Second)
		j := r.last("iot")
		require.True(t, j.V4.Usable && j.V6.Usable, "%+v", j)
		require.Equal(t, 40*time.Millisecond, j.V4.RTT)
		r.set(func(l *probefake.Link) { l.NoRoute4 = true })
		r.pass(time.Minute)
		j = r.last("iot")
		require.True(t, j.Usable)
		require.True(t, j.V4.Known && !j.V4.Usable && j.V6.Usable, "%+v", j)
		require.Equal(t, server6+" answers", j.Reason)
		r.set(func(l *probefake.Link) { l.NoRoute4, l.NoRoute6 = false, true })
		r.until(true, time.Minute)
		r.pass(2 * time.Minute)
		j = r.last("iot")
		require.True(t, j.Usable && j.V4.Usable && !j.V6.Usable, "%+v", j)
		r.set(func(l *probefake.Link) { l.NoRoute4 = true })
		r.until(false, time.Minute)
		require.Contains(t, r.last("iot").Reason, "no route")
	})
}
