package config

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The LuCI app's tests hold its forms against these files.
const contracts = "../../../tests/contract/"

// shownOption is what a form has to know of an option.
type shownOption struct {
	Section string   `json:"section"`
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	List    bool     `json:"list"`
	Expert  bool     `json:"expert"`
	Default string   `json:"default"`
	Choices []string `json:"choices"`
	Min     int      `json:"min"`
	Max     int      `json:"max"`
}

// shownDetect is what one eagerness costs on one kind of link.
type shownDetect struct {
	Detect  Detect  `json:"detect"`
	Metered bool    `json:"metered"`
	Seconds float64 `json:"seconds"` // worst case on an idle link
	MB      float64 `json:"mb_month"`
}

func TestContractOptions(t *testing.T) {
	options := []shownOption{}
	for _, o := range Options() {
		choices := o.Choices
		if choices == nil {
			choices = []string{}
		}
		options = append(options, shownOption{o.Section, o.Name, o.Kind, o.List, o.Expert, o.Default, choices, o.Min, o.Max})
	}
	detects := []shownDetect{}
	for _, d := range []Detect{DetectFast, DetectNormal, DetectFrugal} {
		for _, metered := range []bool{false, true} {
			p := d.Probing(metered)
			detects = append(detects, shownDetect{d, metered, p.Idle().Seconds(), p.Month()})
		}
	}
	contract(t, "options.json", options)
	contract(t, "detect.json", detects)
}

func contract(t *testing.T, name string, v any) {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "\t")
	require.NoError(t, err)
	b = append(b, '\n')
	if *update {
		require.NoError(t, os.WriteFile(contracts+name, b, 0o644))
	}
	want, err := os.ReadFile(contracts + name)
	require.NoError(t, err)
	require.Equal(t, string(want), string(b), "tests/contract/%s: run go test ./daemon/internal/config -run Contract -update", name)
}
