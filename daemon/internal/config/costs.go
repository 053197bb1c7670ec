package config

import (
	"fmt"
	"math"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Keep-alive of RSPRO connections (IPA CCM PING and PONG). No option changes
// them: a server closes a connection that answers no pings, and a bank never
// asks for any.
const (
	// ServerPing is our own interval towards a server: as the stock client's.
	ServerPing = 30 * time.Second
	// BankPing is none. A dead bank shows at the next command.
	BankPing = time.Duration(0)
	// stockPing is what a stock server does by itself, after each PONG.
	stockPing = 30 * time.Second
	// pongWait is how long either end waits for a PONG before it closes.
	pongWait = 10 * time.Second
)

// Sizes at the IP layer in bytes, as a carrier counts them.
const (
	// A TCP segment without data: IPv4 20, TCP 20, and 12 for timestamps,
	// which Linux sends in every segment. IPv6 has 20 more.
	segment = 52
	// A TLS 1.3 record around data: header 5, content type 1, tag 16 (RFC 8446 §5.2).
	record = 22
	// An IPA frame with a CCM message: length 2, protocol 1, type 1.
	ipaPing = 4
	// PING, PONG (which acknowledges the PING), and the acknowledgement of the PONG.
	pingBytes    = 3*segment + 2*ipaPing
	pingTLSBytes = pingBytes + 2*record
	// A STATUS that goes to the card: modemToCard with 5 bytes of TPDU is 54
	// with IPA, and the answer with the FCP brings it to 299 with two segments
	// and what acknowledges them (reference, D.3).
	statusBytes = 299
	// How often an idle modem asks for STATUS; it is the modem's choice, and
	// 30 s is the longest that is usual (reference, D.4).
	statusPoll = 30 * time.Second
)

// Bytes of one beat, both directions. Those with TLS are measured by a test of
// package ionmesh, which makes docs/COST.md and holds these figures to it; those
// without are the reference's (D.2).
const (
	beatLean     = 244  // some 20 bytes up, 8 down on a connection that stays
	beatRESTKept = 646  // HTTP/1.1 inside TLS, connection kept
	beatHTTPKept = 547  // the same without TLS: two records less
	beatHTTPNew  = 965  // a new TCP connection per beat, as the original
	beatTLSNew   = 4554 // a new TLS connection per beat, resumed
	beatMTLSNew  = 5419 // one with a client certificate, which is not worth resuming
	leanOpen     = 363  // what the hello of a lean connection adds to a new connection with a beat
)

// leanLife is when a lean connection is made anew.
const leanLife = 24 * time.Hour

// authBytes is AUTHENTICATE with its GET RESPONSE at the bank (reference, D.3).
const authBytes = 609

// Exchange is one thing that costs bytes, both directions together.
type Exchange struct {
	Name  string
	Bytes float64
}

// Exchanges lists the sizes that Costs reckons with, but for beats over TLS, which
// the client's own test measures (docs/COST.md). A test measures them.
func Exchanges() []Exchange {
	return []Exchange{
		{"server ping", pingBytes},
		{"server ping, TLS", pingTLSBytes},
		{"bank STATUS", statusBytes},
		{"bank STATUS, TLS", statusBytes + 2*record},
		{"bank AUTHENTICATE", authBytes},
		{"bank AUTHENTICATE, TLS", authBytes + 4*record},
		{"beat, lean", beatLean},
		{"beat, clear text, connection kept", beatHTTPKept},
		{"beat, clear text, new connection", beatHTTPNew},
		{"probe, IPv4 echo", model.Echo4Bytes},
		{"probe, IPv6 echo", model.Echo6Bytes},
	}
}

// month is 30 days.
const month = 30 * 24 * time.Hour

// perMonth is decimal megabytes a month for bytes in every interval.
func perMonth(bytes float64, every time.Duration) float64 {
	if every <= 0 {
		return 0
	}
	return bytes * float64(month) / float64(every) / 1e6
}

// Costs lists what the settings in use cost: per modem with a remote card its
// keep-alives and STATUS commands, the beats, and the probes per link. What has
// no effect yet costs nothing.
func (c *Config) Costs() []model.Cost {
	var out []model.Cost
	add := addTo(&out)
	for _, m := range c.Modems {
		if m.Source == model.SourceRemote {
			c.remoteCosts(m, add)
		}
	}
	if c.IonMesh.Enabled {
		c.beatCosts(add)
	}
	if acts("failover", "detect") {
		c.probeCosts(add)
	}
	return out
}

// probeCosts are those of watching the links.
func (c *Config) probeCosts(add addCost) {
	cost := func(link string, metered bool) {
		p := c.Failover.Detect.Probing(metered)
		add(p.Idle(), p.Month(), "failover.detect=%s on %s, idle%s", c.Failover.Detect, link, meteredWord(metered))
		add(p.Busy(), 0, "failover.detect=%s on %s, an answer is overdue", c.Failover.Detect, link)
	}
	for _, m := range c.Modems {
		if m.Network != "" {
			cost(m.Name, m.Metered)
		}
	}
	for _, l := range c.Links {
		cost(l.Name, l.Metered)
	}
}

func meteredWord(metered bool) string {
	if metered {
		return " (metered)"
	}
	return ""
}

type addCost func(seconds time.Duration, mb float64, setting string, args ...any)

// addTo adds to a list.
func addTo(list *[]model.Cost) addCost {
	return func(seconds time.Duration, mb float64, setting string, args ...any) {
		*list = append(*list, model.Cost{Setting: fmt.Sprintf(setting, args...), Seconds: seconds.Seconds(), MBMonth: math.Round(mb*100) / 100})
	}
}

// remoteCosts are those of one modem's RSPRO session.
func (c *Config) remoteCosts(m Modem, add addCost) {
	bank, direct := c.BankOf(m.Name)
	tls := direct && bank.TLS.On
	if len(c.Servers) > 0 && !direct {
		// The stock server pings by itself: one exchange in 30 s is 14 MB a
		// month in clear text. Ours is a second one on the same connection.
		server := c.Servers[0]
		bytes := float64(pingBytes)
		if server.TLS.On {
			bytes = pingTLSBytes
		}
		add(ServerPing+pongWait, perMonth(bytes, ServerPing)+perMonth(bytes, stockPing),
			"%s: pings with the server every %d s, both ends", m.Name, int(ServerPing.Seconds()))
		tls = server.TLS.On
	}
	every := m.StatusInterval
	if every == 0 || m.CardCache == CacheOff {
		every = statusPoll
	}
	add(every, 0, "%s: no pings with the bank, which shows at the next command that it is gone", m.Name)
	bytes := float64(statusBytes)
	if tls {
		bytes += 2 * record
	}
	add(every, perMonth(bytes, every), "%s.status_interval=%d, card_cache=%s", m.Name, int(m.StatusInterval.Seconds()), m.CardCache)
}

// beatCosts are those of the orchestrator, for each way that a beat can go.
func (c *Config) beatCosts(add addCost) {
	beat := c.IonMesh.Heartbeat
	late := beat + c.IonMesh.Timeout
	kept, fresh := float64(beatHTTPKept), float64(beatHTTPNew)
	if c.IonMesh.TLS.On {
		kept, fresh = beatRESTKept, beatTLSNew
		if c.IonMesh.TLS.Files.Cert != "" {
			fresh = beatMTLSNew
		}
	}
	name := fmt.Sprintf("ionmesh.heartbeat_interval=%d", int(beat.Seconds()))
	add(late, perMonth(beatLean, beat)+perMonth(fresh+leanOpen, leanLife), "%s, one connection that stays (lean-beat)", name)
	add(late, perMonth(kept, beat), "%s, REST on a connection that is kept", name)
	add(late, perMonth(fresh, beat), "%s, REST with a new connection per beat", name)
}
