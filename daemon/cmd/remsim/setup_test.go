package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzListTar holds that no archive makes the listing fail or invent sizes. That it
// lists what the daemon packs is tested from outside (tests/e2e).
func FuzzListTar(f *testing.F) {
	block := make([]byte, 1024)
	copy(block, "about.txt")
	copy(block[124:], "00000000017\x00")
	f.Add(append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 0, 4, 0xff, 0xfb}, block...))
	f.Add([]byte{0x1f})
	f.Fuzz(func(t *testing.T, gz []byte) {
		for _, file := range listTar(gz) {
			require.GreaterOrEqual(t, file.Size, 0)
			require.NotEmpty(t, file.Name)
		}
	})
}
