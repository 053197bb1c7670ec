package ubus

import "context"

// SetSequence makes the next request use n+1.
func (c *Conn) SetSequence(n uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = n
}

// Queued is how many bytes wait to be written.
func (c *Conn) Queued() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.size
}

// Open is how many incoming calls have no answer yet.
func (c *Conn) Open() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return len(c.in.open)
}

// Current is the client's connection, nil without one.
func (c *Client) Current() *Conn { return c.conn.Load() }

// DialWith is Dial with options.
func DialWith(ctx context.Context, path string, opt Options) (*Conn, error) {
	return dial(ctx, path, opt.withDefaults())
}

// Void tells whether the request takes no answer any more.
func (r *Request) Void() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}
