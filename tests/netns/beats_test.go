package netns_test

import (
	"net/http"
	"net/http/httptest"
)

// beats is the orchestrator's stand-in: an HTTPS endpoint that answers beats.
type beats struct{ url string }

// newBeats serves until the test ends.
func newBeats(w *world) *beats {
	b := &beats{url: "https://" + orchestra + ":5000/api/backend/v1/heartbeat"}
	l := w.orchestrator.Listen("tcp", orchestra+":5000")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"status":"ok"}`))
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.StartTLS()
	w.Cleanup(s.Close)
	return b
}
