package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/config"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// credentialKinds in the order of the list.
func credentialKinds() []string {
	return []string{model.CredentialCA, model.CredentialCert, model.CredentialKey, model.CredentialAPIKey}
}

// credentialFile is where a credential is stored.
func (o Options) credentialFile(kind, name string) string {
	return filepath.Join(o.StateDir, credentialsDir, kind+"-"+name)
}

func refused(kind model.CommandErrorKind, format string, args ...any) error {
	return &model.CommandError{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Credentials lists what is stored. Contents are never given.
func (a *App) Credentials() ([]model.Credential, error) {
	dir := filepath.Join(a.opts.StateDir, credentialsDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return []model.Credential{}, nil
	}
	if err != nil {
		return nil, err
	}
	out := []model.Credential{}
	for _, e := range entries {
		kind, name, ok := strings.Cut(e.Name(), "-")
		if !ok || !e.Type().IsRegular() || !slices.Contains(credentialKinds(), kind) {
			continue // a file that is just being written
		}
		c := model.Credential{Kind: kind, Name: name}
		if kind == model.CredentialCA || kind == model.CredentialCert {
			if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
				c.Expires = expiryOf(kind, text)
			}
		}
		out = append(out, c)
	}
	order := credentialKinds()
	sort.Slice(out, func(i, j int) bool {
		x, y := out[i], out[j]
		if x.Kind != y.Kind {
			return slices.Index(order, x.Kind) < slices.Index(order, y.Kind)
		}
		return x.Name < y.Name
	})
	return out, nil
}

// StoreCredential checks a credential and stores it for root only. Messages never
// quote what was given.
func (a *App) StoreCredential(kind, name string, text []byte) error {
	if err := checkName(kind, name); err != nil {
		return err
	}
	a.credentials.Lock()
	defer a.credentials.Unlock()
	if err := a.checkContent(kind, name, text); err != nil {
		return err
	}
	dir := filepath.Join(a.opts.StateDir, credentialsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writePrivate(a.opts.credentialFile(kind, name), text)
}

// writePrivate replaces a file in one step; its mode is 0600 from the beginning.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync() // the content before the name
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// RemoveCredential removes a credential that the configuration does not name.
func (a *App) RemoveCredential(kind, name string) error {
	if err := checkName(kind, name); err != nil {
		return err
	}
	a.credentials.Lock()
	defer a.credentials.Unlock()
	path := a.opts.credentialFile(kind, name)
	if _, err := os.Stat(path); err != nil {
		return refused(model.NotFound, "no %s %q is stored", kind, name)
	}
	if where := a.usedBy(kind, name); where != "" {
		return refused(model.InvalidArgument, "%s %q is in use: %s; change that first", kind, name, where)
	}
	return os.Remove(path)
}

func checkName(kind, name string) error {
	switch {
	case !slices.Contains(credentialKinds(), kind):
		return refused(model.InvalidArgument, "argument kind: %q is not one of %s", kind, strings.Join(credentialKinds(), " "))
	case !config.ValidCredentialName(name):
		return refused(model.InvalidArgument, "argument name: a name of at most 64 letters, digits, . _ - is expected, and no . at the start")
	}
	return nil
}

// naming is one place of the configuration that names credentials.
type naming struct {
	section string
	tls     config.TLS
	apiKey  string
}

func (a *App) namings() (out []naming) {
	cfg := a.conf.inUse()
	if cfg == nil {
		return nil
	}
	for _, s := range cfg.Servers {
		out = append(out, naming{section: s.Name, tls: s.TLS})
	}
	for _, b := range cfg.Banks {
		out = append(out, naming{section: b.Name, tls: b.TLS})
	}
	return append(out, naming{section: "ionmesh", tls: cfg.IonMesh.TLS, apiKey: cfg.IonMesh.APIKeyFile})
}

// usedBy names the section and option that name a credential, "" for none.
func (a *App) usedBy(kind, name string) string {
	for _, n := range a.namings() {
		for _, o := range []struct{ kind, option, value string }{
			{model.CredentialCA, "ca_cert", n.tls.Files.CA}, {model.CredentialCert, "client_cert", n.tls.Files.Cert},
			{model.CredentialKey, "client_key", n.tls.Files.Key}, {model.CredentialAPIKey, "api_key_file", n.apiKey},
		} {
			if o.kind == kind && o.value == name {
				return fmt.Sprintf("option %s of section %s names it", o.option, n.section)
			}
		}
	}
	return ""
}

// checkContent looks whether a credential is what its kind says, is not expired,
// and fits its other half: the one of the same name, and the ones that the
// configuration puts together.
func (a *App) checkContent(kind, name string, text []byte) error {
	switch kind {
	case model.CredentialAPIKey:
		key := strings.TrimSpace(string(text))
		if key == "" || len(key) > 4096 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return refused(model.InvalidArgument, "an API key is one line of printable characters without blanks")
		}
		return nil
	case model.CredentialKey:
		if err := checkKey(text); err != nil {
			return err
		}
	default:
		if err := checkCertificates(kind, text); err != nil {
			return err
		}
	}
	for _, other := range a.otherHalves(kind, name) {
		half := model.CredentialKey
		cert, key := text, []byte(nil)
		if kind == model.CredentialKey {
			half, cert, key = model.CredentialCert, nil, text
		}
		stored, err := os.ReadFile(a.opts.credentialFile(half, other))
		if err != nil {
			continue // it is not there yet
		}
		if cert == nil {
			cert = stored
		} else {
			key = stored
		}
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			return refused(model.InvalidArgument, "this %s does not fit the stored %s %q; remove that one first if both are to be replaced", kind, half, other)
		}
	}
	return nil
}

// otherHalves names what must fit a certificate or key.
func (a *App) otherHalves(kind, name string) []string {
	if kind == model.CredentialCA {
		return nil
	}
	names := []string{name}
	for _, n := range a.namings() {
		mine, other := n.tls.Files.Cert, n.tls.Files.Key
		if kind == model.CredentialKey {
			mine, other = other, mine
		}
		if mine == name && other != "" && !strings.Contains(other, "/") && !slices.Contains(names, other) {
			names = append(names, other)
		}
	}
	return names
}

// certificates are the certificates of a PEM text.
func certificates(text []byte) (out []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s, where only certificates are expected", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("a certificate in it is damaged")
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no certificate in it; it has to begin with -----BEGIN CERTIFICATE-----")
	}
	return out, nil
}

// expires is when a credential stops working: a client certificate with its own
// end, authorities with the first of them.
func expires(kind string, list []*x509.Certificate) time.Time {
	end := list[0].NotAfter
	if kind == model.CredentialCA {
		for _, c := range list {
			if c.NotAfter.Before(end) {
				end = c.NotAfter
			}
		}
	}
	return end
}

func expiryOf(kind string, text []byte) int64 {
	list, err := certificates(text)
	if err != nil {
		return 0
	}
	return expires(kind, list).Unix()
}

func checkCertificates(kind string, text []byte) error {
	list, err := certificates(text)
	if err != nil {
		return refused(model.InvalidArgument, "the %s is not accepted: %v", kind, err)
	}
	if end := expires(kind, list); time.Now().After(end) {
		return refused(model.InvalidArgument, "the %s is not accepted: it has expired on %s", kind, end.UTC().Format("2006-01-02"))
	}
	return nil
}

// checkKey tells whether a text is a private key that can be used without asking
// anybody.
func checkKey(text []byte) error {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "EC PARAMETERS":
			continue // openssl writes them before the key
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return refused(model.InvalidArgument, "the key is not accepted: it needs a pass phrase; remove that with `openssl pkey`")
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return refused(model.InvalidArgument, "the key is not accepted: it holds a %s", block.Type)
		}
		_, err1 := x509.ParsePKCS8PrivateKey(block.Bytes)
		_, err2 := x509.ParseECPrivateKey(block.Bytes)
		_, err3 := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err1 != nil && err2 != nil && err3 != nil {
			return refused(model.InvalidArgument, "the key is not accepted: it is damaged or of a kind that is not known")
		}
		return nil
	}
	return refused(model.InvalidArgument, "the key is not accepted: there is no private key in it; it has to begin with -----BEGIN PRIVATE KEY-----")
}
