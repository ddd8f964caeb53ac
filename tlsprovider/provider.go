package tlsprovider

import "io"

// A Provider is one TLS 1.3 implementation together with its cryptographic module.
type Provider interface {
	// Name is the short name that people type: "native", "s2n".
	Name() string

	// Capabilities describes what this build of the provider can do.
	Capabilities() Capabilities

	// NewClient checks cfg and prepares it for any number of client sessions. Every error that
	// lies in the configuration comes out here, not in a handshake.
	NewClient(cfg *Config) (Endpoint, error)

	// NewServer is NewClient for servers. A server needs a certificate.
	NewServer(cfg *Config) (Endpoint, error)

	// OpenInitial opens the first packet of a client, in place, with the keys that follow from
	// version and the packet's destination connection ID. pkt is the whole packet and nothing
	// more, pnOffset the offset of its packet number. It keeps nothing and should allocate little,
	// because it runs for each datagram of noise from the network.
	OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (InitialPacket, bool)

	// InitialKeys derives both directions' Initial keys for one side of a connection.
	InitialKeys(version uint32, dcid []byte, side Side) (Keys, error)

	// RetryTag computes the Retry Integrity Tag over a Retry packet without its tag.
	// It returns an error for a version that the provider does not know.
	RetryTag(version uint32, originalDCID, retryWithoutTag []byte) ([16]byte, error)

	// NewTokenKey makes a key that protects address tokens. secret is at least 32 bytes.
	NewTokenKey(secret []byte) (TokenKey, error)

	// NewResetKey makes a key from which stateless reset tokens follow. secret is at least
	// 32 bytes; servers that share it can reset one another's connections.
	NewResetKey(secret []byte) (ResetKey, error)

	// Rand is the module's random generator, safe for concurrent use.
	Rand() io.Reader
}

// An Endpoint is a checked, prepared configuration of one side.
type Endpoint interface {
	// NewSession starts a handshake.
	NewSession(SessionParams) (Session, error)

	// SetCertificates replaces the certificates for sessions made from now on. A client forgets its
	// tickets, which belong to its former certificates.
	SetCertificates([]Certificate) error

	// SetTicketKeys replaces the session ticket keys, the first being used to seal. Servers
	// only.
	SetTicketKeys([][]byte) error

	// Close releases the configuration. Sessions that exist go on.
	Close()
}

// SessionParams are what one handshake needs beyond its Endpoint.
type SessionParams struct {
	// Version is the QUIC version.
	Version uint32
	// ServerName is the name that a client asks for and verifies; required on clients.
	ServerName string
	// TransportParameters is the client's encoded quic_transport_parameters extension.
	// A server gives its own in [Decision].
	TransportParameters []byte
}

// A Session is one handshake. Its methods must not be called concurrently.
type Session interface {
	// Advance feeds CRYPTO bytes, in order for each level, and runs the handshake until it
	// waits for the peer or for a decision. A client's first call, with no input, yields its
	// ClientHello. The events and the bytes they point to are valid until the next call. A
	// failed handshake returns an [*Error]; events returned beside an error are to be
	// discarded.
	Advance(in []CryptoData) ([]Event, error)

	// Continue answers an EventClientHello and goes on like Advance.
	Continue(Decision) ([]Event, error)

	// TakeKeys moves the keys of a level that an EventKeys announced to the caller. A
	// direction that is not ready, or was taken, is nil.
	TakeKeys(level Level, version uint32) (Keys, error)

	// State describes the handshake; it is complete after EventHandshakeDone and stays
	// available until Close.
	State() State

	// Export derives keying material (RFC 8446, 7.5). It is available after
	// EventHandshakeDone until Close, which the transport defers to the connection's end.
	Export(label string, context []byte, length int) ([]byte, error)

	// Settle says that the transport waits no longer for what may follow a handshake: what a
	// session holds for that alone is freed. State, Export and keys not yet taken stay, messages
	// are still checked, and tickets among them are dropped. Before EventHandshakeDone, and
	// after a failure, it does nothing.
	Settle()

	// Close frees everything but keys that were taken. It is allowed in every state.
	Close()
}

// CryptoData is a run of CRYPTO bytes of one encryption level.
type CryptoData struct {
	Level Level
	Data  []byte
}

// Decision answers an EventClientHello.
type Decision struct {
	// Endpoint, when not nil, replaces the server's configuration for this session, except
	// that RequirePQ of either holds. It must come from the same provider.
	Endpoint Endpoint
	// ALPN is the application protocol, one of those that the client offered.
	ALPN string
	// TransportParameters is the server's encoded quic_transport_parameters extension.
	TransportParameters []byte
	// Version is the QUIC version that the connection will use.
	Version uint32
}

// InitialPacket says where OpenInitial found what.
type InitialPacket struct {
	PacketNumber uint64
	HeaderLen    int // including the packet number
	PayloadLen   int // plaintext after the header
}

// TokenKey seals and opens small secrets that a peer carries for us. Safe for concurrent use.
type TokenKey interface {
	// Seal appends the sealed plaintext, bound to aad, to dst. Nonces are random.
	Seal(dst, plaintext, aad []byte) ([]byte, error)
	// Open appends the plaintext to dst; false for anything not sealed with this key and aad.
	Open(dst, sealed, aad []byte) ([]byte, bool)
	Close()
}

// ResetKey derives stateless reset tokens. Safe for concurrent use.
type ResetKey interface {
	Token(connID []byte) [16]byte
	Close()
}
