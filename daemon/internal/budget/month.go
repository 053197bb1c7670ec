package budget

import (
	"maps"
	"time"
)

// A clock before firstYear was not set: this program is younger. Routers without
// a battery start in 1970, or with the time of the newest file.
const firstYear = 2025

func dated(now time.Time) bool { return now.Year() >= firstYear }

// monthStart is when the month that holds t began, at midnight UTC.
func monthStart(t time.Time, day int) time.Time {
	t = t.UTC()
	start := onDay(t.Year(), t.Month(), day)
	if t.Before(start) {
		start = onDay(t.Year(), t.Month()-1, day)
	}
	return start
}

// nextMonth is when the month that begins at start ends.
func nextMonth(start time.Time, day int) time.Time {
	start = start.UTC()
	return onDay(start.Year(), start.Month()+1, day)
}

// onDay is a day of a month, or the month's last.
func onDay(year int, month time.Month, day int) time.Time {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return time.Date(year, month, min(day, last), 0, 0, 0, 0, time.UTC)
}

// roll begins a new month where one has begun. A clock that is not set begins
// none, and one that was wrong takes none away:
//   - bytes that came undated belong to the month in which the clock was set;
//   - a clock that goes back into the month before gives back what that had;
//   - one that goes back further, or another reset day, dates what is there anew.
func (a *account) roll(now time.Time, day int) {
	if !dated(now) {
		return
	}
	start := monthStart(now, day).Unix()
	switch {
	case a.Start == 0 || a.ResetDay != day:
		a.Start, a.Before, a.BeforeBy = start, 0, nil
	case start > a.Start:
		before := maps.Clone(a.Purposes)
		for p, n := range a.Undated {
			before[p] -= n
		}
		a.Before, a.BeforeBy = a.Start, before
		a.Start, a.First, a.Purposes = start, start, maps.Clone(a.Undated)
	case start < a.Start:
		if a.Before == start {
			for p, n := range a.BeforeBy {
				a.Purposes[p] += n
			}
		}
		a.Start, a.Before, a.BeforeBy = start, 0, nil
		a.First = min(a.First, now.Unix())
	}
	a.ResetDay = day
	clear(a.Undated)
}

// leastSpan is the shortest time that a rate is taken over: the first minutes of
// a month say nothing.
const leastSpan = 24 * time.Hour

// forecast is what the month will have carried at its end, if it goes on at the
// rate at which it was counted.
func (a *account) forecast(now time.Time, month int64, day int) int64 {
	if a.Start == 0 || a.First == 0 || !dated(now) {
		return month
	}
	from := time.Unix(max(a.Start, a.First), 0)
	left := nextMonth(time.Unix(a.Start, 0), day).Sub(now)
	if left <= 0 {
		return month
	}
	return month + int64(float64(month)*float64(left)/float64(max(leastSpan, now.Sub(from))))
}
