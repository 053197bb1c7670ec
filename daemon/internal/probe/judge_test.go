package probe

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// TestTranscripts plays testdata/*.txt: `single` and `burst` (`suspected` is one
// that an overdue answer caused) with a dot per answer and an x per loss; what is
// thought then stands behind the arrow.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(want), got)
		})
	}
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	h := &health{}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(strings.Split(strings.TrimRight(line, "\n"), "->")[0])
		if line == "" || line[0] == '#' {
			out.WriteString(line + "\n")
			continue
		}
		kind, marks, _ := strings.Cut(line, " ")
		list := outcomes(marks)
		again := false
		switch kind {
		case "single":
			h.single(list[0])
		case "burst", "suspected":
			again = h.burst(list, 5, kind == "suspected")
		default:
			require.Fail(t, "unknown line", line)
		}
		fmt.Fprintf(&out, "%-16s -> %s\n", line, describe(h, again))
	}
	return out.String()
}

func describe(h *health, again bool) string {
	words := []string{"unusable"}
	switch {
	case !h.known:
		words[0] = "not judged"
	case h.usable:
		words[0] = "usable"
	case h.lossy:
		words = append(words, "(loss)")
	}
	words = append(words, fmt.Sprintf("%.0f %% lost", h.loss()*100))
	if again {
		words = append(words, "and once more")
	}
	return strings.Join(words, " ")
}

func outcomes(marks string) (out []outcome) {
	for _, m := range marks {
		o := outcome{lost: m == 'x'}
		if !o.lost {
			o.rtt = 40 * time.Millisecond
		}
		out = append(out, o)
	}
	return out
}

// TestLossyLinks: what a link with a given loss is judged as, over many random
// courses. A control byte is overdue when the link is judged.
func TestLossyLinks(t *testing.T) {
	const courses = 4000
	for _, tc := range []struct {
		loss        float64
		within      int // bursts
		least, most float64
	}{
		{loss: 1, within: 1, least: 1, most: 1},
		{loss: 0.6, within: 1, least: 0.88, most: 0.94},
		{loss: 0.6, within: 2, least: 0.98, most: 1},
		{loss: 0.1, within: 1, least: 0, most: 0.1},
		{loss: 0.02, within: 3, least: 0, most: 0.02},
	} {
		t.Run(fmt.Sprintf("%.0f %% in %d", tc.loss*100, tc.within), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			unusable := 0
			for range courses {
				h := &health{known: true, usable: true}
				for range tc.within {
					if !h.burst(random(rnd, 5, tc.loss), 5, true) {
						break
					}
				}
				if !h.usable {
					unusable++
				}
			}
			share := float64(unusable) / courses
			require.GreaterOrEqual(t, share, tc.least)
			require.LessOrEqual(t, share, tc.most)
		})
	}
}

// TestLossyLinksStayUnusable: a link with 60 % loss is taken for a good one in
// less than one of a hundred looks.
func TestLossyLinksStayUnusable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	const looks = 20000
	recovered := 0
	h := &health{known: true, lossy: true}
	for range looks {
		if random(rnd, 1, 0.6)[0].lost {
			continue // the single probe that precedes a burst
		}
		for h.burst(random(rnd, 5, 0.6), 5, false) {
		}
		if h.usable {
			recovered++
			h = &health{known: true, lossy: true}
		}
	}
	require.Less(t, float64(recovered)/looks, 0.01)
}

func random(rnd *rand.Rand, n int, loss float64) []outcome {
	out := make([]outcome, n)
	for i := range out {
		out[i].lost = rnd.Float64() < loss
	}
	return out
}
