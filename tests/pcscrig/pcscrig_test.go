package pcscrig

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What opensc-tool 0.23 and scriptor 1.6.2 print.
const (
	openscOutput = `Sending: 00 A4 00 04 02 3F 00 00 
Received (SW1=0x90, SW2=0x00):
62 20 82 02 78 21 83 02 3F 00 A5 03 80 01 71 8A b ..x!..?.....q.
01 05 41 42 20 43 44 ..AB CD
Sending: 00 A4 00 0C 02 2F E2 
Received (SW1=0x6A, SW2=0x82)
`
	scriptorOutput = `Trying T=0 protocol
Using given card reader: remsimA 00 00
Reading commands from STDIN
Using T=0 protocol
> 00 A4 00 04 02 3F 00 
< 61 22 : 0x22 bytes of response still available.
> 00 C0 00 00 22 
< 62 20 82 02 78 21 83 02 3F 00 A5 03 80 01 71 8A 
01 05 8B 03 2F 06 02 C6 09 90 01 40 83 01 01 83 
01 81 90 00 : Normal processing.
`
)

func TestParseOpenSC(t *testing.T) {
	got, err := parseOpenSC(openscOutput)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "62208202782183023f00a5038001718a0105414220434490"+"00", hex.EncodeToString(got[0]))
	require.Equal(t, "6a82", hex.EncodeToString(got[1]))
	_, err = parseOpenSC("Received (SW1=0x90, SW2=0x00):\nsomething else\n")
	require.ErrorContains(t, err, "something else")
}

func TestParseScriptor(t *testing.T) {
	got, err := parseScriptor(scriptorOutput)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "6122", hex.EncodeToString(got[0]))
	require.Equal(t, "62208202782183023f00a5038001718a01058b032f0602c6099001408301018301819000", hex.EncodeToString(got[1]))
	_, err = parseScriptor("< xx : what")
	require.ErrorContains(t, err, "< xx : what")
}

// Two readers, each with a port of its own, come back at the same ports after a
// restart. Nothing of the system's pcscd is needed, or seen.
func TestRig(t *testing.T) {
	r := Start(t, 2)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for i := range 2 {
		c := r.Client(i)
		names, err := c.Readers(ctx)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"remsimA 00 00", "remsimA 00 01", "remsimB 00 00", "remsimB 00 01"}, names)
		require.NoError(t, c.WaitNoCard(ctx))
		_, err = c.PowerOn(ctx)
		require.ErrorContains(t, err, "No smart card inserted")
		_, err = c.Transmit(ctx, []byte{0, 0, 0, 0})
		require.ErrorContains(t, err, "not connected")
	}
	device := r.Device(1)
	r.Stop()
	r.Stop()
	_, err := net.Dial("tcp", device)
	require.Error(t, err, "pcscd is gone")
	r.Run()
	require.NoError(t, r.Client(1).WaitNoCard(ctx))
	require.Equal(t, device, r.Device(1))
	conn, err := net.Dial("tcp", device)
	require.NoError(t, err)
	defer conn.Close()
	question := make([]byte, 3)
	_, err = io.ReadFull(conn, question)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 4}, question, "pcscd asks the card for its ATR")
}
