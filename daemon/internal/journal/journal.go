// Package journal keeps a bounded history of what happened. Entries that repeat
// are counted instead of stored again. It has no clock and does no I/O: the
// engine, its only writer, passes the time.
package journal

import (
	"maps"
	"time"
)

// Bounds: how many entries are kept, how far back and how long a repetition is
// still taken for one.
const (
	maxEntries   = 500
	foldEntries  = 16
	foldDuration = 10 * time.Minute
)

// Entry is one thing that happened, or the same thing several times.
type Entry struct {
	ID      int64             `json:"id"`   // grows; never repeats across restarts
	Time    int64             `json:"time"` // Unix seconds of the last occurrence
	Kind    string            `json:"kind"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	Data    map[string]string `json:"data,omitempty"`
	Count   int               `json:"count"`
}

// Journal is the history. Its entries are ordered by ID. The zero value is not
// usable; make it with New.
type Journal struct {
	next    int64
	entries []Entry
}

// New makes an empty journal whose first entry gets the number first.
func New(first int64) *Journal { return &Journal{next: first} }

// Add records that something happened and returns the entry. A repetition of a
// recent entry (same kind, subject, text and data) becomes that entry with a
// higher count, moved to the end under a new number, so that a reader who asks
// for what is new sees it.
func (j *Journal) Add(now time.Time, kind, subject, text string, data map[string]string) Entry {
	e := Entry{ID: j.next, Time: now.Unix(), Kind: kind, Subject: subject, Text: text, Data: data, Count: 1}
	j.next++
	if i := j.repeated(e); i >= 0 {
		e.Count += j.entries[i].Count
		j.entries = append(j.entries[:i], j.entries[i+1:]...)
	}
	if len(j.entries) >= maxEntries {
		j.entries = append(j.entries[:0], j.entries[len(j.entries)-maxEntries+1:]...)
	}
	j.entries = append(j.entries, e)
	return e
}

// repeated returns the index of a recent entry that e repeats, or -1.
func (j *Journal) repeated(e Entry) int {
	for i := len(j.entries) - 1; i >= 0 && i >= len(j.entries)-foldEntries; i-- {
		old := j.entries[i]
		if old.Kind == e.Kind && old.Subject == e.Subject && old.Text == e.Text && maps.Equal(old.Data, e.Data) {
			if e.Time-old.Time > int64(foldDuration/time.Second) {
				return -1
			}
			return i
		}
	}
	return -1
}

// Since returns the entries after the number since, oldest first, at most limit
// of the newest ones, only those of kind unless kind is empty.
func (j *Journal) Since(since int64, limit int, kind string) []Entry {
	var out []Entry
	for i := len(j.entries) - 1; i >= 0 && len(out) < limit; i-- {
		e := j.entries[i]
		if e.ID <= since {
			break
		}
		if kind == "" || e.Kind == kind {
			out = append(out, e)
		}
	}
	for a, b := 0, len(out)-1; a < b; a, b = a+1, b-1 {
		out[a], out[b] = out[b], out[a]
	}
	return out
}
