package ionmeshfake

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Fault is one way to misbehave.
type Fault struct {
	Name  string // of the endpoint, "register-client"; "" for every one
	Kind  Kind
	Times int // how often; 0: until Clear
	// Status and Body of kind Answer; RetryAfter is a header if it is not empty.
	Status     int
	Body       string
	RetryAfter string
	Location   string
}

// Kind is a way to misbehave.
type Kind string

// The kinds.
const (
	Answer Kind = "answer" // Status and Body instead of the right answer
	HTML   Kind = "html"   // a web page, as of a captive portal
	Huge   Kind = "huge"   // a body of a megabyte
	Half   Kind = "half"   // the connection ends in the middle of the body
	Drip   Kind = "drip"   // a byte a second (slow-loris)
	Hang   Kind = "hang"   // no answer at all
	Hangup Kind = "hangup" // the connection ends without an answer
	Lose   Kind = "lose"   // it is done, but the answer is lost
)

// Misbehave adds a fault. They are used in the order in which they came.
func (f *Fake) Misbehave(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fault)
}

// Clear takes all faults away.
func (f *Fake) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// nextFault is the fault for a request. The mutex is held.
func (f *Fake) nextFault(name string) (Fault, bool) {
	for i, x := range f.faults {
		if x.Name != "" && x.Name != name {
			continue
		}
		if x.Times > 0 {
			if f.faults[i].Times--; f.faults[i].Times == 0 {
				f.faults = append(f.faults[:i:i], f.faults[i+1:]...)
			}
		}
		f.change("%s is answered with fault %s %d", name, x.Kind, x.Status)
		return x, true
	}
	return Fault{}, false
}

// nowhere takes an answer that will be lost.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// lose ends the connection instead of an answer.
func lose(w http.ResponseWriter) {
	if nc := hijack(w); nc != nil {
		_ = nc.Close()
	}
}

// apply misbehaves. It reports whether the request is over.
func (x Fault) apply(w http.ResponseWriter, r *http.Request) bool {
	if x.Kind == Lose {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10))
	switch x.Kind {
	case Answer:
		x.answer(w)
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Please log in</body></html>")
	case Huge:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append([]byte(`{"status":"success","pad":"`), bytes.Repeat([]byte("x"), 1<<20)...))
	case Half:
		half(w)
	case Drip:
		drip(w, r)
	case Hang:
		<-r.Context().Done()
	case Hangup:
		lose(w)
	}
	return true
}

func (x Fault) answer(w http.ResponseWriter) {
	if x.RetryAfter != "" {
		w.Header().Set("Retry-After", x.RetryAfter)
	}
	if x.Location != "" {
		w.Header().Set("Location", x.Location)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(x.Status)
	_, _ = io.WriteString(w, x.Body)
}

func hijack(w http.ResponseWriter) net.Conn {
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	return nc
}

func half(w http.ResponseWriter) {
	nc := hijack(w)
	if nc == nil {
		return
	}
	fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"status\":\"success\",\"bank_id\":1,")
	_ = nc.Close()
}

func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		if _, err := io.WriteString(w, " "); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-t.C:
		}
	}
}
