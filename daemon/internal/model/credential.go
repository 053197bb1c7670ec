package model

import "time"

// The kinds of stored credentials. Their options in the configuration are ca_cert,
// client_cert, client_key and api_key_file.
const (
	CredentialCA     = "ca"
	CredentialCert   = "cert"
	CredentialKey    = "key"
	CredentialAPIKey = "api_key"
)

// Credential is a stored secret or certificate, as far as anybody is told of it.
type Credential struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Expires int64  `json:"expires"` // Unix seconds; 0: it does not
}

// Expired tells whether a certificate has run out.
func (c Credential) Expired(now time.Time) bool { return c.Expires != 0 && now.Unix() >= c.Expires }
