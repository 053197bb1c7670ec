package ionmeshfake

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

func escapedID(id string) string { return url.PathEscape(id) }

// Order gives a command to a client: at once on its lean connection, or with its
// next answer. It returns the command's id.
func (f *Fake) Order(id string, c Command) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cl := f.clients[id]
	if cl == nil {
		return "", fmt.Errorf("there is no client %q", id)
	}
	if c.ID == "" {
		f.epochID(&c)
	}
	f.change("command %s for %s: %s", c.ID, id, c.Name)
	for p := range f.leans {
		if p.index(id) >= 0 {
			f.command(p, id, c)
			return c.ID, nil
		}
	}
	cl.commands = append(cl.commands, c)
	return c.ID, nil
}

func (f *Fake) epochID(c *Command) {
	f.epoch++ // any number that was not used before
	c.ID = "c" + strconv.FormatInt(f.epoch, 10)
}

// Move gives a client another card, under a new epoch, by a command.
func (f *Fake) Move(id string, bank, slot int) (string, error) {
	f.mu.Lock()
	var to *Card
	for _, c := range f.cards {
		if c.Bank == bank && c.Slot == slot {
			to = c
		}
	}
	cl := f.clients[id]
	if to == nil || cl == nil || f.taken(to) {
		f.mu.Unlock()
		return "", fmt.Errorf("bank %d slot %d cannot be given to %q: there is no such card or client, or it is taken", bank, slot, id)
	}
	c := f.give(id, to)
	f.renew(c)
	args := f.card(to)
	f.additions(args, &client{epoch: c.epoch})
	delete(args, "heartbeat_interval")
	f.mu.Unlock()
	return f.Order(id, Command{Name: "move", Args: args, Expires: f.expires(time.Hour)})
}

func (f *Fake) expires(in time.Duration) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now() + in.Seconds()
}

// Expires is a time for a command, by the orchestrator's clock.
func (f *Fake) Expires(in time.Duration) float64 { return f.expires(in) }

// Revoke ends the lease of a client: it learns that with its next beat. The card
// is free when it has, or when the lease is over.
func (f *Fake) Revoke(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clients[id]
	if c == nil {
		return fmt.Errorf("there is no client %q", id)
	}
	c.revoked = true
	f.change("the lease of %s is revoked", id)
	return nil
}

// CutLean breaks every lean connection without a word.
func (f *Fake) CutLean() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.leans {
		_ = p.conn.Close()
	}
}
