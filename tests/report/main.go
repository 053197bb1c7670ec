// Command report reads the output of `go test -json` on standard input, prints
// what failed as it happens and one line per package, and ends with the list of
// skipped tests with their reasons and the line "N passed, N failed, N skipped".
// Its exit status is 1 if anything failed or no test ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

type report struct {
	out                     io.Writer
	passed, failed, skipped int
	output                  map[string][]string // by package and test
	skips                   []string
	failures                map[string]int // tests that failed, by package
	bad                     []string       // packages that failed
}

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	if !r.close() {
		os.Exit(1)
	}
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: make(map[string][]string), failures: make(map[string]int)}
}

func (r *report) read(in io.Reader) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), 16<<20)
	for sc.Scan() {
		var ev event
		if json.Unmarshal(sc.Bytes(), &ev) != nil {
			fmt.Fprintln(r.out, sc.Text()) // not from the test runner: show it
			continue
		}
		r.take(ev)
	}
	return sc.Err()
}

func (r *report) take(ev event) {
	key := ev.Package + " " + ev.Test
	switch ev.Action {
	case "output":
		r.output[key] = append(r.output[key], ev.Output)
		return
	case "build-output":
		fmt.Fprint(r.out, ev.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if ev.Test == "" {
		r.closePackage(ev)
		return
	}
	switch ev.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failures[ev.Package]++
		fmt.Fprintf(r.out, "%s", strings.Join(r.output[key], ""))
	case "skip":
		r.skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", short(ev.Package), ev.Test, r.reason(key)))
	}
	delete(r.output, key)
}

func (r *report) closePackage(ev event) {
	key := ev.Package + " "
	switch ev.Action {
	case "pass":
		fmt.Fprintf(r.out, "ok    %-55s %6.1f s\n", short(ev.Package), ev.Elapsed)
	case "fail":
		fmt.Fprintf(r.out, "%sFAIL  %-55s %6.1f s\n", strings.Join(r.output[key], ""), short(ev.Package), ev.Elapsed)
		r.bad = append(r.bad, short(ev.Package))
		if r.failures[ev.Package] == 0 {
			r.failed++ // it was not built, or crashed outside a test
		}
	}
	delete(r.output, key)
}

// reason finds the words that a test gave for its skip: its last ones.
func (r *report) reason(key string) string {
	for _, line := range slices.Backward(r.output[key]) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") || line == "" {
			continue
		}
		if _, words, ok := strings.Cut(line, ": "); ok {
			return words
		}
		return line
	}
	return "no reason given"
}

// close prints the end of the report and tells whether all is well.
func (r *report) close() bool {
	if len(r.skips) > 0 {
		slices.Sort(r.skips)
		fmt.Fprintln(r.out, "\nskipped:")
		for _, s := range r.skips {
			fmt.Fprintln(r.out, "  "+s)
		}
	}
	if len(r.bad) > 0 {
		fmt.Fprintln(r.out, "\nfailed packages:", strings.Join(r.bad, " "))
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && r.passed > 0
}

func short(pkg string) string {
	return strings.TrimPrefix(pkg, "github.com/terminills/remsim-openwrt/")
}
