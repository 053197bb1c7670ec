package relay_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/relay"
)

const docs = "../../../docs/RELAY.md"

// TestDocsListWhatIsSentAgain keeps the table in docs/RELAY.md equal to the list.
func TestDocsListWhatIsSentAgain(t *testing.T) {
	var table strings.Builder
	table.WriteString("| command | again? | why |\n|---|---|---|\n")
	for _, r := range relay.Repeatable {
		again := "no"
		if r.Again {
			again = "yes"
			if r.Only != "" {
				again += ": " + r.Only
			}
		}
		fmt.Fprintf(&table, "| %s (INS %02X) | %s | %s |\n", r.Name, r.INS, again, r.Why)
	}
	table.WriteString("| any other | no | its effect is not known |\n")

	page, err := os.ReadFile(docs)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), " -update -->\n")
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, "<!-- end -->")
	require.True(t, ok)
	want := before + " -update -->\n" + table.String() + "<!-- end -->" + after
	if *update {
		require.NoError(t, os.WriteFile(docs, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(page), "go test -run Docs -update")
}

func TestRepeatableNamesAreTheCards(t *testing.T) {
	for _, r := range relay.Repeatable {
		require.Equal(t, card.Instruction(0, r.INS), r.Name)
	}
}
