package tlsprovider

import (
	"io"
	"time"
)

// A Provider is one TLS 1.3 implementation together with its cryptographic module.
type Provider interface {
	// Name returns the provider's name in flags and logs, such as "native" or "s2n".
	Name() string

	// Capabilities returns what this build of the provider supports.
	Capabilities() Capabilities

	// NewClient checks cfg and prepares it for any number of client sessions. It returns all
	// errors of the configuration, so that they do not fail handshakes.
	NewClient(cfg *Config) (Endpoint, error)

	// NewServer is NewClient for servers. A server needs a certificate.
	NewServer(cfg *Config) (Endpoint, error)

	// OpenInitial opens the first packet of a client in place, with the keys that are derived
	// from version and the packet's destination connection ID. pkt is one whole packet, and
	// pnOffset the offset of its packet number. It keeps no state, and should allocate little,
	// because it is called for every datagram that looks like a client's first.
	OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (InitialPacket, bool)

	// InitialKeys derives the Initial keys of both directions for one side of a connection.
	InitialKeys(version uint32, dcid []byte, side Side) (Keys, error)

	// RetryTag computes the Retry Integrity Tag of a Retry packet without its tag. It returns an
	// error for a version that the provider does not know.
	RetryTag(version uint32, originalDCID, retryWithoutTag []byte) ([16]byte, error)

	// NewTokenKey returns a key that protects address tokens. secret has at least 32 bytes.
	NewTokenKey(secret []byte) (TokenKey, error)

	// NewResetKey returns a key that derives stateless reset tokens. secret has at least 32
	// bytes. Servers that share it can reset one another's connections.
	NewResetKey(secret []byte) (ResetKey, error)

	// Rand returns the module's random generator, which is safe for concurrent use.
	Rand() io.Reader
}

// An Endpoint is a checked, prepared configuration of one side.
type Endpoint interface {
	// NewSession starts a handshake.
	NewSession(SessionParams) (Session, error)

	// SetCertificates replaces the certificates of new sessions. A client drops its tickets,
	// because they belong to its previous certificates. A server accepts the tickets that it has
	// issued only if the new certificates have the same public keys and names. Handshakes do not
	// wait for SetCertificates and SetTicketKeys. If they return an error, nothing has changed.
	SetCertificates([]Certificate) error

	// SetTicketKeys replaces a server's session ticket keys, as Config.TicketKeys describes
	// them.
	SetTicketKeys([][]byte) error

	// Close releases the configuration. Existing sessions continue.
	Close()
}

// SessionParams are the parameters of one handshake.
type SessionParams struct {
	// Version is the QUIC version.
	Version uint32
	// ServerName is the name that a client sends and verifies. Clients require it.
	ServerName string
	// TransportParameters is the client's encoded quic_transport_parameters extension. A server
	// passes its own in [Decision].
	TransportParameters []byte
}

// A Session is one handshake. Its methods must not be called concurrently.
type Session interface {
	// Advance processes CRYPTO bytes, in order for each level, and runs the handshake until it
	// waits for the peer or for a decision. The first call on a client, with no input, returns
	// its ClientHello. The session does not refer to the bytes of in after the call, because the
	// caller uses their memory again. The events, and the bytes that they refer to, are valid
	// until the next call. If the handshake fails, the error is an [*Error], and the caller must
	// discard the events.
	Advance(in []CryptoData) ([]Event, error)

	// Continue answers an EventClientHello and then continues like Advance.
	Continue(Decision) ([]Event, error)

	// TakeKeys passes the ownership of keys that an EventKeys announced to the caller. The keys
	// of a direction are nil if they are not ready or were taken before.
	TakeKeys(level Level, version uint32) (Keys, error)

	// State returns the state of the handshake. It is complete after EventHandshakeDone, and
	// available until Close. A server has ServerName, ALPN, CipherSuite and, if its provider has
	// Capabilities.HandshakeDetails, Group when it has keys to write 1-RTT packets.
	State() State

	// Export derives keying material (RFC 8446, 7.5). It is available from EventHandshakeDone
	// until Close, which the transport calls at the end of the connection.
	Export(label string, context []byte, length int) ([]byte, error)

	// IgnoreTickets frees the memory that the session keeps only to process messages after the
	// handshake. Messages that arrive later are still checked, and tickets are dropped. State,
	// Export and TakeKeys still work. IgnoreTickets does nothing before EventHandshakeDone and
	// after a failure.
	IgnoreTickets()

	// Close frees the session, except for keys that were taken. It may be called at any time.
	Close()
}

// CryptoData is a sequence of CRYPTO bytes of one encryption level.
type CryptoData struct {
	Level Level
	Data  []byte
}

// Decision answers an EventClientHello.
type Decision struct {
	// Endpoint, if not nil, replaces the server's configuration for this session. It must be an
	// Endpoint of the same provider. RequirePQ applies if either configuration sets it.
	Endpoint Endpoint
	// ALPN is the application protocol. It must be one that the client offered.
	ALPN string
	// TransportParameters is the server's encoded quic_transport_parameters extension.
	TransportParameters []byte
	// Version is the QUIC version that the connection will use.
	Version uint32
	// TicketData is kept in the tickets of this session, encrypted, for AcceptEarlyData of a later session.
	TicketData []byte
	// AcceptEarlyData decides whether to accept the early data that a client offers; nil means that they are rejected.
	// The provider calls it at most once, within Continue, if the configuration permits early data.
	AcceptEarlyData func(*EarlyDataOffer) bool
}

// An EarlyDataOffer describes a session whose client offers early data.
type EarlyDataOffer struct {
	// TicketData is that of the Decision of the session that the ticket comes from.
	TicketData []byte
	// TicketID identifies the ticket. It is random, and authenticated.
	TicketID [16]byte
	// Issued is when the ticket was issued.
	Issued time.Time
	// ServerName and ALPN are those of both sessions.
	ServerName, ALPN string
}

// An InitialPacket is the result of OpenInitial.
type InitialPacket struct {
	PacketNumber uint64
	HeaderLen    int // including the packet number
	PayloadLen   int // length of the plaintext after the header
}

// A TokenKey seals and opens address tokens. It is safe for concurrent use.
type TokenKey interface {
	// Seal appends the sealed plaintext, bound to aad, to dst. The nonce is random.
	Seal(dst, plaintext, aad []byte) ([]byte, error)
	// Open appends the plaintext to dst. It returns false if sealed was not made by Seal with
	// this key and aad.
	Open(dst, sealed, aad []byte) ([]byte, bool)
	Close()
}

// A ResetKey derives stateless reset tokens. It is safe for concurrent use.
type ResetKey interface {
	// Token returns the token of a connection ID.
	Token(connID []byte) [16]byte
	Close()
}
