package ionmesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// maxBody bounds what is read of an answer.
const maxBody = 64 << 10

// maxID is the largest RSPRO bank, client or slot number (RSPRO.asn: 0..1023).
const maxID = 1023

// ErrMalformed is wrapped by everything that says why an answer cannot be used.
var ErrMalformed = errors.New("malformed")

// registration is the body of register-client: these four and no more.
type registration struct {
	ClientID string `json:"client_id"`
	Mode     string `json:"mapping_mode"`
	MCCMNC   string `json:"mcc_mnc"`
	TenantID int    `json:"tenant_id"`
}

// beat is the body of heartbeat.
type beat struct {
	ClientID string `json:"client_id"`
	Status   string `json:"status"`
	Stats    Stats  `json:"stats"`
}

// Stats are the statistics of a beat, by the original project's names.
type Stats struct {
	Uptime   int64 `json:"uptime_seconds"`
	Sent     int64 `json:"tpdus_sent"`
	Received int64 `json:"tpdus_received"`
	Errors   int64 `json:"errors"`
	RSSI     int   `json:"signal_rssi,omitempty"` // dBm; absent: not known
	RSRP     int   `json:"signal_rsrp,omitempty"`
	DataRx   int64 `json:"data_rx_bytes"`
	DataTx   int64 `json:"data_tx_bytes"`
}

func statsOf(m model.MeshStats) Stats {
	return Stats{Uptime: m.Uptime, Sent: m.Sent, Received: m.Received, Errors: m.Errors, RSSI: m.RSSI, RSRP: m.RSRP, DataRx: m.DataRx, DataTx: m.DataTx}
}

// Answer is what the orchestrator says, to a registration or to a beat.
type Answer struct {
	Card       *model.MeshCard // nil: it names none
	ICCID      model.ICCID
	LeaseID    string
	HasLength  bool
	Length     time.Duration // lease_seconds
	Until      time.Time     // zero: none
	ServerTime time.Time
	Epoch      int64
	Interval   time.Duration // until the next beat; 0: ours
	Orders     []Order
}

// wireAnswer has every field that we read; all others are ignored.
type wireAnswer struct {
	Status         string            `json:"status"`
	Message        string            `json:"message"`
	BankID         *float64          `json:"bank_id"`
	SlotID         *float64          `json:"slot_id"`
	ICCID          string            `json:"iccid"`
	BankdEndpoint  string            `json:"bankd_endpoint"`
	ServerEndpoint string            `json:"server_endpoint"`
	ClientID       *float64          `json:"rspro_client_id"`
	ClientSlot     *float64          `json:"rspro_client_slot"`
	LeaseID        string            `json:"lease_id"`
	LeaseSeconds   *float64          `json:"lease_seconds"`
	LeaseUntil     *float64          `json:"lease_until"`
	ServerTime     *float64          `json:"server_time"`
	Epoch          *float64          `json:"epoch"`
	Interval       *float64          `json:"heartbeat_interval"`
	Next           *float64          `json:"next_heartbeat_interval"`
	Commands       []json.RawMessage `json:"commands"`
}

// unmarshal names the field whose type is wrong.
func unmarshal(body []byte, to any) error {
	err := json.Unmarshal(body, to)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("field %s is a %s, which it must not be: %w", printable(wrong.Field, 60), wrong.Value, ErrMalformed)
	}
	if err != nil {
		return fmt.Errorf("it is no JSON: %v: %w", err, ErrMalformed)
	}
	return nil
}

// DecodeRegistered reads the answer to a registration. It must name a card.
func DecodeRegistered(body []byte) (Answer, error) {
	w, a, err := decodeAnswer(body)
	if err != nil {
		return a, err
	}
	a.Card, err = w.card()
	return a, err
}

// DecodeBeat reads the answer to a beat.
func DecodeBeat(body []byte) (Answer, error) {
	_, a, err := decodeAnswer(body)
	return a, err
}

func decodeAnswer(body []byte) (w wireAnswer, a Answer, err error) {
	if err := unmarshal(body, &w); err != nil {
		return w, a, err
	}
	if strings.EqualFold(w.Status, "error") {
		return w, a, &statedError{message: w.Message}
	}
	n := numbers{}
	a.LeaseID, a.ICCID = printable(w.LeaseID, 64), model.ICCID(digits(w.ICCID))
	a.Epoch = n.whole("epoch", w.Epoch, 0, 1<<53)
	if w.LeaseSeconds != nil {
		a.HasLength, a.Length = true, time.Duration(n.whole("lease_seconds", w.LeaseSeconds, 0, 1<<31))*time.Second
	}
	a.Until, a.ServerTime = n.time("lease_until", w.LeaseUntil), n.time("server_time", w.ServerTime)
	interval, name := w.Next, "next_heartbeat_interval"
	if interval == nil {
		interval, name = w.Interval, "heartbeat_interval"
	}
	a.Interval = interval0(n.whole(name, interval, 0, 1<<31))
	if n.err != nil {
		return w, a, n.err
	}
	for _, raw := range w.Commands {
		o, err := DecodeOrder(raw)
		if err != nil {
			return w, a, err
		}
		a.Orders = append(a.Orders, o)
	}
	return w, a, nil
}

// Bounds of the interval that an orchestrator may ask for.
const (
	minInterval = time.Second
	maxInterval = 24 * time.Hour
)

// interval0 is the interval for a number of seconds, 0 for none.
func interval0(seconds int64) time.Duration {
	if seconds <= 0 {
		return 0
	}
	return min(maxInterval, max(minInterval, time.Duration(seconds)*time.Second))
}

// card is the card that an answer names.
func (w wireAnswer) card() (*model.MeshCard, error) {
	if w.BankID == nil || w.SlotID == nil {
		return nil, fmt.Errorf("bank_id or slot_id is missing: %w", ErrMalformed)
	}
	n := numbers{}
	c := &model.MeshCard{Bank: model.BankSlot{ID: uint16(n.whole("bank_id", w.BankID, 0, maxID)), Slot: uint16(n.whole("slot_id", w.SlotID, 0, maxID))}}
	if w.ClientID != nil {
		c.Client = &model.ClientSlot{ID: uint16(n.whole("rspro_client_id", w.ClientID, 0, maxID)), Slot: uint16(n.whole("rspro_client_slot", w.ClientSlot, 0, maxID))}
	}
	if n.err != nil {
		return nil, n.err
	}
	var err error
	if w.ServerEndpoint != "" {
		server, err := ParseEndpoint(w.ServerEndpoint, 9998)
		if err != nil {
			return nil, fmt.Errorf("server_endpoint: %w", err)
		}
		c.Server = &server
		if w.BankdEndpoint == "" {
			return c, nil // the server tells where the bank is
		}
	}
	if c.Bankd, err = ParseEndpoint(w.BankdEndpoint, 9999); err != nil {
		return nil, fmt.Errorf("bankd_endpoint: %w", err)
	}
	return c, nil
}

// ParseEndpoint reads where a bank or server listens: the original project writes
// http://HOST:PORT for what speaks no HTTP; HOST, HOST:PORT, tcp:// and tls:// are
// taken too. https:// and tls:// say that TLS is spoken there.
func ParseEndpoint(text string, port uint16) (model.MeshAddress, error) {
	a := model.MeshAddress{Port: port}
	rest := strings.TrimRight(text, "/")
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		rest = after
		switch scheme {
		case "http", "tcp", "rspro":
		case "https", "tls":
			a.TLS = true
		default:
			return a, fmt.Errorf("%q does not begin with http://, https://, tcp:// or tls://: %w", printable(text, 80), ErrMalformed)
		}
	}
	a.Host = strings.Trim(rest, "[]")
	if host, p, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return a, fmt.Errorf("port %q is not 1..65535: %w", printable(p, 20), ErrMalformed)
		}
		a.Host, a.Port = host, uint16(n)
	} else if strings.Count(rest, ":") == 1 {
		return a, fmt.Errorf("%q is not HOST:PORT: %w", printable(text, 80), ErrMalformed)
	}
	if !hostlike(a.Host) {
		return a, fmt.Errorf("%q names no host: %w", printable(text, 80), ErrMalformed)
	}
	return a, nil
}

func hostlike(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._:%", c) >= 0 {
			continue
		}
		return false
	}
	return s != "" && len(s) <= 253
}

// Discovered is the answer of discover.
type Discovered struct {
	Service      string   `json:"service"`
	Version      string   `json:"version"`
	Capabilities []string `json:"capabilities"`
	ServerTime   *float64 `json:"server_time"`
}

// DecodeDiscovered reads it.
func DecodeDiscovered(body []byte) (Discovered, error) {
	var d Discovered
	if err := unmarshal(body, &d); err != nil {
		return d, err
	}
	d.Service, d.Version = printable(d.Service, 60), printable(d.Version, 60)
	return d, nil
}

func (d Discovered) can(capability string) bool {
	for _, c := range d.Capabilities {
		if c == capability {
			return true
		}
	}
	return false
}

// numbers checks numbers and keeps the first thing that is wrong. JSON knows no
// whole numbers, and a Python server writes its times with a fraction.
type numbers struct{ err error }

func (n *numbers) whole(name string, v *float64, least, most float64) int64 {
	if v == nil {
		return 0
	}
	f := math.Floor(*v)
	if f != *v && !strings.HasSuffix(name, "seconds") && !strings.HasSuffix(name, "interval") || f < least || f > most {
		if n.err == nil {
			n.err = fmt.Errorf("%s is %v, which is no whole number of %.0f..%.0f: %w", name, *v, least, most, ErrMalformed)
		}
		return 0
	}
	return int64(f)
}

func (n *numbers) time(name string, v *float64) time.Time {
	if v == nil {
		return time.Time{}
	}
	if *v < 0 || *v > 1<<40 {
		if n.err == nil {
			n.err = fmt.Errorf("%s is %v, which is no Unix time in seconds: %w", name, *v, ErrMalformed)
		}
		return time.Time{}
	}
	return time.Unix(0, int64(*v*1e3)*int64(time.Millisecond)).UTC()
}

// statedError is an error that the orchestrator has put into words.
type statedError struct{ message string }

func (e *statedError) Error() string { return printable(e.message, 200) }

// decodeError reads an error body: {status:"error", message}. ok is false for one
// that is none of the orchestrator's.
func decodeError(body []byte) (message string, ok bool) {
	var w struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &w) != nil || w.Status == "" && w.Message == "" {
		return "", false
	}
	return printable(w.Message, 200), true
}

// printable makes foreign text fit for logs and terminals: one line of at most n
// characters.
func printable(s string, n int) string {
	out := make([]rune, 0, min(n, len(s)))
	for _, r := range s {
		if len(out) == n {
			return string(out) + "…"
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == 0xfffd {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

func digits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return ""
		}
	}
	if len(s) > 20 {
		return ""
	}
	return s
}
