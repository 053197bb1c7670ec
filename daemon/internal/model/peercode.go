package model

// Codes that say why an RSPRO peer is not connected (PeerChanged.Code). With
// "server-" or "bank-" before them they are finding codes.
const (
	PeerDNSFailed              = "dns-failed"
	PeerConnectRefused         = "connect-refused"
	PeerConnectTimeout         = "connect-timeout"
	PeerTLSFailed              = "tls-failed"
	PeerCertificateExpired     = "certificate-expired"
	PeerCertificateNotYetValid = "certificate-not-yet-valid"
	PeerCertificateUntrusted   = "certificate-untrusted"
	PeerGarbage                = "rspro-garbage"   // no RSPRO peer, e.g. a web server
	PeerMalformed              = "rspro-malformed" // an RSPRO peer that sent bad bytes
	PeerKeepAliveTimeout       = "keepalive-timeout"
	PeerClosed                 = "peer-closed"
	PeerIdentityInUse          = "identity-in-use"
	PeerNoCard                 = "no-card"
	PeerRefused                = "refused" // another result, which the text names
	PeerWrongType              = "wrong-peer-type"
	PeerOutOfStep              = "bank-out-of-step"
	PeerWriteTimeout           = "write-timeout"
)
