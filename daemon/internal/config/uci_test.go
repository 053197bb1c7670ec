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

func TestRedactedTextHoldsNoSecret(t *testing.T) {
	text := "# canary1 in a comment\nconfig modem 'a'\n\toption match 'imei:490154203237518'\n\toption network 'wwan0'\n" +
		"config ionmesh 'ionmesh'\n\toption url 'https://user:canary2@host'\n\toption api_key 'canary3'\n\tlist password 'canary4'\n\toption api_key_file '/etc/remsim/key'\n"
	got := config.Redacted("remsim", []byte(text))
	require.NotContains(t, got, "canary")
	require.NotContains(t, got, "490154203237518")
	require.Contains(t, got, "option match 'imei:…7518'")
	require.Contains(t, got, "option network 'wwan0'")
	require.Contains(t, got, "option api_key_file '/etc/remsim/key'")
	require.Contains(t, config.Redacted("remsim", []byte("config 'canary5\n")), "# not shown: remsim:1:")
	require.NotContains(t, config.Redacted("remsim", []byte("config 'canary5\n")), "canary")
}
