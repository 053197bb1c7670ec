package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What `go test -json` prints, shortened.
const (
	passing = `{"Action":"start","Package":"github.com/terminills/remsim-openwrt/daemon/a"}
{"Action":"run","Package":"github.com/terminills/remsim-openwrt/daemon/a","Test":"TestGood"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/daemon/a","Test":"TestGood","Output":"chatter of a good test\n"}
{"Action":"pass","Package":"github.com/terminills/remsim-openwrt/daemon/a","Test":"TestGood","Elapsed":0.01}
{"Action":"pass","Package":"github.com/terminills/remsim-openwrt/daemon/a","Elapsed":1.25}
`
	skipping = `{"Action":"run","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestSkipped"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestSkipped","Output":"=== RUN   TestSkipped\n"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestSkipped","Output":"    b_test.go:5: looked around first\n"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestSkipped","Output":"    b_test.go:7: needs ubusd of OpenWrt on the PATH\n"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestSkipped","Output":"--- SKIP: TestSkipped (0.00s)\n"}
{"Action":"skip","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestSkipped","Elapsed":0}
{"Action":"skip","Package":"github.com/terminills/remsim-openwrt/tests/b","Test":"TestMute","Elapsed":0}
{"Action":"pass","Package":"github.com/terminills/remsim-openwrt/tests/b","Elapsed":0.1}
{"Action":"skip","Package":"github.com/terminills/remsim-openwrt/daemon/notests","Elapsed":0}
`
	failing = `{"Action":"output","Package":"github.com/terminills/remsim-openwrt/daemon/c","Test":"TestBad","Output":"    c_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"github.com/terminills/remsim-openwrt/daemon/c","Test":"TestBad","Elapsed":0.1}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/daemon/c","Output":"FAIL\n"}
{"Action":"fail","Package":"github.com/terminills/remsim-openwrt/daemon/c","Elapsed":0.2}
`
	broken = `{"ImportPath":"github.com/terminills/remsim-openwrt/daemon/d","Action":"build-output","Output":"daemon/d/d.go:3:1: syntax error\n"}
{"ImportPath":"github.com/terminills/remsim-openwrt/daemon/d","Action":"build-fail"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/daemon/d","Output":"FAIL\tdaemon/d [build failed]\n"}
{"Action":"fail","Package":"github.com/terminills/remsim-openwrt/daemon/d","Elapsed":0}
`
	crashed = `{"Action":"run","Package":"github.com/terminills/remsim-openwrt/daemon/e","Test":"TestCrash"}
{"Action":"output","Package":"github.com/terminills/remsim-openwrt/daemon/e","Test":"TestCrash","Output":"panic: test timed out after 15m0s\n"}
{"Action":"fail","Package":"github.com/terminills/remsim-openwrt/daemon/e","Test":"TestCrash","Elapsed":900}
{"Action":"fail","Package":"github.com/terminills/remsim-openwrt/daemon/e","Elapsed":900}
`
)

func TestReport(t *testing.T) {
	tests := []struct {
		name, in string
		good     bool
		want     []string
		not      []string
	}{
		{"all pass", passing, true, []string{"ok    daemon/a ", " 1.2 s\n", "\n1 passed, 0 failed, 0 skipped\n"}, []string{"chatter", "skipped:\n", "FAIL"}},
		{"skips are listed with their reasons, in order", passing + skipping, true, []string{
			"\nskipped:\n  tests/b TestMute: no reason given\n  tests/b TestSkipped: needs ubusd of OpenWrt on the PATH\n",
			"\n1 passed, 0 failed, 2 skipped\n",
		}, []string{"FAIL"}},
		{"a failure shows what the test said", passing + failing, false, []string{
			"c_test.go:9: got 1, want 2\n", "FAIL  daemon/c ", "\nfailed packages: daemon/c\n", "\n1 passed, 1 failed, 0 skipped\n",
		}, nil},
		{"a package that does not build fails", passing + broken, false, []string{
			"daemon/d/d.go:3:1: syntax error\n", "[build failed]", "FAIL  daemon/d ", "\nfailed packages: daemon/d\n", "\n1 passed, 1 failed, 0 skipped\n",
		}, nil},
		{"a failed test does not hide a package that does not build", passing + failing + broken, false, []string{
			"\nfailed packages: daemon/c daemon/d\n", "\n1 passed, 2 failed, 0 skipped\n",
		}, nil},
		{"a crash fails", crashed + passing, false, []string{"panic: test timed out", "\n1 passed, 1 failed, 0 skipped\n"}, nil},
		{"no test at all is a failure", "", false, []string{"\n0 passed, 0 failed, 0 skipped\n"}, nil},
		{"only skips are a failure", skipping, false, []string{"\n0 passed, 0 failed, 2 skipped\n"}, nil},
		{"what is no JSON is shown", "go: cannot find the module\n" + passing, true, []string{"go: cannot find the module\n"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := newReport(&out)
			require.NoError(t, r.read(strings.NewReader(tt.in)))
			require.Equal(t, tt.good, r.close(), out.String())
			for _, words := range tt.want {
				require.Contains(t, out.String(), words)
			}
			for _, words := range tt.not {
				require.NotContains(t, out.String(), words)
			}
			if !strings.HasSuffix(out.String(), " skipped\n") {
				t.Errorf("the counts stand last:\n%s", out.String())
			}
		})
	}
}
