package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
)

func TestCacheSettingsOfAModem(t *testing.T) {
	m := config.Modem{Name: "primary", Front: config.FrontVPCD, CardCache: config.CacheSafe, StatusInterval: time.Minute}
	for _, tt := range []struct {
		name    string
		ionmesh config.IonMesh
		cache   string
		auths   int
	}{
		{"as configured", config.IonMesh{}, "safe", 0},
		{"KI proxy keeps the files and bounds authentications", config.IonMesh{Enabled: true, MappingMode: "KI_PROXY_SWSIM"}, "full", 60},
		{"an orchestrator that is off changes nothing", config.IonMesh{MappingMode: "KI_PROXY_SWSIM"}, "safe", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Options{}.modem(&config.Config{IonMesh: tt.ionmesh}, m)
			require.Equal(t, tt.cache, e.Cache)
			require.Equal(t, tt.auths, e.AuthPerHour)
			require.Equal(t, time.Minute, e.StatusInterval)
		})
	}
}
