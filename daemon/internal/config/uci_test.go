package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
)

func TestUCIIsWrittenAsItIsRead(t *testing.T) {
	text := "\nconfig server\n\toption host 'it'\\''s'\n\nconfig failover 'failover'\n\tlist control_path 'iot'\n\tlist control_path 'wan'\n"
	sections, err := config.ReadUCI("remsim", []byte(text))
	require.NoError(t, err)
	require.Len(t, sections, 2)
	require.True(t, sections[0].Anonymous)
	require.Regexp(t, "^cfg01[0-9a-f]{4}$", sections[0].Name)
	require.Equal(t, config.UCIOption{Name: "host", Values: []string{"it's"}}, sections[0].Options[0])
	require.Equal(t, config.UCIOption{Name: "control_path", List: true, Values: []string{"iot", "wan"}}, sections[1].Options[0])
	require.Equal(t, text, config.WriteUCI(sections))

	_, err = config.ReadUCI("remsim", []byte("config modem 'open\n"))
	require.ErrorIs(t, err, config.ErrSyntax)
}
