package tlsprovider

import (
	"crypto/x509"
	"slices"
)

// State describes a handshake. Its fields have the same meaning for every provider.
type State struct {
	Provider        string
	ServerName      string
	ALPN            string
	Group           Group
	CipherSuite     CipherSuite
	SignatureScheme SignatureScheme // of the peer's CertificateVerify; 0 if there was none
	PeerChain       [][]byte        // DER, leaf first, as sent; nil on a client that resumed
	// PQAuth reports whether the peer was authenticated by post-quantum signatures (ML-DSA) alone: that of its
	// CertificateVerify and those of all certificates that it sent. The signature of a trusted root does not count. It
	// is false if the peer sent no certificate or was not verified. In a resumed session it is that of the handshake
	// which the session comes from. Group.PostQuantum says the same of the key exchange.
	PQAuth       bool
	Resumed      bool
	HelloRetried bool
	// ECHAccepted reports whether the server used the encrypted ClientHello (RFC 9849).
	ECHAccepted   bool
	HandshakeDone bool
	// EarlyData reports what happened to early data (0-RTT).
	EarlyData EarlyDataState
	// FIPS reports whether the provider's module is a FIPS 140-3 module in its approved mode, and
	// whether the group, the cipher suite and the signatures of this connection are approved.
	// See docs/fips.md.
	FIPS bool
	// FIPSDetail lists the algorithms that make FIPS true, or says why it is false. It names the
	// part of a hybrid group that is not relied on. It is empty if the module is not in its
	// approved mode.
	FIPSDetail string
	// ClientShareLen and ServerShareLen are the sizes in bytes of the key shares of the group
	// that was negotiated. After a HelloRetryRequest the client's share is that of its second
	// ClientHello.
	ClientShareLen, ServerShareLen int

	details *PeerDetails // nil unless Config.VerifyPeer is set
}

// EarlyDataState says what happened to the early data (0-RTT) of a connection.
type EarlyDataState uint8

const (
	// EarlyDataNone means that the client offered none.
	EarlyDataNone EarlyDataState = iota
	// EarlyDataOffered means that a client may send early data, and the server has not decided.
	EarlyDataOffered
	// EarlyDataAccepted means that the server accepted them.
	EarlyDataAccepted
	// EarlyDataRejected means that the server rejected them. A client sends them again after the handshake.
	EarlyDataRejected
)

func (s EarlyDataState) String() string {
	if int(s) < len(earlyDataNames) {
		return earlyDataNames[s]
	}
	return "unknown"
}

var earlyDataNames = [...]string{"none", "offered", "accepted", "rejected"}

// PeerCertificates parses PeerChain. It returns an error if the standard library cannot parse a certificate
// that the provider has accepted.
func (s State) PeerCertificates() ([]*x509.Certificate, error) { return parseAll(s.PeerChain) }

// Capabilities describes what a provider supports as it was built and linked. A provider that does not support
// a feature leaves its field zero. It then returns an error that wraps [ErrUnsupported] for a Config that needs
// the feature.
type Capabilities struct {
	Library          string      // name and version of the TLS library
	Warning          string      // what programs must tell their users about this build; usually empty
	Groups           []GroupInfo // the groups that Config.Groups can contain, in order of preference
	CipherSuites     []CipherSuite
	SignatureSchemes []SignatureScheme
	ZeroRTT          bool // Config.EarlyData is supported
	Policies         bool // Config.Policy is supported
	FIPS             FIPS

	// Tickets reports whether sessions can resume. If not, Config.DisableTickets has no effect.
	Tickets bool
	// SavedTickets reports whether a session in Config.ClientStore can be saved and used by another process.
	SavedTickets bool
	// Exporters reports whether Session.Export is supported.
	Exporters bool
	// VerifyPeer reports whether Config.VerifyPeer is supported.
	VerifyPeer bool
	// CertificatePurposes reports whether a peer's certificate is refused if its extended key usage
	// is for the other side only.
	CertificatePurposes bool
	// SpecificAlerts reports whether handshakes fail with the alerts of docs/tls-errors.md. If not,
	// the alert can be a more general one.
	SpecificAlerts bool
	// Signers reports whether a Certificate may have a Signer.
	Signers bool
	// ClientCertificates reports whether clients can present certificates and servers request them.
	ClientCertificates bool
	// CertificatesByName reports whether a server with several Certificates selects one by the name in
	// the ClientHello.
	CertificatesByName bool
	// DecisionEndpoint reports whether a Decision may have an Endpoint, which Config.DeferCertificates
	// needs.
	DecisionEndpoint bool
	// KeyLog reports whether Config.KeyLogWriter is supported.
	KeyLog bool
	// Version2 reports whether QUIC version 2 (RFC 9369) is supported.
	Version2 bool
	// OCSPStaples reports whether Certificate.OCSPStaple is sent, and State.OCSPStaple returns that of the peer.
	OCSPStaples bool
	// HandshakeDetails reports whether State.SignatureScheme, HelloRetried, ClientShareLen and
	// ServerShareLen are set.
	HandshakeDetails bool
}

// PQAuth reports whether Config.RequirePQAuth is supported: whether the provider has a post-quantum signature scheme.
func (c *Capabilities) PQAuth() bool {
	return slices.ContainsFunc(c.SignatureSchemes, SignatureScheme.PostQuantum)
}

// Group returns the description of a group, and whether the provider supports it.
func (c *Capabilities) Group(id Group) (GroupInfo, bool) {
	for _, g := range c.Groups {
		if g.ID == id {
			return g, true
		}
	}
	return GroupInfo{}, false
}

// GroupIDs returns the IDs of c.Groups.
func (c *Capabilities) GroupIDs() []Group {
	out := make([]Group, len(c.Groups))
	for i, g := range c.Groups {
		out[i] = g.ID
	}
	return out
}

// FIPS describes the state of a provider's module. It does not mean that a deployment is compliant; see
// docs/fips.md.
type FIPS struct {
	Enabled  bool   // the module is in its approved mode, and the provider was built for it
	SelfTest bool   // its power-on self-test passed
	Module   string // the name on its certificate
	Version  string
}
