package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/tests/rig"
)

// What somebody does who sets a router up by hand, or asks for help.
func TestSetUpFromTheCommandLine(t *testing.T) {
	t.Parallel()
	peers := rig.StartPeers(t, "tour.txt")
	d := rig.StartDaemon(t, rig.DaemonOptions{Bus: rig.BusKinds()[0].Start(t, peers), UCI: peers.UCI()})
	d.Until("a daemon", func(s *rig.Status) bool { return s.State != "" })

	found := d.OK("discover")
	for _, words := range []string{"modems: none", "lines", "networks"} {
		require.Contains(t, found, words)
	}

	require.Contains(t, d.OK("credential"), "nothing is stored")
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	require.NoError(t, os.WriteFile(file, text, 0o600))
	require.Contains(t, d.OK("credential", "add", "key", "mine", file), "key      mine")
	refused := d.CLI("credential", "add", "cert", "mine", file)
	require.Equal(t, 1, refused.Code)
	require.Contains(t, refused.Stderr, "it holds a PRIVATE KEY, where only certificates are expected")
	require.Equal(t, 2, d.CLI("credential", "steal", "key", "mine").Code)

	shown := d.OK("support")
	require.Contains(t, shown, "config.txt")
	require.Contains(t, shown, "Nothing was written")
	archive := filepath.Join(t.TempDir(), "support.tar.gz")
	require.Contains(t, d.OK("support", archive), "Written to "+archive)
	list, err := exec.Command(rig.Find(t, "tar", "any system"), "-tzf", archive).CombinedOutput()
	require.NoError(t, err, string(list))
	for _, name := range []string{"about.txt", "config.txt", "events.json", "status.json"} {
		require.Contains(t, string(list), name+"\n")
		require.Contains(t, shown, name)
	}
	require.NotEqual(t, 0, d.CLI("support", archive).Code, "a file that exists is not overwritten")
	require.Contains(t, d.OK("credential", "remove", "key", "mine"), "nothing is stored")
}
