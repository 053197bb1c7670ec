package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
)

// Every front that a configuration may name is one that the real drivers make.
func TestEveryFrontIsMade(t *testing.T) {
	for front, device := range map[config.Front]string{
		config.FrontCardem: "usb:2-1", config.FrontUIMRemote: "qmi:/dev/cdc-wdm0", config.FrontVPCD: "127.0.0.1:35963",
	} {
		kind, why := configuredFront(config.Modem{Front: front})
		require.Empty(t, why)
		f, err := RealDrivers(nil).Front(kind, device)
		require.NoError(t, err)
		require.Equal(t, kind, f.Info().Kind)
		_, err = RealDrivers(nil).Front(kind, "") // an unset front_device is the first that is found
		require.NoError(t, err)
	}
	_, why := configuredFront(config.Modem{Front: config.FrontNone})
	require.NotEmpty(t, why)
	_, err := RealDrivers(nil).Front("smoke", "")
	require.ErrorContains(t, err, "not in this version")
}
