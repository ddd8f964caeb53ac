package tlsprovider

import "crypto/x509"

// State describes a handshake in the same terms for every provider.
type State struct {
	Provider        string
	ServerName      string
	ALPN            string
	Group           Group
	CipherSuite     CipherSuite
	SignatureScheme SignatureScheme // of the peer's CertificateVerify; 0 if there was none
	PeerChain       [][]byte        // DER, leaf first, as sent; a client's is nil on resumption
	Resumed         bool
	HelloRetried    bool
	// FIPS reports whether the provider's module is a FIPS 140-3 module in its approved mode, and
	// whether the group, the cipher suite and the signatures of this connection are approved.
	// See docs/fips.md.
	FIPS bool
	// FIPSDetail says what FIPS rests on, or why it is false. It names the part of a hybrid group
	// that is not relied on. It is empty if the module is not in its approved mode.
	FIPSDetail string
	// ClientShareLen and ServerShareLen are the sizes in bytes of the two key shares on the
	// wire of the group that was negotiated; a client share sent after a HelloRetryRequest
	// counts.
	ClientShareLen, ServerShareLen int
	HandshakeDone                  bool
}

// PeerCertificates parses PeerChain. It fails if the provider accepted a certificate that the standard
// library cannot parse.
func (s State) PeerCertificates() ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, 0, len(s.PeerChain))
	for _, der := range s.PeerChain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Capabilities is what a provider, as it was built and linked, can do. The zero value of a field means that
// the provider lacks the feature; it then refuses a Config that asks for it, with an error that wraps
// [ErrUnsupported].
type Capabilities struct {
	Library          string      // name and version of the TLS library
	Groups           []GroupInfo // those that Config.Groups can name, in order of preference
	CipherSuites     []CipherSuite
	SignatureSchemes []SignatureScheme
	ZeroRTT          bool
	Policies         bool // Config.Policy is understood
	FIPS             FIPS

	// Tickets: sessions resume by tickets. Without it, Config.DisableTickets makes no difference.
	Tickets bool
	// Exporters: Session.Export works.
	Exporters bool
	// Signers: a Certificate may have a Signer, whose use is an EventSign.
	Signers bool
	// ClientCertificates: clients show certificates, and servers ask for them.
	ClientCertificates bool
	// CertificatesByName: a server has several Certificates and chooses by the client's server name.
	CertificatesByName bool
	// DecisionEndpoint: a Decision may have an Endpoint, so that Config.DeferCertificates works.
	DecisionEndpoint bool
	// KeyLog: Config.KeyLogWriter receives secrets.
	KeyLog bool
	// Version2: there are keys and Retry tags for QUIC version 2 (RFC 9369).
	Version2 bool
	// HandshakeDetails: State has the peer's SignatureScheme, HelloRetried, and the lengths of the key
	// shares.
	HandshakeDetails bool
}

// Group returns the description of a group that the provider has.
func (c *Capabilities) Group(id Group) (GroupInfo, bool) {
	for _, g := range c.Groups {
		if g.ID == id {
			return g, true
		}
	}
	return GroupInfo{}, false
}

// GroupIDs returns the groups of c.
func (c *Capabilities) GroupIDs() []Group {
	out := make([]Group, len(c.Groups))
	for i, g := range c.Groups {
		out[i] = g.ID
	}
	return out
}

// FIPS is the state of a provider's module. What it means for compliance is not for a library to
// say; see docs/fips.md.
type FIPS struct {
	Enabled  bool   // the module is in its approved mode, and the provider was built for it
	SelfTest bool   // its power-on self-test passed
	Module   string // name, as on a certificate
	Version  string
}
