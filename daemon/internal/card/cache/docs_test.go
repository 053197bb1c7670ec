package cache_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cache"
)

var update = flag.Bool("update", false, "rewrite docs/CACHE.md")

const docs = "../../../../docs/CACHE.md"

// directory names where a file is.
func directory(f cache.File) string {
	switch {
	case f.App != "" && f.DF == 0x7FFF:
		return "ADF " + string(f.App)
	case f.App != "":
		return fmt.Sprintf("ADF %s, DF %04X", f.App, f.DF)
	case f.DF == 0x3F00:
		return "MF"
	}
	return strings.TrimPrefix(card.Describe([]byte{0, 0xA4, 0, 0, 2, byte(f.DF >> 8), byte(f.DF)}, card.Place{}), "SELECT ")
}

// TestDocsListTheFiles keeps the table in docs/CACHE.md equal to the list.
func TestDocsListTheFiles(t *testing.T) {
	var table strings.Builder
	table.WriteString("| file | where | kept from | specified in |\n|---|---|---|---|\n")
	for _, f := range cache.Files {
		fmt.Fprintf(&table, "| %s (%04X) | %s | %s | %s |\n", f.Name, f.FID, directory(f), f.Mode, f.Section)
	}
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
