package failover

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const docs = "../../../docs/FAILOVER.md"

// TestDocsAreFresh: the tables of docs/FAILOVER.md are those of the code.
func TestDocsAreFresh(t *testing.T) {
	got, err := os.ReadFile(docs)
	require.NoError(t, err)
	want := replaced(t, string(got), "resets", markdownResets())
	want = replaced(t, want, "times", markdownTimes())
	if *update {
		require.NoError(t, os.WriteFile(docs, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(got), "docs/FAILOVER.md is stale: go test ./daemon/internal/failover -run TestDocsAreFresh -update")
}

// replaced puts text between a mark and the next end.
func replaced(t *testing.T, doc, mark, text string) string {
	head, rest, ok := strings.Cut(doc, "<!-- "+mark+" -->\n")
	require.True(t, ok, mark)
	_, tail, ok := strings.Cut(rest, "<!-- end -->")
	require.True(t, ok, mark)
	return head + "<!-- " + mark + " -->\n" + text + "<!-- end -->" + tail
}

func markdownResets() string {
	return "| the modem | another control path works | every control path is gone |\n|---|---|---|\n" +
		fmt.Sprintf("| hangs | after %s | after %s |\n", span(hungAlone), span(hungAll)) +
		fmt.Sprintf("| finds no network | after %s | after %s |\n", span(unregisteredAlone), span(unregisteredAll))
}

func markdownTimes() string {
	var b strings.Builder
	b.WriteString("| who | setting | link | with traffic | idle | MB a month, idle |\n|---|---|---|---|---|---|\n")
	for _, d := range []model.Detect{model.DetectFast, model.DetectNormal, model.DetectFrugal} {
		for _, metered := range []bool{false, true} {
			p := d.Probing(metered)
			link := map[bool]string{false: "not metered", true: "metered"}[metered]
			fmt.Fprintf(&b, "| remsim | `%s` | %s | %.1f s | %.1f s | %.2f at the most |\n", d, link, p.Busy().Seconds(), p.Idle().Seconds(), p.Month())
		}
	}
	for _, m := range mwan3s {
		least, most := m.down()
		fmt.Fprintf(&b, "| mwan3 | %s | any, *computed* | %.0f to %.0f s | the same | %.1f |\n", m.name, least.Seconds(), most.Seconds(), m.month())
	}
	return b.String()
}

// mwan3 are the parameters of one tracked interface of mwan3 2.12.
type mwan3 struct {
	name                       string
	hosts, reliability, rounds int
	timeout, interval          time.Duration
}

var mwan3s = []mwan3{
	{"as shipped: 4 hosts, reliability 2, timeout 4, interval 10, down 5", 4, 2, 5, 4 * time.Second, 10 * time.Second},
	{"tuned, as commonly advised: 1 host, timeout 2, interval 5, down 3", 1, 1, 3, 2 * time.Second, 5 * time.Second},
	{"the smallest: 1 host, timeout 1, interval 1, down 1 (no flap guard)", 1, 1, 1, time.Second, time.Second},
}

// down is how long it takes to call a dead link down: one that dies right before
// a round, and one that dies right after.
func (m mwan3) down() (least, most time.Duration) {
	least = time.Duration(m.rounds*m.hosts)*m.timeout + time.Duration(m.rounds-1)*m.interval
	return least, least + m.interval
}

// month is what a good link carries in decimal megabytes.
func (m mwan3) month() float64 {
	return float64(m.reliability) * 2 * 84 * (30 * 24 * time.Hour).Seconds() / m.interval.Seconds() / 1e6
}

// TestMwan3 holds the formula against the figures of the reference.
func TestMwan3(t *testing.T) {
	for i, want := range [][2]time.Duration{{120 * time.Second, 130 * time.Second}, {16 * time.Second, 21 * time.Second}, {time.Second, 2 * time.Second}} {
		least, most := mwan3s[i].down()
		require.Equal(t, want, [2]time.Duration{least, most}, mwan3s[i].name)
	}
	require.InDelta(t, 435, mwan3s[2].month(), 1)
}

// TestDetectionIsFasterThanMwan3: what the tables are there to show.
func TestDetectionIsFasterThanMwan3(t *testing.T) {
	_, tuned := mwan3s[1].down()
	require.Less(t, model.DetectNormal.Probing(true).Busy(), tuned)
	require.Less(t, model.DetectNormal.Probing(true).Month(), mwan3s[1].month())
}
