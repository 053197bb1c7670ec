// Package cell is a mailbox that holds the newest value: the engine sets what
// it wants, a driver waits for a change and reads the latest. Losing a message
// loses nothing.
package cell

import "sync"

// Cell holds one value of T. Make it with New.
type Cell[T any] struct {
	equal func(a, b T) bool
	wake  chan struct{}

	mu  sync.Mutex
	val T
}

// New makes a cell that holds v; equal tells when a change is none.
func New[T any](v T, equal func(a, b T) bool) *Cell[T] {
	return &Cell[T]{equal: equal, wake: make(chan struct{}, 1), val: v}
}

// Set stores v. Setting a value equal to the one held wakes nobody.
func (c *Cell[T]) Set(v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.equal(v, c.val) {
		return
	}
	c.val = v
	select {
	case c.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

// Get returns the value held.
func (c *Cell[T]) Get() T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.val
}

// Changed receives after one or more changes since the last receive. It is for
// one reader.
func (c *Cell[T]) Changed() <-chan struct{} { return c.wake }
