package luciweb

import (
	"context"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// bus is the connection that calls of browsers go through. It is made when it
// is needed, and anew when ubusd has restarted.
type bus struct {
	socket string
	mu     sync.Mutex
	conn   *ubus.Conn
}

// dial returns a connection that lives.
func (b *bus) dial(ctx context.Context) (*ubus.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		select {
		case <-b.conn.Done():
			_ = b.conn.Close()
			b.conn = nil
		default:
			return b.conn, nil
		}
	}
	conn, err := ubus.Dial(ctx, b.socket)
	b.conn = conn
	return conn, err
}

func (b *bus) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	err := b.conn.Close()
	b.conn = nil
	return err
}
