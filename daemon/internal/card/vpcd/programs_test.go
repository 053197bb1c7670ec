package vpcd_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/tests/pcscrig"
)

// Programs that nobody here wrote read the ICCID and run AUTHENTICATE.
func TestDebiansPrograms(t *testing.T) {
	rig := pcscrig.Start(t, 1)
	front, err := vpcd.New(rig.Device(0))
	require.NoError(t, err)
	k := serve(t, front)
	c := rig.Client(0)
	_, err = c.WaitCard(within(t))
	require.NoError(t, err)
	iccid, err := k.Card.Binary(0x2FE2)
	require.NoError(t, err)
	rand := [16]byte{0xAA, 15: 0x55}

	t.Run("opensc-tool", func(t *testing.T) {
		autn, res, ck, ik := k.Card.Milenage().Challenge(rand, k.Card.SQN()+32, [2]byte{0x80})
		// With Le: OpenSC knows that a T=0 card wants none, and gets the response.
		got, err := rig.OpenSCTool(within(t), 0,
			"00A4080C022FE2", "00B000000A", "00A4040C07A0000000871002",
			"008800812210"+upper(rand[:])+"10"+upper(autn[:])+"00")
		require.NoError(t, err)
		require.Len(t, got, 4)
		require.Equal(t, upper(iccid)+"9000", upper(got[1]))
		require.Regexp(t, "^DB08"+upper(res[:])+"10"+upper(ck[:])+"10"+upper(ik[:])+"08.{16}9000$", upper(got[3]))
	})
	t.Run("scriptor", func(t *testing.T) {
		autn, res, ck, ik := k.Card.Milenage().Challenge(rand, k.Card.SQN()+32, [2]byte{0x80})
		got, err := rig.Scriptor(within(t), 0,
			"00A4080C022FE2", "00B000000A", "00A4040C07A0000000871002",
			"008800812210"+upper(rand[:])+"10"+upper(autn[:]), "00C0000035")
		require.NoError(t, err)
		require.Len(t, got, 5)
		require.Equal(t, upper(iccid)+"9000", upper(got[1]))
		require.Equal(t, "6135", upper(got[3]), "GET RESPONSE is the program's")
		require.Regexp(t, "^DB08"+upper(res[:])+"10"+upper(ck[:])+"10"+upper(ik[:])+"08.{16}9000$", upper(got[4]))
	})
}
