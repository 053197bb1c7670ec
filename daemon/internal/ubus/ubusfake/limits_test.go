package ubusfake_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

func TestLargestMessages(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		nc, err := net.Dial("unix", socket)
		require.NoError(t, err)
		defer nc.Close()
		require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
		rd := ubus.NewReader(nc, ubus.MaxMessage)
		_, err = rd.Next()
		require.NoError(t, err)
		for _, size := range []int{65536, ubus.MaxMessage - 16, ubus.MaxMessage} {
			ping := ubus.Message{Type: ubus.MsgPing, Seq: 1, Body: make([]byte, size-4)}
			go nc.Write(ping.AppendTo(nil))
			m, err := rd.Next()
			require.NoError(t, err, size)
			require.Len(t, m.Body, size-4)
			_, err = rd.Next()
			require.NoError(t, err)
		}
		tooLong := ubus.Message{Type: ubus.MsgPing, Seq: 1, Body: make([]byte, ubus.MaxMessage)}
		nc.Write(tooLong.AppendTo(nil)[:12])
		_, err = rd.Next()
		require.Error(t, err)
	})
}

func TestLargestCalls(t *testing.T) {
	onEach(t, func(t *testing.T, socket string) {
		publish(t, socket, golden("golden"))
		c := dial(t, socket)
		for _, size := range []int{1000, 100_000, 1_048_400, 1_048_500} {
			args := ubus.Table{{Name: "str", Value: strings.Repeat("x", size)}}
			got, err := c.Call(bounded(t), "golden", "echo", args)
			require.NoError(t, err, size)
			require.Equal(t, args, got)
		}
		for _, size := range []int{1_048_544, 1_048_560} {
			_, err := c.Call(bounded(t), "golden", "echo", ubus.Table{{Name: "str", Value: strings.Repeat("x", size)}})
			require.ErrorIs(t, err, ubus.ErrTooLarge, size)
			require.ErrorContains(t, err, "call golden echo")
		}
		// In between ubusd adds the caller's names and the whole is larger
		// than it takes from clients; it passes it on all the same, and a
		// client that minded would be out of step.
		args := ubus.Table{{Name: "str", Value: strings.Repeat("x", 1_048_528)}}
		got, err := c.Call(bounded(t), "golden", "echo", args)
		require.NoError(t, err)
		require.Equal(t, args, got)
	})
}
