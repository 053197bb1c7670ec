package ionmeshfake

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const api = "/api/backend/v1/remsim/"

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// handler routes by the unescaped path: a client id may hold a slash, which comes
// as %2F.
func (f *Fake) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		at := strings.Index(path, api)
		if at < 0 {
			http.NotFound(w, r)
			return
		}
		name, rest, _ := strings.Cut(path[at+len(api):], "/")
		f.mu.Lock()
		f.requests[r.Method+" "+name]++
		fault, broken := f.nextFault(name)
		key := f.opts.APIKey
		f.mu.Unlock()
		if broken && fault.apply(w, r) {
			return
		}
		if broken && fault.Kind == Lose {
			defer lose(w)
			w = nowhere{}
		}
		if key != "" && r.Header.Get("X-API-Key") != key {
			refuse(w, http.StatusUnauthorized, "the API key is wrong")
			return
		}
		f.route(w, r, name, rest)
	})
}

func (f *Fake) route(w http.ResponseWriter, r *http.Request, name, rest string) {
	switch r.Method + " " + name {
	case "POST register-client":
		f.register(w, r)
	case "POST heartbeat":
		f.heartbeat(w, r)
	case "POST command-result":
		f.commandResult(w, r)
	case "DELETE unregister":
		f.unregister(w, rest)
	case "GET discover":
		f.discover(w)
	case "GET lean-beat":
		if f.can("lean-beat") {
			f.lean(w, r)
			return
		}
		http.NotFound(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (f *Fake) can(capability string) bool { return slices.Contains(f.opts.Capabilities, capability) }

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a router that has gone sees nothing of it
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"status": "error", "message": message})
}

// read takes the body; strict: the contract lists every field of a request.
func read(w http.ResponseWriter, r *http.Request, to any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		refuse(w, http.StatusBadRequest, "the body cannot be read: "+err.Error())
		return false
	}
	return true
}

// now is its own clock, as Unix seconds.
func (f *Fake) now() float64 { return float64(time.Now().Add(f.opts.Skew).Unix()) }

func (f *Fake) register(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ClientID string `json:"client_id"`
		Mode     string `json:"mapping_mode"`
		MCCMNC   string `json:"mcc_mnc"`
		Tenant   int    `json:"tenant_id"`
	}
	if !read(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case q.ClientID == "":
		refuse(w, http.StatusBadRequest, "client_id is required")
		return
	case len(f.opts.Tenants) > 0 && !slices.Contains(f.opts.Tenants, q.Tenant):
		refuse(w, http.StatusNotFound, "there is no tenant "+strconv.Itoa(q.Tenant))
		return
	}
	c := f.clients[q.ClientID]
	if c == nil || c.card == nil || c.revoked {
		card, fits := f.free(q.Tenant, q.Mode, q.MCCMNC)
		switch {
		case card == nil && !fits:
			refuse(w, http.StatusNotFound, "no pool has cards for this tenant, mode and network")
			return
		case card == nil:
			answer(w, http.StatusServiceUnavailable, map[string]any{"status": "error", "message": "no card is free", "available_modes": []string{}})
			return
		}
		c = f.give(q.ClientID, card)
	}
	f.renew(c)
	f.change("%s registered: bank %d slot %d, epoch %d", c.id, c.card.Bank, c.card.Slot, c.epoch)
	answer(w, http.StatusOK, f.registered(c, q.Mode))
}

// free finds a card that nobody uses. fits: there is one, free or not.
func (f *Fake) free(tenant int, mode, mccmnc string) (card *Card, fits bool) {
	for _, c := range f.cards {
		if c.Tenant != 0 && c.Tenant != tenant || c.Mode != "" && c.Mode != mode || c.MCCMNC != "" && mccmnc != "" && c.MCCMNC != mccmnc {
			continue
		}
		fits = true
		if !f.taken(c) {
			return c, true
		}
	}
	return nil, fits
}

// taken tells whether somebody has a card, or may still use it: a lease is not
// given away before it has ended.
func (f *Fake) taken(card *Card) bool {
	if time.Now().Before(f.held[card]) {
		return true
	}
	for _, c := range f.clients {
		if c.card == card && (c.leased.IsZero() && !c.revoked || time.Now().Before(c.leased)) {
			return true
		}
	}
	return false
}

// give assigns a card under a new epoch.
func (f *Fake) give(id string, card *Card) *client {
	f.epoch++
	old := f.clients[id]
	c := &client{id: id, card: card, epoch: f.epoch, status: "new"}
	if old != nil {
		c.commands, c.stats, c.beats = old.commands, old.stats, old.beats
		f.hold(old)
	}
	f.clients[id] = c
	return c
}

// hold keeps a card that its client loses until the lease is over.
func (f *Fake) hold(c *client) {
	if c.card != nil && c.leased.After(f.held[c.card]) {
		f.held[c.card] = c.leased
	}
}

// renew lengthens the lease of a client.
func (f *Fake) renew(c *client) {
	c.seen = time.Now()
	if f.can("lease") && !c.revoked {
		if end := c.seen.Add(f.opts.Lease); end.After(c.leased) {
			c.leased = end
		}
	}
}

// registered is the answer to a registration: the original's fields, and those of
// the contract where the capabilities announce them.
func (f *Fake) registered(c *client, mode string) map[string]any {
	out := f.card(c.card)
	out["status"], out["mapping_mode"], out["profile_id"] = "success", mode, 1
	f.additions(out, c)
	return out
}

func (f *Fake) card(c *Card) map[string]any {
	out := map[string]any{"bank_id": c.Bank, "slot_id": c.Slot, "iccid": c.ICCID, "imsi": c.IMSI, "bankd_endpoint": c.Endpoint}
	if c.Server != "" {
		out["server_endpoint"] = c.Server
	}
	if c.Client != nil {
		out["rspro_client_id"], out["rspro_client_slot"] = c.Client[0], c.Client[1]
	}
	return out
}

// additions are the optional fields.
func (f *Fake) additions(out map[string]any, c *client) {
	if f.opts.Interval > 0 {
		out["heartbeat_interval"] = int(f.opts.Interval / time.Second)
	}
	if f.can("lease") {
		out["lease_id"], out["epoch"] = "lease-"+strconv.FormatInt(c.epoch, 10), c.epoch
		length := f.opts.Lease
		if c.revoked {
			length = 0
		}
		out["lease_seconds"] = int(length / time.Second)
		out["lease_until"], out["server_time"] = f.now()+length.Seconds(), f.now()
	}
	if f.can("commands") {
		out["server_time"] = f.now()
		if len(c.commands) > 0 {
			out["commands"] = c.commands
			c.commands = nil
		}
	}
}

func (f *Fake) heartbeat(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ClientID string `json:"client_id"`
		Status   string `json:"status"`
		Stats    Stats  `json:"stats"`
	}
	if !read(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clients[q.ClientID]
	switch {
	case c == nil:
		refuse(w, http.StatusNotFound, "client is not registered")
		return
	case !slices.Contains([]string{"active", "warning", "error"}, q.Status):
		refuse(w, http.StatusBadRequest, "status is not active, warning or error")
		return
	}
	c.beats++
	c.status, c.stats = q.Status, q.Stats
	f.renew(c)
	out := map[string]any{"status": "success"}
	f.additions(out, c)
	delete(out, "heartbeat_interval")
	if f.opts.Interval > 0 {
		out["next_heartbeat_interval"] = int(f.opts.Interval / time.Second)
	}
	f.change("%s beat: %s", c.id, c.status)
	answer(w, http.StatusOK, out)
}

func (f *Fake) commandResult(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ClientID string         `json:"client_id"`
		ID       string         `json:"id"`
		Status   string         `json:"status"`
		Message  string         `json:"message"`
		Data     map[string]any `json:"data"`
	}
	if !read(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resulted(Result{q.ClientID, q.ID, q.Status, q.Message, q.Data})
	answer(w, http.StatusOK, map[string]any{"status": "success"})
}

func (f *Fake) resulted(r Result) {
	f.results = append(f.results, r)
	f.change("%s: command %s is %s: %s", r.ClientID, r.ID, r.Status, r.Message)
}

func (f *Fake) unregister(w http.ResponseWriter, escaped string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.clients {
		if escapedID(id) == escaped {
			delete(f.clients, id) // the router has given the card back: nobody holds it
			f.change("%s unregistered", id)
			answer(w, http.StatusOK, map[string]any{"status": "success", "message": "unregistered"})
			return
		}
	}
	refuse(w, http.StatusNotFound, "client is not registered")
}

func (f *Fake) discover(w http.ResponseWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]any{
		"service": "ionmesh", "version": "fake", "api_endpoint": strings.TrimSuffix(api, "/remsim/"),
		"capabilities": append([]string{"slot-assignment", "multi-tenant"}, f.opts.Capabilities...),
	}
	if f.can("lease") || f.can("commands") {
		out["server_time"] = f.now()
	}
	answer(w, http.StatusOK, out)
}
