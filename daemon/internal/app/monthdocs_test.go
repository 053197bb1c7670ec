package app_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
)

// oneMonth is what one way of running carries in 30 days, in MB by purpose.
type oneMonth struct {
	name                                   string
	bank, server, orchestrator, dns, probe float64
}

func (m oneMonth) total() float64 { return m.bank + m.server + m.orchestrator + m.dns + m.probe }

// monthsOf makes months of the schedules: STATUS every 600 s, `detect normal` on a
// metered link, beats every 300 s, a new TLS connection and its name once a day.
func monthsOf(got measured) []oneMonth {
	per := func(name string, every time.Duration) float64 {
		return got[name] * (30 * 24 * time.Hour).Seconds() / every.Seconds() / 1e6
	}
	const day, beat, ping = 24 * time.Hour, 300 * time.Second, 30 * time.Second
	idle := oneMonth{bank: per("bank STATUS, TLS", 600*time.Second), probe: per("probe, IPv6 echo", config.DetectNormal.Probing(true).Silence)}
	with := func(name string, change func(m *oneMonth)) oneMonth {
		m := idle
		m.name = name
		change(&m)
		return m
	}
	name := per("DNS, one name in both families", day)
	beats := func(name string, orchestrator float64, names float64) oneMonth {
		return with(name, func(m *oneMonth) { m.orchestrator, m.dns = orchestrator, names })
	}
	return []oneMonth{
		with("bank reached directly over TLS, no orchestrator", func(*oneMonth) {}),
		beats("and lean beats every 300 s", per("beat, lean", beat)+per("TLS handshake with a client certificate", day), name),
		beats("and REST beats every 300 s, connection kept", per("beat, REST, connection kept", beat)+per("TLS handshake with a client certificate", day), name),
		beats("and REST beats every 300 s, a new connection each", per("beat, REST, new connection with a client certificate", beat), per("DNS, one name in both families", beat)),
		with("card from a stock server over this link, clear text: the server's own pings", func(m *oneMonth) { m.server = per("server ping", ping) }),
		with("and ours, as the stock client's", func(m *oneMonth) { m.server = 2 * per("server ping", ping) }),
		with("the same in TLS", func(m *oneMonth) { m.server = 2 * per("server ping, TLS", ping) }),
	}
}

// holdDocs holds the tables of docs/BUDGET.md against what was measured.
func holdDocs(t *testing.T, got measured, months []oneMonth) {
	const file = "../../../docs/BUDGET.md"
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(old)
	if os.Getenv("UPDATE") != "" {
		text = fill(fill(text, "exchanges", exchangeTable(got)), "months", monthTable(months))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	numbers := regexp.MustCompile(`\| \**(\d+(?:\.\d+)?)\** \|\n`) // the last column
	for part, now := range map[string]string{"exchanges": exchangeTable(got), "months": monthTable(months)} {
		said, is := numbers.FindAllStringSubmatch(section(t, text, part), -1), numbers.FindAllStringSubmatch(now, -1)
		require.Len(t, said, len(is), "run this test with UPDATE=1")
		require.NotEmpty(t, is)
		for i := range is {
			a, _ := strconv.ParseFloat(said[i][1], 64)
			b, _ := strconv.ParseFloat(is[i][1], 64)
			require.LessOrEqual(t, math.Abs(a-b), 0.1*math.Max(a, b), "%s, row %d: the docs say %v, measured were %v; run this test with UPDATE=1", part, i, a, b)
		}
	}
}

func markers(part string) (begin, end string) {
	return "<!-- measured by TestMonth (UPDATE=1 go test -run TestMonth ./daemon/internal/app): " + part + " -->\n", "<!-- end -->"
}

func section(t *testing.T, text, part string) string {
	begin, end := markers(part)
	_, rest, ok := strings.Cut(text, begin)
	require.True(t, ok, part)
	table, _, ok := strings.Cut(rest, end)
	require.True(t, ok, part)
	return table
}

func fill(text, part, table string) string {
	begin, end := markers(part)
	before, rest, _ := strings.Cut(text, begin)
	_, after, _ := strings.Cut(rest, end)
	return before + begin + table + end + after
}

func exchangeTable(got measured) string {
	var b strings.Builder
	b.WriteString("| exchange | reckoned with | measured, bytes |\n|---|---|---|\n")
	reckoned := make(map[string]float64)
	names := []string{"TLS handshake", "TLS handshake with a client certificate", "DNS, one name in both families"}
	for _, x := range config.Exchanges() {
		reckoned[x.Name] = x.Bytes
		names = append(names, x.Name)
	}
	slices.Sort(names)
	for _, name := range names {
		word := "–"
		if n, ok := reckoned[name]; ok {
			word = strconv.FormatFloat(n, 'f', 0, 64)
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f |\n", name, word, got[name])
	}
	return b.String()
}

func monthTable(months []oneMonth) string {
	var b strings.Builder
	b.WriteString("| an idle month | bank | server | orchestrator | dns | probe | together, MB |\n|---|---|---|---|---|---|---|\n")
	for _, m := range months {
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.3f | %.2f | **%.2f** |\n", m.name, m.bank, m.server, m.orchestrator, m.dns, m.probe, m.total())
	}
	return b.String()
}
