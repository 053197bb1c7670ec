package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// rounds is how often each exchange is measured.
const rounds = 20

// measured maps an exchange to its bytes at the IP layer, both directions.
type measured map[string]float64

// TestMonth measures each kind of exchange of an idle router twenty times from the
// kernel's counters, holds what `remsim config check` reckons with against it,
// makes months of it, and holds those against a run of the real daemon that idles:
// for 24 s, or for REMSIM_MONTH_RUN (make bench-month: ten minutes). With UPDATE=1 it
// writes the tables of docs/BUDGET.md.
func TestMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	netrig.Need(t, "nft")
	if !netrig.Alone(t) {
		return
	}
	r, got := newMonthRig(t), measured{}
	r.assign()
	r.write(r.monthConfig(0, portBankTLS, 0))
	r.startWith(func(d *app.Drivers) {
		d.Dial, d.Meter = r.paths.Dial, meter.NewSystem()
	})
	m := &modem{reader: r.reader, profile: cardfake.Default()}
	r.card(m, got, "TLS")
	r.beats(got)
	r.probes(got)
	r.reload(r.monthConfig(0, portBankPlain, 0))
	r.card(m, got, "")
	r.reload(r.monthConfig(0, 0, portServerTLS))
	r.pings(got, "TLS")
	r.reload(r.monthConfig(0, 0, portServerPlain))
	r.pings(got, "")
	for _, x := range config.Exchanges() {
		t.Logf("%-55s reckoned %6.0f, measured %6.0f", x.Name, x.Bytes, got[x.Name])
	}
	for _, x := range config.Exchanges() {
		require.InEpsilon(t, x.Bytes, got[x.Name], 0.1, x.Name)
	}
	months := monthsOf(got)
	require.LessOrEqual(t, months[0].total(), 3.0, "a bank reached directly and no orchestrator")
	require.LessOrEqual(t, months[1].total(), 5.5, "and a lean beat every 300 s")
	r.idle(m, got)
	holdDocs(t, got, months)
}

// monthConfig has a bank or a server at the carrier's host, over the link iot. A
// port of 0 is left out.
func (r *monthRig) monthConfig(interval, bank, server int) string {
	var b strings.Builder
	text := strings.Replace(r.config(""), "list control_path 'primary'", "list control_path 'iot'", 1)
	b.WriteString(text[:strings.Index(text, "config server")] + text[strings.Index(text, "config failover"):])
	peer := func(kind string, port int, secure bool) {
		fmt.Fprintf(&b, "\nconfig %s\n\toption host 'bank.example.com'\n\toption port '%d'\n", kind, port)
		if secure {
			fmt.Fprintf(&b, "\toption ca_cert '%s'\n", r.ca)
		} else {
			b.WriteString("\toption tls '0'\n\toption allow_insecure '1'\n")
		}
	}
	if bank != 0 {
		peer("bank", bank, bank == portBankTLS)
		fmt.Fprintf(&b, "\toption bank_id '%d'\n\toption slot '%d'\n\tlist modem 'primary'\n", slot.ID, slot.Slot)
	}
	if server != 0 {
		peer("server", server, server == portServerTLS)
	}
	b.WriteString("\nconfig link 'iot'\n\toption network 'wwan1'\n\toption metered '1'\n\toption user_traffic 'never'\n\nconfig budget\n\toption link 'iot'\n")
	return strings.Replace(b.String(), "	option client_slot '1'\n", fmt.Sprintf("	option client_slot '1'\n	option status_interval '%d'\n", interval), 1)
}

// reload makes the daemon follow another configuration.
func (r *monthRig) reload(text string) {
	r.Helper()
	r.write(text)
	var reply struct {
		OK     bool            `json:"ok"`
		Errors []model.Problem `json:"errors"`
	}
	require.NoError(r, r.call("reload", nil, &reply))
	require.True(r, reply.OK, "%v", reply.Errors)
}

// measure is the median growth of a purpose over one exchange.
func (r *monthRig) measure(purpose string, exchange func()) float64 {
	r.Helper()
	var grown []float64
	before := r.counted()
	for range rounds {
		exchange()
		after := r.counted()
		grown = append(grown, float64(after[purpose]-before[purpose]))
		before = after
	}
	slices.Sort(grown)
	return (grown[rounds/2-1] + grown[rounds/2]) / 2
}

func named(name, secure string) string {
	if secure == "" {
		return name
	}
	return name + ", " + secure
}

// status is what a modem asks to see whether its card is still there.
func (m *modem) status(ctx context.Context) error {
	r, err := m.send(ctx, []byte{0x80, 0xF2, 0x00, 0x00, m.le})
	if err == nil && len(r) == 2 && r[0] == 0x6C { // the right length, ISO 7816-3 §10.3.2
		m.le = r[1]
		return m.status(ctx)
	}
	if err == nil && (len(r) < 2 || r[len(r)-2] != 0x90) {
		err = fmt.Errorf("%w: STATUS was answered % X", errWrong, r)
	}
	return err
}

// card measures STATUS and AUTHENTICATE at the bank.
func (r *monthRig) card(m *modem, got measured, secure string) {
	r.Helper()
	r.begin(m)
	ctx := withBound(r)
	require.NoError(r, m.status(ctx))
	got[named("bank STATUS", secure)] = r.measure("bank", func() { require.NoError(r, m.status(ctx)) })
	got[named("bank AUTHENTICATE", secure)] = r.measure("bank", func() { require.NoError(r, m.authenticate(ctx)) })
}

// begin powers the card once it is there.
func (r *monthRig) begin(m *modem) {
	r.Helper()
	r.untilState(model.StateOperational)
	r.until("the link is counted", func(s *model.Snapshot) bool { return r.budgetOf(s).State == "ok" })
	ctx := withBound(r)
	r.power(ctx)
	require.NoError(r, m.expect(ctx, append([]byte{0x00, 0xA4, 0x04, 0x0C, byte(len(m.profile.AID))}, m.profile.AID...), 0x90, 0x00))
}

// pings measures keep-alives with the server.
func (r *monthRig) pings(got measured, secure string) {
	r.Helper()
	r.until("the server is connected", func(s *model.Snapshot) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].Server.State == model.ConnConnected && s.Sessions[0].Server.TLS == (secure != "")
	})
	got[named("server ping", secure)] = r.measure("server", func() {
		var reply struct {
			Steps []model.Step `json:"steps"`
		}
		require.NoError(r, r.call("test", map[string]any{"target": "server", "name": "primary"}, &reply))
		require.True(r, reply.Steps[0].OK, reply.Steps[0].Text)
	})
}

// beats measures each way that a beat can go, TLS handshakes, and a name.
func (r *monthRig) beats(got measured) {
	rest := func(name string, port int, scheme string, mutual, kept bool) {
		t := &http.Transport{DisableKeepAlives: !kept, DialContext: r.paths.Dialer(func() model.Path { return r.via }, model.PurposeOrchestrator)}
		if scheme == "https" {
			t.TLSClientConfig = r.ours(mutual)
		}
		defer t.CloseIdleConnections()
		beat := func() {
			resp, err := (&http.Client{Transport: t}).Post(fmt.Sprintf("%s://10.1.0.2:%d/api/backend/v1/remsim/heartbeat", scheme, port), "application/json", strings.NewReader(beatBody))
			require.NoError(r, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(r, err)
			require.NoError(r, resp.Body.Close())
		}
		beat()
		got[name] = r.measure("orchestrator", beat)
	}
	rest("beat, REST, connection kept", portMTLS, "https", true, true)
	rest("beat, REST, new connection", portHTTPS, "https", false, false)
	rest("beat, REST, new connection with a client certificate", portMTLS, "https", true, false)
	rest("beat, clear text, connection kept", portHTTP, "http", false, true)
	rest("beat, clear text, new connection", portHTTP, "http", false, false)
	c := r.dial(portLean, r.ours(true))
	got["beat, lean"] = r.measure("orchestrator", func() { leanBeat(r, c) })
	require.NoError(r, c.Close())
	for name, mutual := range map[string]bool{"TLS handshake": false, "TLS handshake with a client certificate": true} {
		port := portHTTPS
		if mutual {
			port = portMTLS
		}
		got[name] = r.measure("orchestrator", func() { require.NoError(r, r.dial(port, r.ours(mutual)).Close()) })
	}
	got["DNS, one name in both families"] = r.measure("dns", func() {
		_, err := r.paths.Lookup(withBound(r), r.via, "bank.example.com")
		require.NoError(r, err)
	})
}

// leanBeat is a frame of 24 bytes and its answer of 8.
func leanBeat(t testing.TB, c net.Conn) {
	t.Helper()
	_, err := c.Write(make([]byte, 24))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 8))
	require.NoError(t, err)
}

// probes measures echoes of both families.
func (r *monthRig) probes(got measured) {
	for name, network := range map[string]string{"probe, IPv4 echo": "ip4:icmp", "probe, IPv6 echo": "ip6:ipv6-icmp"} {
		c := r.echoes(network)
		got[name] = r.measure("probe", func() { echo(r, c, network) })
		require.NoError(r, c.Close())
	}
}

func (r *monthRig) echoes(network string) net.Conn {
	host := map[string]string{"ip4:icmp": "10.1.0.2", "ip6:ipv6-icmp": "fd00:1::2"}[network]
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(int32(model.Mark(r.via.Number, model.PurposeProbe))))
		})
	}}
	c, err := d.Dial(network, host)
	require.NoError(r, err)
	return c
}

// echo is a request with 8 bytes of data and its reply (RFC 792, RFC 4443 §4.1).
func echo(t testing.TB, c net.Conn, network string) {
	t.Helper()
	request, reply := byte(8), byte(0)
	if strings.HasPrefix(network, "ip6") {
		request, reply = 128, 129
	}
	b := make([]byte, 16)
	b[0] = request
	b[2], b[3] = ^request, 0xff // the checksum of a packet that is 0 otherwise; IPv6 has the kernel's
	_, err := c.Write(b)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(bound)))
	for in := make([]byte, 1500); ; {
		n, err := c.Read(in)
		require.NoError(t, err)
		if got := in[:n]; n >= 16 && (got[0] == reply || got[0]>>4 == 4 && n >= 36 && got[20] == reply) {
			return
		}
	}
}

// idle runs the daemon with a registered, idle modem that polls its card, with lean
// beats and probes on their schedules, and holds what was counted against what the
// single exchanges make of these schedules.
func (r *monthRig) idle(m *modem, got measured) {
	d := 24 * time.Second
	if text := os.Getenv("REMSIM_MONTH_RUN"); text != "" {
		var err error
		d, err = time.ParseDuration(text)
		require.NoError(r, err)
	}
	every := d / 12 // STATUS at the bank; beats and probes twice as often
	r.reload(r.monthConfig(int(every.Seconds()), portBankTLS, 0))
	r.begin(m)
	lean, probe := r.dial(portLean, r.ours(true)), r.echoes("ip4:icmp")
	defer lean.Close()
	defer probe.Close()
	require.NoError(r, m.status(withBound(r)))
	before, begun := r.counted(), time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), begun.Add(d))
	defer cancel()
	var wg sync.WaitGroup
	on := func(every time.Duration, exchange func()) {
		tick := time.NewTicker(every)
		wg.Go(func() {
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					exchange()
				}
			}
		})
	}
	on(every/40, func() { require.NoError(r, m.status(context.Background())) }) // the modem's own poll, answered here mostly
	on(every/2, func() { leanBeat(r, lean) })
	on(every/2, func() { echo(r, probe, "ip4:icmp") })
	wg.Wait()
	after := r.counted()
	took := time.Since(begun).Seconds() / every.Seconds()
	want := map[string]float64{
		"bank": got["bank STATUS, TLS"] * d.Seconds() / every.Seconds(), "orchestrator": got["beat, lean"] * 2 * d.Seconds() / every.Seconds(),
		"probe": got["probe, IPv4 echo"] * 2 * d.Seconds() / every.Seconds(),
	}
	sum, wanted := 0.0, 0.0
	for purpose, n := range want {
		grown := float64(after[purpose] - before[purpose])
		r.Logf("idle for %s: %-12s %6.0f bytes counted, %6.0f reckoned", d, purpose, grown, n)
		sum, wanted = sum+grown, wanted+n
	}
	require.InEpsilon(r, wanted, sum, 0.1, "%.2f rounds", took)
	for purpose, n := range after {
		_, expected := want[purpose]
		require.True(r, expected || n == before[purpose] || purpose == "other", "%d bytes of %s by themselves", n-before[purpose], purpose)
	}
}
