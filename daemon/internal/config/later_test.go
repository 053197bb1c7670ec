package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is set and has no effect yet is said; what stands at its default, or in a
// section that is switched off, is not.
func TestWhatHasNoEffectYetIsSaid(t *testing.T) {
	const modem = "config modem 'a'\n\toption source 'local'\n\toption front 'none'\n"
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"defaults", modem + "\toption metered '0'\n\toption user_traffic 'always'\nconfig failover 'failover'\n\toption grace '5'\n\toption hold '30'\n\tlist control_path 'a'\n", nil},
		{"defaults of role iot", modem + "\toption role 'iot'\n\toption metered 'yes'\n\toption user_traffic 'never'\n", nil},
		{"links and failover act", modem + "\toption metered '1'\nconfig failover 'failover'\n\toption hold '5'\n\toption detect 'fast'\n", nil},
		{"switched off", "config ionmesh 'ionmesh'\n\toption enabled '0'\n\toption url 'https://h'\nconfig metrics 'metrics'\n\toption enabled 'off'\n\toption listen '127.0.0.1:1'\n", nil},
		{"a whole section", "config metrics 'metrics'\n\toption enabled '1'\n\toption listen '127.0.0.1:1'\n", []string{
			`remsim.metrics (line 1): warning: this section is accepted and has no effect yet: no metrics are served`,
		}},
		{"hook", "config hook\n\toption script '/a'\n", []string{`remsim.@hook[0].script="/a" (line 2): warning: is accepted and has no effect yet: no script is run`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems, err := Parse("remsim", []byte(tc.text))
			require.NoError(t, err)
			require.True(t, OK(problems), "they are only warnings: %v", problems)
			var got []string
			for _, p := range problems {
				if strings.Contains(p.Message, "no effect yet") {
					got = append(got, p.String())
				}
			}
			require.Equal(t, tc.want, got)
		})
	}
}
