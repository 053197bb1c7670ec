package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorldsOfTheRepositoryCanBeRead(t *testing.T) {
	files, err := filepath.Glob("../../../tests/worlds/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		w, err := parseWorld(f)
		require.NoError(t, f.Close())
		require.NoError(t, err, name)
		require.NotEmpty(t, w.steps, name)
	}
}

func TestBadWorldsNameTheLine(t *testing.T) {
	tests := []struct{ text, want string }{
		{"bonk 1", `line 1: "bonk" is not one of router, server, ionmesh, bank, card, modem, hardware, failover, listen, interface, play`},
		{"\nbank 1 slots 1024", `line 2: "1024" is not a number of 0..1023`},
		{"bank 1", `line 1: a word is missing at the end`},
		{"bank 1 slot 4", `line 1: "slot" stands where "slots" is expected`},
		{"server now", `line 1: "now" is one word too many`},
		{"hardware primary usb 2-1 model", `line 1: a word is missing at the end`},
		{"hardware m usb 2-1 model M imei 1 network n port p iccid 1 imsi 2 led", `line 1: "led" is not one of sim-line, reset-line`},
		{"play\nwait 3", `line 2: "wait" is not one of say, do, see, modem, run`},
		{"play\nsay", `line 2: nothing follows "say"`},
	}
	for _, tt := range tests {
		_, err := parseWorld(strings.NewReader(tt.text))
		require.EqualError(t, err, tt.want)
	}
}
