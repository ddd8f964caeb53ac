package tlsprovider

import (
	"crypto/tls"
	"errors"
	"io"
	"time"
)

// Config configures a client or server. The zero value is a client that trusts the system's roots
// and offers post-quantum key exchange; a server needs Certificates. A Config must not be changed
// after it was passed to a Provider.
type Config struct {
	// Groups is the set of key exchange groups to offer and accept. Nil means the provider's
	// default, which prefers a hybrid post-quantum group. The order of preference is that of
	// AllGroups. A group that the provider does not support is an error.
	Groups []Group

	// Policy names an s2n-tls security policy and replaces Groups and CipherSuites. Only
	// providers with Capabilities.Policies support it.
	Policy string

	// RequirePQ fails a handshake that does not negotiate a post-quantum group. No application
	// data is sent or delivered in such a handshake. It is about the key exchange alone, which
	// protects recorded connections: certificates may be classical. See RequirePQAuth.
	RequirePQ bool

	// RequirePQAuth fails a handshake with insufficient_security if State.PQAuth would be false: if the peer's
	// CertificateVerify, or one of the certificates that it sends, has a classical signature. It needs a provider with
	// ML-DSA among its Capabilities.SignatureSchemes. A server with RequirePQAuth must request certificates; with
	// VerifyClientCertIfGiven it accepts clients without one. See docs/pq-authentication.md.
	RequirePQAuth bool

	// CipherSuites limits the cipher suites. Nil means all suites of the provider.
	CipherSuites []CipherSuite

	// NextProtos lists the application protocols in order of preference. QUIC requires at
	// least one.
	NextProtos []string

	// Certificates holds a server's certificates, of which it presents the one that matches the
	// name in the ClientHello, or the certificates that a client may present if the server
	// requests one. An Endpoint of package quic that listens and dials needs one Config for
	// each: see quic.Config.ClientTLS.
	Certificates []Certificate

	// DeferCertificates allows a server without Certificates and NextProtos. Each of its
	// handshakes then needs a Decision with an Endpoint that has them. Package quic sets it for
	// a server whose GetTLSConfig supplies all configurations.
	DeferCertificates bool

	// RootCAs is the set of authorities that a client uses to verify the server's certificate.
	// Nil means the system's roots. Servers ignore it.
	RootCAs *Roots

	// ClientCAs is the set of authorities that a server uses to verify a client's certificate.
	// It is required if ClientAuth verifies certificates. Unlike in crypto/tls there is no
	// default: the system's roots would accept every certificate of a public authority.
	// Clients ignore it.
	ClientCAs *Roots

	// ClientAuth is a server's policy for client certificates. Clients ignore it.
	ClientAuth ClientAuth

	// InsecureSkipVerify disables the verification of the peer's chain and name. Use it only in
	// tests.
	InsecureSkipVerify bool

	// VerifyPeer, if not nil, is called on a worker goroutine after the chain was verified, as
	// the last check of a handshake. An error fails the handshake with bad_certificate, or with
	// the Alert of an *Error; a panic fails it with internal_error and a *PanicError.
	// State.PeerChain is the chain that was verified. It is nil if the server requested no
	// certificate or, with VerifyClientCertIfGiven, received none, so check its length before
	// its elements. VerifyPeer is also called for a resumed session. A client's State.PeerChain
	// is nil then; a server's is that of the original session. State.VerifiedChains and
	// State.OCSPStaple serve to look for revoked certificates: see docs/revocation.md.
	VerifyPeer func(*State) error

	// KeyLogWriter, if not nil, receives the secrets of all sessions in the format of
	// SSLKEYLOGFILE, which lets others decrypt them. Use it only for debugging. It may be called
	// concurrently.
	KeyLogWriter io.Writer

	// ClientStore keeps a client's sessions. Nil means that the endpoint keeps some until it is closed. A session in
	// a store that several clients share is used only by those whose configurations agree in how they verify the
	// server and in what they offer. Callbacks that verify are compared by their code only: if closures of one function
	// verify differently, for example because each has another key to compare with, give each a store of its own. The
	// values contain the secrets of sessions, also those of the provider s2n, which otherwise stay in the memory of the C
	// library.
	ClientStore ClientStore

	// EarlyData permits early data (0-RTT): a client that resumes may send before the handshake is complete, and a
	// server accepts it. Anybody who records early data can send them to servers again, so an application must use them
	// only for what may happen twice: see docs/early-data.md. Only providers with Capabilities.ZeroRTT support it. A
	// server with EarlyData cannot verify clients (ClientAuth, VerifyPeer), because early data arrive before the
	// client's certificate.
	EarlyData bool

	// DisableTickets disables session tickets.
	DisableTickets bool

	// TicketKeys are a server's session ticket keys of 32 bytes each. The first seals new
	// tickets; all of them open tickets. Nil means a random key that is replaced every day.
	// Servers that share their keys resume one another's sessions, if their configurations agree
	// in how they verify clients and in what they offer, and if their certificates have the same
	// public keys and names.
	TicketKeys [][]byte

	// Time returns the current time for the verification of certificates. Nil means time.Now.
	Time func() time.Time

	// TLS is the tls.Config that FromTLSConfig made this Config from.
	TLS *tls.Config
}

// VerifiesClients reports whether a server's configuration verifies clients, or has a callback that may.
func (c *Config) VerifiesClients() bool {
	t := c.TLS
	return c.ClientAuth != NoClientCert || c.VerifyPeer != nil || t != nil && (t.ClientAuth != tls.NoClientCert ||
		t.VerifyConnection != nil || t.VerifyPeerCertificate != nil || t.GetConfigForClient != nil)
}

// ClientAuth is a server's policy for client certificates.
type ClientAuth uint8

const (
	// NoClientCert requests no certificate.
	NoClientCert ClientAuth = iota
	// VerifyClientCertIfGiven requests a certificate and verifies it if the client sends one.
	VerifyClientCertIfGiven
	// RequireClientCert requires a certificate and verifies it with ClientCAs.
	RequireClientCert
)

// CheckPQAuth is for providers. It returns an error if RequirePQAuth is set for a side that does not verify its peer.
func (c *Config) CheckPQAuth(side Side) error {
	switch {
	case !c.RequirePQAuth:
		return nil
	case side == Client && c.InsecureSkipVerify:
		return errors.New("RequirePQAuth and InsecureSkipVerify are both set: a server that is not verified is not authenticated")
	case side == Server && c.ClientAuth == NoClientCert && !c.DeferCertificates && (c.TLS == nil || c.TLS.GetConfigForClient == nil):
		return errors.New("RequirePQAuth of a server that requests no client certificates: set ClientAuth, or use RequirePQAuth on clients only")
	}
	return nil
}

// ErrUnsupported is wrapped by the errors of a configuration that the provider does not support.
var ErrUnsupported = errors.New("not supported by this TLS provider")
