package history

import "math"

// cell is one step of time: minimum, average and maximum in steps of the
// metric's resolution.
type cell struct{ min, avg, max int32 }

// empty marks a step without a value.
func empty() cell { return cell{min: math.MaxInt32, max: math.MinInt32} }

func (c cell) isEmpty() bool { return c.min > c.max }

// setBack is how long the clock must have been behind the newest value before
// it is believed that it was set back. A router without a battery clock is
// behind until it has reached a time server.
const setBack = 600 // seconds

// ring keeps the newest cells of one resolution. The cell of step n, counted
// from 1970, is at n modulo the size.
type ring struct {
	step  int64
	last  int64 // newest step; 0: none yet
	cells []cell
	// Of the newest cell.
	sum float64
	n   uint32

	behind int64 // Unix seconds of the first value that was behind; 0: none
}

// allCells is how many cells a series has.
const allCells = 360 + 720 + 672

// newRings makes the rings of one series in one piece of memory.
func newRings() (rings [3]ring) {
	cells := make([]cell, allCells)
	for i := range cells {
		cells[i] = empty()
	}
	for i, t := range tiers() {
		rings[i] = ring{step: t.step, cells: cells[:t.cells:t.cells]}
		cells = cells[t.cells:]
	}
	return rings
}

func (r *ring) at(step int64) *cell { return &r.cells[step%int64(len(r.cells))] }

// add enters a value at a time in seconds.
func (r *ring) add(now int64, v int32) {
	step := now / r.step
	switch {
	case step < r.last-1:
		if r.behind == 0 || now < r.behind {
			r.behind = now
		}
		if now-r.behind < setBack {
			return
		}
		r.forgetAfter(step)
	case step < r.last:
		step = r.last // it came a little late
	}
	r.behind = 0
	if step != r.last || r.n == 0 {
		r.advance(step)
	}
	c := r.at(step)
	r.sum += float64(v)
	r.n++
	c.min, c.max = min(c.min, v), max(c.max, v)
	c.avg = int32(math.Round(r.sum / float64(r.n)))
}

// advance makes step the newest. What was there before a restart goes on.
func (r *ring) advance(step int64) {
	for i := max(r.last+1, step-int64(len(r.cells))+1); i <= step; i++ {
		*r.at(i) = empty()
	}
	if step > r.last {
		r.last, r.sum, r.n = step, 0, 0
	}
	if c := r.at(step); r.n == 0 && !c.isEmpty() {
		r.sum, r.n = float64(c.avg), 1
	}
}

// forgetAfter drops what lies after step: the clock was set back.
func (r *ring) forgetAfter(step int64) {
	for i := max(step+1, r.last-int64(len(r.cells))+1); i <= r.last; i++ {
		*r.at(i) = empty()
	}
	r.last, r.sum, r.n = step, 0, 0
}

// each calls fn with the cells of steps that begin after from and not after to.
func (r *ring) each(from, to int64, fn func(at int64, c cell)) {
	if r.last == 0 {
		return
	}
	first, last := max(r.first(), from/r.step+1), min(r.last, to/r.step)
	for step, i := first, first%int64(len(r.cells)); step <= last; step, i = step+1, i+1 {
		if i == int64(len(r.cells)) {
			i = 0
		}
		if c := r.cells[i]; !c.isEmpty() {
			fn(step*r.step, c)
		}
	}
}

// first is the oldest step that the ring can hold.
func (r *ring) first() int64 { return max(0, r.last-int64(len(r.cells))+1) }
