package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// traced is a start-up as a session's trace tells it, secrets hidden, and one command
// without an answer.
func traced(t *testing.T, u cardfake.StartUp) []model.APDU {
	c := cardfake.New(cardfake.Default())
	c.Reset(true)
	for _, w := range cardfake.Wants() {
		require.NoError(t, c.QueueProactive(w))
	}
	var out []model.APDU
	var n byte
	log, err := u.Run(func(b []byte) ([]byte, error) { return c.Transmit(b), nil }, func() (rand, autn [16]byte) {
		n++
		copy(rand[:], "canary of RAND..")
		rand[15] = n
		autn, _, _, _ = c.Milenage().Challenge(rand, c.SQN()+32, [2]byte{0x80})
		return rand, autn
	})
	require.NoError(t, err)
	for i, e := range log {
		a := model.APDU{ID: int64(1000 + i), Time: 1_700_000_000 + int64(i/20), Modem: "primary"}
		a.Command, a.Response = card.Redact(e.Command, e.Response, card.Place{})
		k := len(e.Response)
		a.Status = card.StatusText(uint16(e.Response[k-2])<<8 | uint16(e.Response[k-1]))
		out = append(out, a)
	}
	return append(out, model.APDU{ID: 2000, Time: 1_700_000_100, Command: "80F2000C00", Status: "(no answer: the bank is gone)"})
}

func TestPCAPHoldsEveryAnsweredAPDU(t *testing.T) {
	entries := traced(t, cardfake.StartUps()[0])
	var b bytes.Buffer
	skipped, err := writePCAP(&b, entries)
	require.NoError(t, err)
	require.Equal(t, 1, skipped)
	require.NotContains(t, b.String(), "canary", "RAND is hidden")

	raw := b.Bytes()[24:]
	packets := 0
	for len(raw) > 0 {
		n := int(raw[8]) | int(raw[9])<<8
		p := raw[16 : 16+n]
		require.Zero(t, ipChecksum(p), "the IP checksum is right")
		require.Equal(t, []byte{2, 4, 4}, p[28:31])
		raw = raw[16+n:]
		packets++
	}
	require.Equal(t, len(entries)-1, packets)
}

func TestUnveil(t *testing.T) {
	for in, want := range map[string][]byte{
		"": nil, "00A4": {0, 0xA4}, "{2 bytes hidden}": {0, 0}, "01{3 bytes hidden}02": {1, 0, 0, 0, 2},
	} {
		got, err := unveil(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, bad := range []string{"0", "xy", "{", "{bytes hidden}", "{-1 bytes hidden}", "{600 bytes hidden}", "00{2 bytes"} {
		_, err := unveil(bad)
		require.Error(t, err, bad)
	}
}

func FuzzUnveil(f *testing.F) {
	f.Add("00A4{16 bytes hidden}9000")
	f.Add("{511 bytes hidden}{1 bytes hidden}")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := unveil(s)
		if err == nil && len(b) > 512*(1+len(s)) {
			t.Fatalf("%d bytes from %d", len(b), len(s))
		}
	})
}

// TestTsharkDecodesTheTrace has Debian's tshark read the file.
func TestTsharkDecodesTheTrace(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs tshark: Debian package tshark")
		}
		t.Skip("needs tshark: Debian package tshark")
	}
	for _, u := range cardfake.StartUps() {
		t.Run(u.Name, func(t *testing.T) { tsharkDecodes(t, traced(t, u)) })
	}
}

func tsharkDecodes(t *testing.T, entries []model.APDU) {
	file := filepath.Join(t.TempDir(), "trace.pcap")
	f, err := os.Create(file)
	require.NoError(t, err)
	_, err = writePCAP(f, entries)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	cmd := exec.Command("tshark", "-r", file, "-T", "fields", "-E", "separator=,", "-e", "_ws.col.Protocol", "-e", "gsm_sim.apdu.ins", "-e", "gsm_sim.apdu.sw", "-e", "_ws.malformed")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, len(entries)-1)
	for i, line := range lines {
		a := entries[i]
		if strings.HasPrefix(a.Command, "A088") { // it wants SRES and Kc in the same APDU, which GET RESPONSE brings
			require.Equal(t, "GSM SIM,0x88,,[Malformed Packet: GSM SIM],_ws.malformed", line)
			continue
		}
		require.Equal(t, "GSM SIM,0x"+strings.ToLower(a.Command[2:4])+",0x"+strings.ToLower(a.Status[:4])+",", line, "%s %s", a.Command, a.Status)
	}
}
