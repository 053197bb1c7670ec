package failover

import (
	"slices"
	"time"
)

// Times of the flap guard.
const (
	// window is how long a fall is remembered.
	window = 10 * time.Minute
	// flapFalls within window make a link a flapping one.
	flapFalls = 2
	// guardFactor: a flapping link has to stay good for that many holds before
	// it takes over from one that is usable.
	guardFactor = 4
	guardLeast  = 5 * time.Second
	// calm is how long a link that never flapped has to be good before it takes
	// over "at once": a link that flaps at 1 Hz never is.
	calm = time.Second
	// The bounds of the time that a flapping link has to be good before it takes
	// over from an unusable one.
	settleLeast = time.Second
	settleMost  = 5 * time.Second
	// startTime is how long a better link that is up and not judged yet is
	// preferred to a worse one that is usable, after a start.
	startTime = 5 * time.Second
)

// class is how good a link is, whatever the role.
type class int

const (
	isDown class = iota
	isUp         // and not usable
	isUsable
)

func (l *Link) class() class {
	switch {
	case l.Up && l.Usable:
		return isUsable
	case l.Up:
		return isUp
	}
	return isDown
}

// track is what is remembered of a link.
type track struct {
	class class
	since time.Time   // of class
	bad   time.Time   // since when it is not usable; zero: it is
	falls []time.Time // out of isUsable, within window, newest last; replaced, never changed
	reset bool        // its modem's reset has been asked for and it has not recovered
}

// follow brings the memory of all links up to now. Links that are gone are
// forgotten.
func follow(now time.Time, old map[string]track, links []Link) map[string]track {
	out := make(map[string]track, len(links))
	for i := range links {
		l := &links[i]
		t, known := old[l.Name]
		c := l.class()
		switch {
		case !known:
			t = track{class: c, since: now}
		case c != t.class:
			if t.class == isUsable {
				t.falls = append(slices.Clone(t.falls), now)
			}
			t.class, t.since = c, now
		}
		switch {
		case c == isUsable:
			t.bad, t.reset = time.Time{}, false
		case t.bad.IsZero():
			t.bad = now
		}
		t.falls = recent(now, t.falls)
		out[l.Name] = t
	}
	return out
}

// recent keeps the falls that count: those within window, and no more of them
// than it takes.
func recent(now time.Time, falls []time.Time) []time.Time {
	for len(falls) > 0 && (len(falls) > flapFalls || now.Sub(falls[0]) >= window) {
		falls = falls[1:]
	}
	return falls
}

// goodFrom is when t will have been as it is for need, or for guard if it flaps
// until then.
func (t *track) goodFrom(need, guard time.Duration) time.Time {
	calmed := t.since.Add(need)
	if len(t.falls) < flapFalls {
		return calmed
	}
	guarded := t.since.Add(max(need, guard))
	if forgotten := t.falls[0].Add(window); forgotten.After(calmed) {
		calmed = forgotten
	}
	if calmed.Before(guarded) {
		return calmed
	}
	return guarded
}
