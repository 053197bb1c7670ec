package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// pair makes a key and a certificate for it that ends then.
func pair(t *testing.T, end time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: end.Add(-time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// credential calls the method; message is what a refusal says.
func (w *world) credential(kind, name, text string) (list []model.Credential, message string) {
	w.Helper()
	var reply struct {
		Credentials []model.Credential `json:"credentials"`
	}
	err := w.call("credential", map[string]any{"kind": kind, "name": name, "pem": text}, &reply)
	var status *ubus.StatusError
	if errors.As(err, &status) {
		return nil, status.Message
	}
	require.NoError(w, err)
	return reply.Credentials, ""
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.config("\nconfig bank\n\toption host 'b.example'\n\toption client_cert 'mine'\n\toption client_key 'other'\n\toption bank_id '3'\n"))
	w.start()
	w.until("a daemon", func(s *model.Snapshot) bool { return s.Sequence != 0 })
	end := time.Now().Add(48 * time.Hour)
	cert, key := pair(t, end)
	foreign, foreignKey := pair(t, end)
	expired, _ := pair(t, time.Now().Add(-time.Hour))
	body := strings.Split(key, "\n")[1]

	for _, tt := range []struct{ name, kind, as, text, want string }{
		{"no such kind", "password", "x", key, `"password" is not one of ca cert key api_key`},
		{"a path for a name", "ca", "../x", cert, "letters, digits"},
		{"a key for a certificate", "cert", "x", key, "it holds a PRIVATE KEY"},
		{"a certificate for a key", "key", "x", cert, "it holds a CERTIFICATE"},
		{"text for a certificate", "ca", "x", "hello", "BEGIN CERTIFICATE"},
		{"text for a key", "key", "x", "hello", "BEGIN PRIVATE KEY"},
		{"a damaged certificate", "ca", "x", strings.Replace(cert, "MII", "AAA", 1), "damaged"},
		{"a damaged key", "key", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"},
		{"a locked key", "key", "x", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "pass phrase"},
		{"an expired certificate", "cert", "x", expired, "expired on"},
		{"an API key of two lines", "api_key", "x", "one\ntwo", "one line"},
		{"nothing to remove", "ca", "x", "", `no ca "x" is stored`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, message := w.credential(tt.kind, tt.as, tt.text)
			require.Contains(t, message, tt.want)
			require.NotContains(t, message, body)
		})
	}

	list, message := w.credential("cert", "mine", cert)
	require.Empty(t, message)
	require.Equal(t, []model.Credential{{Kind: "cert", Name: "mine", Expires: end.Unix()}}, list)
	for _, other := range []string{"mine", "other"} { // of the same name, and put together by the configuration
		_, message = w.credential("key", other, foreignKey)
		require.Contains(t, message, `does not fit the stored cert "mine"`)
	}
	_, message = w.credential("key", "other", key)
	require.Empty(t, message)
	_, message = w.credential("cert", "mine", foreign)
	require.Contains(t, message, `does not fit the stored key "other"`)
	list, message = w.credential("api_key", "mesh", "s3cret\n")
	require.Empty(t, message)
	require.Len(t, list, 3)
	for file, text := range map[string]string{"cert-mine": cert, "key-other": key, "api_key-mesh": "s3cret\n"} {
		path := filepath.Join(w.dir, "state", "credentials", file)
		st, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), st.Mode().Perm(), file)
		stored, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(stored))
	}
	_, message = w.credential("key", "other", "")
	require.Contains(t, message, "option client_key of section @bank[0] names it")
	list, message = w.credential("api_key", "mesh", "")
	require.Empty(t, message)
	require.Len(t, list, 2)
}

// unpack fetches a support archive as any program would and reads it with other
// code than made it.
func (w *world) unpack(t *testing.T) map[string]string {
	t.Helper()
	var data []byte
	var sum string
	for part, parts := 0, 1; part < parts; part++ {
		var r struct {
			Parts  int    `json:"parts"`
			Size   int    `json:"size"`
			SHA256 string `json:"sha256"`
			Data   string `json:"data"`
		}
		require.NoError(t, w.call("support", map[string]any{"part": part}, &r))
		require.LessOrEqual(t, len(r.Data), 192<<10)
		more, err := base64.StdEncoding.DecodeString(r.Data)
		require.NoError(t, err)
		data, parts, sum = append(data, more...), r.Parts, r.SHA256
	}
	got := sha256.Sum256(data)
	require.Equal(t, sum, hex.EncodeToString(got[:]))
	zip, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	files := make(map[string]string)
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		files[h.Name] = string(text)
	}
}

func TestSupportHoldsWhatHelpsAndNoSecret(t *testing.T) {
	t.Parallel()
	w := newModemWorld(t)
	w.startModems(w.modemConfig("\toption fallback 'local'\n") + "\n# canary1\nconfig ionmesh 'ionmesh'\n\toption enabled '0'\n\toption api_key 'canary3'\n")
	w.assign()
	w.untilState(model.StateOperational)
	_, key := pair(t, time.Now().Add(time.Hour))
	_, message := w.credential("key", "mine", key)
	require.Empty(t, message)
	_, message = w.credential("api_key", "mesh", "canary4")
	require.Empty(t, message)

	files := w.unpack(t)
	for _, name := range []string{"about.txt", "config.txt", "config-check.json", "status.json", "diagnose.json", "events.json", "discover.json", "credentials.json"} {
		require.NotEmpty(t, files[name], name)
	}
	require.Contains(t, files["about.txt"], "remsim test, go")
	require.Contains(t, files["config.txt"], "option sim_line 'sim-select'")
	require.Contains(t, files["events.json"], "the modem uses the remote card after")
	require.Contains(t, files["discover.json"], "RM520N-GL")
	require.Contains(t, files["credentials.json"], `"mine"`)
	for name, text := range files {
		for _, secret := range []string{"canary", strings.Split(key, "\n")[1], localICCID, cardfake.Default().ICCID.String(), cardfake.Default().IMSI, "001010000000001", spec.IMEI} {
			require.NotContains(t, text, secret, name)
		}
	}

	err := w.call("support", map[string]any{"part": 3}, nil)
	require.ErrorContains(t, err, "begin with part 0")
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		config     func(w *modemWorld) string
		configured string
	}{
		{"with nothing configured", func(*modemWorld) string { return "config remsim 'main'\n\toption enabled '0'\n" }, ""},
		{"with a section", func(w *modemWorld) string { return w.modemConfig("\toption fallback 'local'\n") }, "primary"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newModemWorld(t)
			w.startModems(tt.config(w))
			w.until("a daemon", func(s *model.Snapshot) bool {
				return s.Sequence != 0 && (tt.configured == "" || modemNamed(s, tt.configured).Present)
			})
			var found model.Found
			require.NoError(t, w.call("discover", nil, &found))
			require.Empty(t, found.Notes)
			require.Len(t, found.Modems, 1)
			m := found.Modems[0]
			require.Equal(t, "usb:2-1", m.Match)
			require.Equal(t, tt.configured, m.Configured)
			require.Equal(t, "wwan0", m.Network)
			require.Equal(t, "RM520N-GL", m.Model)
			require.NotContains(t, string(m.IMEI), "01555")
			require.Equal(t, []model.FoundNetwork{{Name: "wwan0", Proto: "modemmanager", Up: found.Networks[0].Up, Modem: "usb:2-1"}}, found.Networks)
			var lines []string
			for _, l := range found.Lines {
				lines = append(lines, l.Name)
			}
			require.Subset(t, lines, []string{"sim-select", "modem-reset"})
			if tt.configured == "" {
				for _, c := range w.mm.Calls() {
					require.NotContains(t, c.Method, "Setup", "nothing was changed at the modem")
				}
			}
		})
	}
}
