package cardfake

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStartUpsAreWhatTheyClaim counts what has to be in a start-up, and that the card
// takes it.
func TestStartUpsAreWhatTheyClaim(t *testing.T) {
	for _, u := range StartUps() {
		t.Run(u.Name, func(t *testing.T) {
			c := New(Default())
			log, err := u.Direct(c, Home(c))
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(log), 150)
			count := map[byte]int{}
			for _, e := range log {
				ins, sw1 := e.Command[1], e.Response[len(e.Response)-2]
				count[ins]++
				switch ins {
				case 0xD6, 0xDC, 0x14, 0x10:
					require.Contains(t, []byte{0x90, 0x91}, sw1, "%v", e)
				case 0x88:
					require.Contains(t, []byte{0x61, 0x9F}, sw1, "%v", e)
				case 0x20: // PIN is switched off
				default:
					require.NotContains(t, []byte{0x67, 0x6D, 0x6E, 0x6B, 0x69, 0x98}, sw1, "%v", e)
				}
			}
			require.Equal(t, 2, count[0x12], "FETCH")
			require.Equal(t, 2, count[0x14], "TERMINAL RESPONSE")
			require.Equal(t, 1, count[0x10], "TERMINAL PROFILE")
			require.Equal(t, 2, count[0x88], "AUTHENTICATE")
			require.GreaterOrEqual(t, count[0xD6]+count[0xDC], 8, "UPDATE")
			t.Logf("%d commands: %d SELECT, %d GET RESPONSE, %d READ", len(log), count[0xA4], count[0xC0], count[0xB0]+count[0xB2])
		})
	}
}
