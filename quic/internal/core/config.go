package core

import (
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Config is what a Conn needs from its driver. Any number of Conns may share a Config. It must not be
// changed once a Conn uses it. Every field must be set unless its comment says otherwise: package quic fills
// in the defaults.
type Config struct {
	Side     tlsprovider.Side
	Provider tlsprovider.Provider
	TLS      tlsprovider.Endpoint

	// ServerName is the name that a client verifies in the server's certificate.
	ServerName string
	// NextProtos are the supported application protocols. A server lists them in order of preference.
	NextProtos []string
	// SelectTLS, if set, chooses a server's configuration for a ClientHello. It is called within a TLSJob,
	// so it may block and may call the application's code.
	SelectTLS func(*tlsprovider.ClientHello) (TLSChoice, error)

	// Token is the token of a NEW_TOKEN frame that a client sends in its Initial packets, or nil.
	Token []byte
	// TokenKey seals the token that a server sends to its client for the next connection; nil means that it
	// sends none. Epoch is EndpointConfig.Epoch.
	TokenKey tlsprovider.TokenKey
	Epoch    int64

	// AcceptEarlyData, if set, decides about the early data that a client offers to a server. own reports whether the
	// ticket was issued with this TicketIssuer. It is called within a TLSJob, like SelectTLS.
	AcceptEarlyData func(o *tlsprovider.EarlyDataOffer, own bool) bool
	TicketIssuer    [8]byte
	// HalfRTT permits a server to send 1-RTT packets before the handshake is complete (0.5-RTT data): see
	// EventEarlyData.
	HalfRTT bool

	// Rand fills b with random bytes.
	Rand func(b []byte)
	// NewConnID is EndpointConfig.NewConnID.
	NewConnID func() (wire.ConnID, error)
	// ConnIDLifetime is the time after which connection IDs are replaced; 0 means that they are not.
	ConnIDLifetime time.Duration
	// RotateHandshakeIDs replaces the connection IDs of the handshake when that is confirmed.
	RotateHandshakeIDs bool
	// ResetToken returns the stateless reset token of one of our connection IDs.
	ResetToken func(wire.ConnID) [16]byte

	HandshakeTimeout time.Duration // from the first datagram to the completed handshake
	IdleTimeout      time.Duration // 0 means none
	KeepAlive        time.Duration // 0 means off
	// KeyUpdateAfter is the number of packets to seal in one key phase before a key update; 0 means that
	// keys are updated only when the AEAD's limit requires it.
	KeyUpdateAfter uint64
	// DatagramSize is the largest UDP payload to send, at least MinInitialSize, until the path has been found
	// to carry more.
	DatagramSize int
	// MaxProbeSize is the largest UDP payload to try, at most MaxDatagramSize. Over IPv6, at most 20 bytes less
	// than that are tried. The socket must not allow datagrams to be fragmented. 0 means that nothing above
	// DatagramSize is tried.
	MaxProbeSize int
	// PreferredIPv4 and PreferredIPv6 are the addresses that a server wants its clients to use after the handshake, if they
	// are valid. The driver must report the local address of each datagram.
	PreferredIPv4, PreferredIPv6 netip.AddrPort
	// IgnorePreferredAddress keeps a client at the address that it has dialed.
	IgnorePreferredAddress bool
	// DisableActiveMigration asks the peer not to change its address on purpose. A NAT may still change it.
	DisableActiveMigration bool
	// ScrambleHello has a client send its ClientHello in pieces: see hello_scramble.go.
	ScrambleHello bool
	// AllowReflectionPorts lets a server follow a client to a port of reflectionPorts.
	AllowReflectionPorts bool
	// NewController returns the congestion controller for a path. nil means CUBIC.
	NewController func() recovery.Controller
	// NewTrace, if set, returns the function that receives what happens to a connection, or nil. odcid is
	// the destination connection ID of the client's first packet.
	NewTrace func(now monotime.Time, odcid wire.ConnID) TraceFunc

	Streams streams.Config

	// Versions are the versions that a connection may use, in order of preference, and among which it negotiates
	// (RFC 9368). nil means Version1 without negotiation.
	Versions []wire.Version
	// Version is the version of a client's first packets; 0 means FirstVersion.
	Version wire.Version
	// Negotiated is set if Version comes from a server's Version Negotiation packet.
	Negotiated bool

	// ECN enables the marking of packets with ECT(0). Marks that arrive are reported to the peer in any case.
	ECN bool
	// AckFrequency enables ACK_FREQUENCY and IMMEDIATE_ACK in both directions.
	AckFrequency bool
	// SpinBit enables the latency spin bit.
	SpinBit bool

	// GreaseFixedBit accepts packets whose fixed bit is 0, and sends such packets to peers that accept them (RFC 9287).
	GreaseFixedBit bool
	// TokenGreases is set if Token comes from a server that accepted any value of the fixed bit, less than 7 days ago.
	TokenGreases bool

	// MaxDatagramFrame is the largest DATAGRAM frame that the peer may send; 0 means none.
	MaxDatagramFrame uint64
	// DatagramSendQueue and DatagramReceiveQueue are the numbers of datagrams that may wait to be sent, and to
	// be read. Both must be positive.
	DatagramSendQueue, DatagramReceiveQueue int
}

// TLSChoice is the result of SelectTLS. Zero fields keep the Config's values.
type TLSChoice struct {
	TLS        tlsprovider.Endpoint
	NextProtos []string
	// VerifiesClients reports whether TLS verifies clients, which excludes Config.HalfRTT.
	VerifiesClients bool
	// Done, if set, is called when the session has begun to use TLS, or has failed.
	Done func()
}
