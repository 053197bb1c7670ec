package luciweb

import (
	"context"
	"fmt"
	"net/http"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// eacces is what uhttpd's stream says to whom it does not serve (-EACCES).
const eacces = -13

// subscribe serves GET /ubus/subscribe/OBJECT: the object's notifications as
// server-sent events, until the object goes away or the browser does. Each stream
// has a connection of its own, which ends with it.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	object := r.PathValue("object")
	if !s.sessions.allowed(bearer(r), "ubus", object, ":subscribe") {
		w.Header().Set("Content-Type", "application/json")
		s.write(w, &fault{eacces, "Permission denied"})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	conn, err := ubus.Dial(ctx, s.opt.Socket)
	if err == nil {
		defer conn.Close()
		err = s.stream(ctx, w, conn, object)
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		status := ubus.StatusOf(err)
		s.write(w, &fault{int(status), status.String()})
	}
}

// queued is how many events may wait for a slow browser; the oldest go first.
const queued = 64

// stream returns an error as long as nothing was sent.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, conn *ubus.Conn, object string) error {
	events := make(chan string, queued)
	gone := make(chan struct{})
	err := conn.Subscribe(ctx, object, func(typ string, data ubus.Table) {
		event := fmt.Sprintf("event: %s\ndata: %s\n\n", typ, data.JSON())
		select {
		case events <- event:
		default:
			select {
			case <-events:
			default:
			}
			events <- event // only this callback writes
		}
	}, func() { close(gone) })
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	_ = out.Flush() // the browser learns that the stream stands
	for {
		select {
		case <-ctx.Done():
		case <-gone:
		case <-conn.Done():
		case event := <-events:
			if _, err := fmt.Fprint(w, event); err == nil && out.Flush() == nil {
				continue
			}
		}
		return nil
	}
}
