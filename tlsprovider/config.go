package tlsprovider

import (
	"crypto/tls"
	"errors"
	"io"
	"time"
)

// Config configures a client or server. The zero value is a client that trusts the system's roots
// and offers post-quantum key exchange; a server needs Certificates. A Config must not be changed
// after it was given to a Provider.
type Config struct {
	// Groups is the set of key exchange groups to offer and accept. Nil means the provider's
	// default, in which a hybrid post-quantum group comes first. The order in which they are
	// preferred is AllGroups'. A group that the build lacks is an error, never left out.
	Groups []Group

	// Policy names an s2n-tls security policy and replaces Groups and CipherSuites. Only
	// providers whose Capabilities say Policies understand it.
	Policy string

	// RequirePQ fails a handshake that did not negotiate a post-quantum group, before any
	// application byte is sent or delivered.
	RequirePQ bool

	// CipherSuites restricts the suites; nil means all that the provider has.
	CipherSuites []CipherSuite

	// NextProtos are the application protocols, in order of preference. QUIC requires one.
	NextProtos []string

	// Certificates are what a server shows, chosen by the name that the client asks for, or what
	// a client shows to a server that asks for one. An Endpoint of package quic that listens
	// and dials needs one Config for each: see quic.Config.ClientTLS.
	Certificates []Certificate

	// DeferCertificates lets a server be prepared without Certificates and NextProtos. Each of
	// its handshakes then needs a Decision with an Endpoint that has them. Package quic sets it
	// for a server whose GetTLSConfig supplies all configurations.
	DeferCertificates bool

	// RootCAs are the authorities by which a client verifies a server's certificate; nil means
	// the system's roots. Servers ignore it.
	RootCAs *Roots

	// ClientCAs are the authorities by which a server verifies a client's certificate. A server
	// whose ClientAuth verifies certificates needs it: unlike crypto/tls, there is no default,
	// because the system's roots would admit everybody who has a certificate of a public
	// authority. Clients ignore it.
	ClientCAs *Roots

	// ClientAuth is a server's policy for client certificates. Clients ignore it.
	ClientAuth ClientAuth

	// InsecureSkipVerify turns chain and name verification off. Testing only.
	InsecureSkipVerify bool

	// VerifyPeer runs last, after verification of the chain, on a worker goroutine. An error
	// fails the handshake with bad_certificate, or with the Alert of an *Error; a panic fails it
	// with internal_error and a *PanicError. State.PeerChain is the chain that was verified. It
	// is nil if the server asked for no certificate or, with VerifyClientCertIfGiven, got none,
	// so check its length before its elements. VerifyPeer runs for a resumed session as well: a
	// client's State.PeerChain is nil then, a server's is that of the session that is resumed.
	VerifyPeer func(*State) error

	// KeyLogWriter receives secrets in the format of SSLKEYLOGFILE. It ends all
	// confidentiality: debugging only. It may be called concurrently.
	KeyLogWriter io.Writer

	// DisableTickets turns session tickets off.
	DisableTickets bool

	// TicketKeys are a server's session ticket keys, 32 bytes each, the first being used to
	// seal; nil means random ones. Share them to resume across a fleet.
	TicketKeys [][]byte

	// Time is the clock for certificates; nil means time.Now.
	Time func() time.Time

	// TLS, set by FromTLSConfig, is the tls.Config that this Config came from.
	TLS *tls.Config
}

// ClientAuth is a server's policy for client certificates.
type ClientAuth uint8

const (
	NoClientCert ClientAuth = iota
	// VerifyClientCertIfGiven asks for one and verifies what comes.
	VerifyClientCertIfGiven
	// RequireClientCert fails the handshake without a certificate that ClientCAs verify.
	RequireClientCert
)

// ErrUnsupported is wrapped by configuration errors that name something the provider cannot do.
var ErrUnsupported = errors.New("not supported by this TLS provider")
