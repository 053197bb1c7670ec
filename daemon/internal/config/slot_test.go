package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A control port may be named with the modem's slot, and is written as it was read.
func TestFrontDeviceWithASlot(t *testing.T) {
	for text, want := range map[string]Device{
		"qmi:/dev/cdc-wdm0":   {"qmi", "/dev/cdc-wdm0", -1},
		"qmi:/dev/cdc-wdm0:2": {"qmi", "/dev/cdc-wdm0", 2},
	} {
		d, err := parseDevice(Option{}, text)
		require.NoError(t, err)
		require.Equal(t, want, d)
		require.Equal(t, text, d.String())
	}
}
