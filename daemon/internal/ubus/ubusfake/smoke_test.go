package ubusfake_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func TestSmoke(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		publish(t, socket, golden("golden"))
		c := dial(t, socket)
		got, err := c.Call(bounded(t), "golden", "echo", ubus.Table{{Name: "str", Value: "x"}})
		require.NoError(t, err)
		require.Equal(t, `{"str":"x"}`, got.String())
		_, err = c.Call(bounded(t), "golden", "fail", map[string]int{"code": 9})
		require.Equal(t, ubus.StatusUnknownError, ubus.StatusOf(err))
		got, err = c.Call(bounded(t), "golden", "defer", nil)
		require.NoError(t, err)
		require.Equal(t, `{"late":"reply"}`, got.String())
		got, err = c.Call(bounded(t), "golden", "two", nil)
		require.NoError(t, err)
		require.Equal(t, `{"part":0,"part":1}`, got.String())
	})
}
