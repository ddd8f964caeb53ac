package quic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/udp"
	"github.com/pqquic/pqquic/quic/qlog"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Config configures an Endpoint, its connections, or both. The zero value has usable defaults except for
// the application protocol (TLS.NextProtos) and a server's certificate. A Config may be shared, and must
// not be changed once it is in use.
type Config struct {
	// Provider is the TLS implementation; nil means tlsprovider/native. Under the build tags
	// pqquic_fips and pqquic_fips4 nil is an error. All connections of an Endpoint share its
	// provider.
	Provider tlsprovider.Provider

	// TLS configures the handshake. NextProtos must name at least one protocol; a server needs
	// Certificates, unless GetTLSConfig returns them. Endpoint.SetTLS replaces it.
	TLS *tlsprovider.Config
	// ClientTLS, if set, replaces TLS for connections that are dialed. An Endpoint that listens
	// with Certificates in TLS refuses to dial without it: those Certificates are a server's,
	// and would be shown to every server that asks for one.
	ClientTLS *tlsprovider.Config

	// ServerName is the name that a client requests and verifies. If it is empty, the host that was dialed
	// is used.
	ServerName string

	// ClassicalFallback permits Dial to connect without post-quantum key exchange on networks that lose
	// ClientHellos of more than one datagram. It is the number of probe timeouts without an answer after which
	// Dial makes a second attempt, with a classical ClientHello in one datagram: 3 means after 5 seconds. An
	// attacker who drops datagrams can then do the same, so each such connection is reported as a downgrade
	// (ConnectionState.Fallback, HandshakeStats.Fallbacks, Logger). With RequirePQ there is never a second
	// attempt, and it cannot be used with a Policy. 0 means never. See docs/real-networks.md.
	ClassicalFallback int

	// HandshakeTimeout bounds the time from the first packet to the completed handshake.
	// 0 means 10 s.
	HandshakeTimeout time.Duration
	// MaxIdleTimeout ends a connection on which nothing arrives. The smaller of the two peers'
	// values applies. 0 means 30 s; a negative value disables ours.
	MaxIdleTimeout time.Duration
	// KeepAlivePeriod is how long a connection may be silent before a PING is sent to keep it alive. At
	// most half the idle timeout is used. 0 means never.
	KeepAlivePeriod time.Duration
	// CloseTimeout bounds how long Conn.Close waits for the peer to acknowledge what was written. 0 means 5
	// s.
	CloseTimeout time.Duration

	// StreamWindow is the initial number of bytes that a peer may send on a stream before the application
	// reads them. It grows, up to MaxStreamWindow, with the bandwidth-delay product if the reader keeps up.
	// ConnWindow and MaxConnWindow are the same for all streams of a connection together. 0 means 512 KiB,
	// 16 MiB, 16 MiB and 64 MiB.
	//
	// While streams are opened beside bulk data on a near path, the peer may use less of the windows, so that
	// small messages do not wait behind a long queue: see docs/flow-control.md.
	//
	// A stream that the application does not read keeps the bytes of its window, which count towards the
	// connection's window too. When that is used up, the peer cannot send on any stream. ConnWindow should
	// therefore be a multiple of StreamWindow, especially in a proxy, which cannot choose when its streams
	// are read. With the defaults, 32 unread streams use up the connection's window. If the windows of
	// streams have grown because their readers kept up, at least 4 streams do, because the connection's
	// window grows to 4 times the largest of them. StreamStats shows how much of the window is used and how
	// often the peer was blocked.
	//
	// Windows do not reserve memory. MaxReceiveMemory bounds the memory, and also the growth of a
	// connection's window.
	StreamWindow, MaxStreamWindow int64
	ConnWindow, MaxConnWindow     int64
	// StreamSendBuffer is the number of unacknowledged bytes on a stream at which Write blocks. 0 means 4
	// MiB. The streams of a connection share its part of MaxSendMemory. Streams whose peers do not read
	// leave a quarter of it to the others, which are then limited to small buffers: a proxy with many
	// slow readers should set a smaller value.
	//
	// While several streams send, Write also blocks if more bytes wait to be sent than a processor's cache holds: see
	// docs/flow-control.md.
	StreamSendBuffer int64

	// Loops is the number of loops of an Endpoint that Listen opens, from 1 to 256. Each has a socket with
	// the same address, a goroutine that reads it, and its own connections, so that several CPUs can receive
	// at the same time. The limits of this Config apply to all of them together. 0 means 1. More than one
	// loop needs Linux, and the Endpoint can then not dial. Several loops may call Accept and
	// RequireAddressValidation at the same time. Dial ignores Loops. See docs/several-loops.md.
	Loops int

	// SeparateHandshakes lets Listen open two sockets with the same address: one for the packets of established connections,
	// and one for those that begin with a long header, as all packets of new clients do. Each has a goroutine that reads it
	// and a buffer in the kernel, so that handshakes, and a slow Accept, GetConfigForClient or RequireAddressValidation, do
	// not keep the packets of established connections waiting or fill their buffer. It needs Linux and one loop. Dial
	// ignores it. See docs/separate-handshakes.md.
	SeparateHandshakes bool

	// MaxConns is the maximum number of connections of an Endpoint, in any state. When it is reached,
	// clients are refused (CONNECTION_REFUSED) and Dial fails. 0 means 65,536.
	MaxConns int
	// MaxSendMemory and MaxReceiveMemory bound the memory, in bytes, that all connections of an Endpoint
	// use for data that was written but not acknowledged, and for data that has arrived but was not read. A
	// connection may use as much as is free: a single connection gets at most half, and connections that
	// all want more get equal shares. Each may always use 64 KiB. When MaxSendMemory is used up, Write
	// blocks. When MaxReceiveMemory is used up, packets with stream data are dropped, and the peer sends
	// their contents again. 0 means 256 MiB each.
	MaxSendMemory, MaxReceiveMemory int64

	// MaxIncomingStreams and MaxIncomingUniStreams are the numbers of streams that the peer may have open
	// at a time. 0 means 100. A negative value means none.
	MaxIncomingStreams, MaxIncomingUniStreams int64

	// MaxAbortedStreams is the number of streams per second that the peer may open and abort, by resetting
	// them or by asking us to stop sending before we have finished. A burst of five times as many is
	// allowed. After that, the peer can open new streams only at this rate. Streams that we asked the peer
	// to abort (Stream.StopSending, Stream.Close) do not count. StreamStats.WithheldStreams counts how
	// often the limit applied. 0 means 200. A negative value means no limit.
	MaxAbortedStreams int64

	// MaxDatagramFrameSize is the size of the largest DATAGRAM frame (RFC 9221) that the peer may send, and enables
	// Conn.ReceiveDatagram. 65535 accepts every datagram that fits into a packet. 0 means that no datagrams are
	// accepted. Sending datagrams needs only the peer's permission.
	MaxDatagramFrameSize int64
	// DatagramSendQueue is the number of datagrams of a connection that may wait to be sent before SendDatagram
	// fails. DatagramReceiveQueue is the number that may wait for ReceiveDatagram before the oldest are dropped.
	// The bytes count towards MaxSendMemory and MaxReceiveMemory. 0 means 32 and 128.
	DatagramSendQueue, DatagramReceiveQueue int

	// EnableResetStreamAt permits the peer to abort streams whose first bytes must still be read (RESET_STREAM_AT,
	// draft-ietf-quic-reliable-stream-reset). Read returns these bytes before the *StreamError. Stream.ResetAt needs
	// the setting of the peer.
	EnableResetStreamAt bool

	// CongestionControl chooses how fast connections send. The zero value means CUBIC. See package congestion.
	CongestionControl congestion.Algorithm

	// DisableECN sends packets without ECN marks. Otherwise, packets are marked on Linux with a *net.UDPConn, on each path
	// as long as the marks arrive, and routers can signal congestion without dropping packets. ConnStats.ECNCapable shows
	// the result. The peer's marks are reported to it in any case. See docs/ecn.md.
	DisableECN bool

	// DisablePathMTUDiscovery limits datagrams to 1200 bytes of UDP payload, which every path carries.
	// Otherwise, a connection with bulk data to send probes for the largest datagrams that its path carries,
	// up to packets of 9000 bytes. This needs a *net.UDPConn of which the system does not fragment datagrams,
	// as on Linux; with other sockets, datagrams are limited as well. ConnStats.DatagramSize shows the result.
	// See docs/path-mtu.md.
	DisablePathMTUDiscovery bool
	// MaxUDPPayload is the size in bytes of the largest datagrams that this side sends, without the UDP header, from
	// 1200 to 8972. Set it if the network is known to carry less than it seems to, or to make connections use the
	// same size. The peer's datagrams may be larger. 0 means 8972 (8952 over IPv6).
	MaxUDPPayload int

	// ConnIDLength is the length in bytes of the connection IDs by which the Endpoint finds the connection of a packet, up
	// to 20. 0 means 8. IDs of less than 8 bytes save space in each packet, but can be guessed, come back in later
	// connections, and are not answered with stateless resets. A negative value means empty IDs, for an Endpoint that only
	// dials: it has at most one connection to each address. See docs/connection-ids.md.
	ConnIDLength int
	// GenerateConnID, if set, writes what it needs into each new connection ID of the Endpoint, for example routing
	// information for a load balancer (QUIC-LB). id has ConnIDLength bytes; with several loops it has 4 bytes less, because
	// the others name the loop. All bytes are random at first. What GenerateConnID changes must not let observers see which
	// IDs belong together, so it should be encrypted, and IDs must not repeat.
	//
	// GenerateConnID is called for each connection and each Retry, and when a peer needs another ID, on any goroutine, possibly
	// several times at the same time. Locks are held: it must not block, and must not call methods of the Endpoint or of
	// connections. If it returns an error or panics, clients are dropped, Dial fails, and connections go on with the IDs
	// that they have. If it returns an ID that is in use, it is called again, up to 16 times.
	GenerateConnID func(id []byte) error
	// ConnIDLifetime is the time after which a connection replaces its IDs, at least a minute, so that observers cannot
	// follow it for longer by its ID. It does so with the next packet of the peer. 0 means that only migration changes them.
	ConnIDLifetime time.Duration
	// RotateHandshakeConnID replaces the IDs that were used during the handshake after it, so that observers who see only a
	// part of a connection cannot recognize it by the IDs of its handshake, which also shows the server's name.
	RotateHandshakeConnID bool

	// PreferredIPv4 and PreferredIPv6 are addresses of a server to which its clients should move after the handshake (RFC 9000,
	// section 9.6), for example because they have connected to an anycast address. They must belong to the server's
	// socket: it must be a *net.UDPConn that is bound to all addresses of the host, with the same port. Port 0 means that
	// port. Only Linux reports to which address a datagram was sent.
	PreferredIPv4, PreferredIPv6 netip.AddrPort
	// IgnorePreferredAddress keeps clients at the address that they have dialed.
	IgnorePreferredAddress bool
	// DisableActiveMigration asks the clients of a server to keep their address (disable_active_migration). A server that is
	// reached through a load balancer that knows nothing of connection IDs needs it. Clients whose address a NAT changes
	// are followed all the same. See docs/migration.md.
	DisableActiveMigration bool

	// EnableAckFrequency reduces the number of acknowledgements on fast connections to peers that support it, and allows
	// peers to request the same of this side (draft-ietf-quic-ack-frequency). See docs/ack-frequency.md.
	EnableAckFrequency bool
	// EnableSpinBit lets observers on the path measure the round-trip time of connections by a bit of each packet (RFC
	// 9000, section 17.4). Even so, one in 16 connections does not use the bit, as the RFC requires.
	EnableSpinBit bool

	// GreaseFixedBit accepts packets whose fixed bit is 0, and sends packets with a random fixed bit to peers that accept
	// them too (RFC 9287), so that the network does not come to rely on the bit. Packets of other protocols can then not be
	// told from QUIC: the setting excludes NonQUICQueue. See docs/fixed-bit.md.
	GreaseFixedBit bool

	// DisableHelloScrambling sends a client's first message in order. Otherwise it is cut within the server's name and sent
	// in pieces, so that networks do not come to rely on the name being in one piece in the first packet. This does not
	// hide the name. The environment variable PQQUIC_DISABLE_CLIENTHELLO_SCRAMBLING has the same effect. See
	// docs/real-networks.md.
	DisableHelloScrambling bool

	// Versions are the QUIC versions to use, in order of preference, without repetitions. Nil means Version1.
	//
	// A client begins with Version1 if that is among them, because servers know it, and otherwise with the first. A
	// server that knows several of a client's versions chooses the one that it prefers, without a further round trip. If
	// a server knows only other versions, Dial begins again with one that both know. Both sides detect it if an attacker
	// influences the choice (RFC 9368). See docs/versions.md.
	Versions []Version

	// KeyUpdateInterval is the number of packets after which keys are updated. 0 means as late as the
	// AEAD's limit permits.
	KeyUpdateInterval uint64

	// MaxHandshakes is the number of incomplete handshakes at which an Endpoint begins to require address
	// validation (Retry) from new clients. 0 means 1024.
	MaxHandshakes int
	// AcceptBacklog is the number of connections that may wait for Accept before clients are refused.
	// Clients whose handshakes have begun by then are not refused. 0 means 256.
	AcceptBacklog int
	// AddressValidation is a server's policy for the addresses of new clients.
	AddressValidation AddressValidation
	// RequireAddressValidation, if set, reports whether a client must prove its address with a Retry although
	// the server is not under load. It is called on the receive path for any packet that may be a client's
	// first, before the client's token is checked. It must not block.
	RequireAddressValidation func(netip.AddrPort) bool

	// AllowReflectionPorts lets a server answer clients whose source port is 0, 17, 19, 53, 111, 123, 137, 138, 161, 389,
	// 500, 1900, 3702, 5353, 5355 or 11211. Services such as DNS and NTP have these ports, and attackers forge packets with
	// their addresses to have servers send to them, or let them send to servers. Packets from these ports that belong to no
	// connection are therefore dropped, and a connection does not follow its client to such a port. See DatagramDrops.
	AllowReflectionPorts bool

	// Accept, if set, decides whether to admit a client before any TLS work is done for it. An error
	// refuses the client with CONNECTION_REFUSED. A *RefusedError also sends a reason, and ErrIgnore drops
	// the client without an answer. Accept must not block. It is called on the receive path, or on a timer
	// for clients that had to wait for TLS.
	Accept func(ClientInfo) error

	// GetConfigForClient, if set, selects the configuration of a client's connection before any TLS work is done for
	// it: windows, limits on streams and datagrams, timeouts, congestion control and, if its TLS is not nil, TLS. The
	// fields that concern the Endpoint have no effect in it: those with limits of the Endpoint, addresses, loops,
	// secrets, tokens, and the callbacks of a server. Its Provider must be nil or the Endpoint's. If its TLS is nil, it follows
	// Endpoint.SetTLS. If Config.TLS sets
	// RequirePQ or RequirePQAuth, that applies as well. Nil means the Endpoint's own Config. Errors are treated like those of Accept,
	// after which it is called, and it must not block either. Each connection then has about 2 kB more.
	GetConfigForClient func(ClientInfo) (*Config, error)

	// ConnContext, if set, returns a context for a client's connection, derived from ctx. Conn.Context and the contexts of
	// streams have its values. Its deadline and its end have no effect, because a connection ends by itself. It is called
	// after Accept and GetConfigForClient, and must not block. If it panics, the client is refused.
	ConnContext func(ctx context.Context, client ClientInfo) context.Context

	// GetTLSConfig, if set, selects a server's configuration for a ClientHello. Nil means Config.TLS. If
	// Config.TLS sets RequirePQ or RequirePQAuth, it applies to every other configuration as well. An error fails the
	// handshake with internal_error, or with the Alert of a *tlsprovider.Error. Return the same pointer for
	// the same configuration, because each pointer is prepared once, and return a new pointer when
	// certificates or ticket keys have changed. An Endpoint keeps the 1024 configurations that were used
	// last. A configuration without TicketKeys generates its own, so sessions of the configuration that it
	// replaces cannot be resumed: set TicketKeys to keep them. GetTLSConfig may block for as long as
	// HandshakeTimeout.
	GetTLSConfig func(*tlsprovider.ClientHello) (*tlsprovider.Config, error)

	// AcceptEarlyData, if set, decides whether a server accepts the early data (0-RTT) that a client offers. The TLS
	// configuration must permit early data as well (tlsprovider.Config.EarlyData). Nil means that each ticket is
	// accepted once, by the Endpoint that issued it, within 24 hours. Servers of a fleet that should accept each
	// other's tickets must agree, for example in a database, which TicketIDs have been used. AcceptEarlyData may block
	// for as long as HandshakeTimeout. If it panics, the early data are rejected.
	AcceptEarlyData func(EarlyDataOffer) bool

	// EnableHalfRTT lets a server send before the handshake is complete (0.5-RTT data): Accept returns a connection as
	// soon as the server has answered the client's first message. Protocols in which the server speaks first save a
	// round trip. By then the client has proved nothing: its address may be spoofed, unless AddressValidation requires a
	// Retry, and its handshake may never complete. Whatever the client sends on streams arrives when it is complete:
	// see Conn.HandshakeComplete. A server that verifies clients (ClientAuth, VerifyPeer) cannot set it, because it
	// would send to clients that are not verified; for a configuration of GetTLSConfig that does, Accept waits. It has no
	// effect on clients. See docs/early-data.md.
	EnableHalfRTT bool

	// NonQUICQueue is the number of packets of other protocols on the Endpoint's socket, such as STUN, that may wait
	// for Endpoint.ReadNonQUICPacket. Further ones are dropped. They have up to 9000 bytes each. 0 means that such
	// packets are dropped. It concerns the Endpoint: a Config for dialing has no effect.
	NonQUICQueue int

	// MaxSigners is the number of calls of a Certificate.Signer that may run at a time. One Signer has at most half of
	// them. Other handshakes wait for their turn. A call that does not return keeps its place, also after SignTimeout.
	// It is also the number of calls of GetTLSConfig and AcceptEarlyData, together, that may run at a time. 0 means 1024.
	// See docs/keys-in-hardware.md.
	MaxSigners int
	// SignTimeout bounds the time for which a handshake waits for its Certificate.Signer, including the time until it
	// is its turn. Then the handshake fails with internal_error. 0 means 5 s.
	SignTimeout time.Duration

	// TokenSecrets protect the tokens by which clients prove their addresses. Each must have at least 32 bytes.
	// The first seals new tokens; all of them open tokens. Endpoints with the same secrets accept each other's
	// tokens: see Endpoint.SetTokenSecrets. Nil means a random secret that is replaced every day.
	TokenSecrets [][]byte
	// TokenLifetime is how long a client can use the token that a server gives it for its next connection. The
	// token can be used once at each Endpoint, from the IP address of the client. 0 means 24 hours. A negative
	// value means that no tokens are given and none but those of Retry packets are accepted.
	TokenLifetime time.Duration
	// TokenStore keeps the tokens that a client gets from servers. Nil means that the Endpoint keeps some for
	// its own connections; the function Dial, whose Endpoint has one connection, needs a TokenStore to use them.
	// A token lets the server recognize the client.
	TokenStore tlsprovider.ClientStore
	// ResetSecret is the secret from which stateless reset tokens are derived. It must have at least 32
	// bytes. Set it to let peers of a restarted server learn that their connections are gone. Nil means a
	// random secret.
	//
	// Endpoints that run at the same time must not share a ResetSecret, unless packets with a connection ID
	// only reach the endpoint that has the connection. Anyone who sends a packet with the connection ID of
	// a live connection to another endpoint with the same secret receives the token that ends the
	// connection (RFC 9000, section 21.11). See docs/stateless-resets.md.
	ResetSecret []byte

	// Logger receives messages about connections that are established or closed (Debug), about handshakes
	// that fail because of this server's configuration, such as a GetTLSConfig error or a certificate that
	// clients reject (Warn), about clients that are refused because the backlog is full (Warn), about a SetTLS
	// without TicketKeys, which ends the sessions of clients (Warn), about socket buffers and offloads that the
	// system refuses (Warn), and about panics and socket failures (Error). Messages that clients can cause are
	// logged at most once in ten seconds, except at Debug. Packets and secrets are never logged. Nil means no
	// logging.
	Logger *slog.Logger

	// OnConn, if set, is called when a connection begins, when its handshake is complete, and when it has
	// ended, even if the handshake has failed. It must not block. It may be called on any goroutine. If a
	// connection ends at the moment at which it is established, the last two calls may overlap or come in the
	// other order.
	OnConn func(*Conn, ConnEvent)

	// Qlog says where the events of connections are logged: packets, frames, congestion control and keys. Nil
	// means the directory that the environment variable QLOGDIR names, if it is set. A Config for dialing has
	// its own. See docs/observability.md.
	Qlog *qlog.Config
}

// ClientInfo describes a client that wants to connect, before TLS.
type ClientInfo struct {
	// RemoteAddr is the source address of the client's packets. It may be spoofed unless AddrValidated is
	// set.
	RemoteAddr netip.AddrPort
	// LocalAddr is the zero value if the socket does not report it.
	LocalAddr netip.AddrPort
	// AddrValidated reports whether the client has proved its address with a Retry.
	AddrValidated bool
	// Version is the QUIC version of the client's packets.
	Version Version
	// ID is what Conn.ID will return for the connection, to identify it in logs.
	ID string
}

const (
	minSecret        = 32
	maxTLSConfigs    = 1024 // of servers
	maxClientTLS     = 64   // of clients, each of which may hold a store of roots
	maxClientKinds   = 64   // kinds of clients whose last configuration is remembered
	maxTokenServers  = 256  // servers of which an Endpoint without a TokenStore keeps tokens
	defaultDatagram  = 1200
	defaultSigners   = 1024
	defaultBacklog   = 256
	defaultHandshake = 1024
)

// withDefaults returns a copy of c with every field set, or an error that names an invalid field.
func (c *Config) withDefaults() (*Config, error) {
	var d Config
	if c != nil {
		d = *c
	}
	if d.Provider == nil {
		p, err := defaultProvider()
		if err != nil {
			return nil, err
		}
		d.Provider = p
	}
	if d.TLS == nil {
		d.TLS = new(tlsprovider.Config)
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Qlog == nil {
		d.Qlog = qlog.FromEnvironment()
	}
	setDefault(&d.HandshakeTimeout, 10*time.Second)
	setDefault(&d.MaxIdleTimeout, 30*time.Second)
	setDefault(&d.CloseTimeout, 5*time.Second)
	setDefault(&d.SignTimeout, 5*time.Second)
	setDefault(&d.TokenLifetime, 24*time.Hour)
	setDefault(&d.StreamWindow, 512<<10)
	setDefault(&d.MaxStreamWindow, max(16<<20, d.StreamWindow))
	setDefault(&d.ConnWindow, max(16<<20, d.StreamWindow))
	setDefault(&d.MaxConnWindow, max(64<<20, d.ConnWindow))
	setDefault(&d.Loops, 1)
	setDefault(&d.ConnIDLength, core.ConnIDLen)
	setDefault(&d.MaxConns, 1<<16)
	setDefault(&d.MaxSendMemory, 256<<20)
	setDefault(&d.MaxReceiveMemory, 256<<20)
	setDefault(&d.StreamSendBuffer, 4<<20)
	setDefault(&d.MaxIncomingStreams, 100)
	setDefault(&d.MaxIncomingUniStreams, 100)
	setDefault(&d.MaxAbortedStreams, 200)
	setDefault(&d.MaxUDPPayload, core.MaxDatagramSize)
	setDefault(&d.DatagramSendQueue, 32)
	setDefault(&d.DatagramReceiveQueue, 128)
	setDefault(&d.MaxHandshakes, defaultHandshake)
	setDefault(&d.AcceptBacklog, defaultBacklog)
	setDefault(&d.MaxSigners, defaultSigners)
	return &d, d.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks a Config in which every field is set.
func (c *Config) validate() error {
	for i, v := range c.Versions {
		if v != Version1 && v != Version2 || slices.Contains(c.Versions[:i], v) {
			return fmt.Errorf("quic: Config.Versions has %v, which is unknown or repeated: use quic.Version1 and quic.Version2", v)
		}
	}
	if c.Loops > 1 && c.SeparateHandshakes {
		return fmt.Errorf("quic: Config.SeparateHandshakes needs one loop, and Config.Loops is %d", c.Loops)
	}
	if c.Loops < 1 || c.Loops > udp.MaxGroup {
		return fmt.Errorf("quic: Config.Loops is %d; it must be from 0 to %d", c.Loops, udp.MaxGroup)
	}
	if c.ResetSecret != nil && len(c.ResetSecret) < minSecret {
		return fmt.Errorf("quic: Config.ResetSecret has %d bytes; it needs at least %d", len(c.ResetSecret), minSecret)
	}
	if err := checkTokenSecrets(c.TokenSecrets); err != nil {
		return err
	}
	if err := c.validateConnIDs(); err != nil {
		return err
	}
	switch {
	case c.MaxUDPPayload < defaultDatagram || c.MaxUDPPayload > core.MaxDatagramSize:
		return fmt.Errorf("quic: Config.MaxUDPPayload is %d; it must be from %d to %d", c.MaxUDPPayload, defaultDatagram, core.MaxDatagramSize)
	case c.GreaseFixedBit && c.NonQUICQueue > 0:
		return errGreasedNonQUIC
	case c.AddressValidation > ValidateNever:
		return fmt.Errorf("quic: Config.AddressValidation is %d; it must be one of the constants", c.AddressValidation)
	case c.AddressValidation != ValidateUnderLoad && c.RequireAddressValidation != nil:
		return errors.New("quic: Config.AddressValidation and RequireAddressValidation are both set")
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"HandshakeTimeout", c.HandshakeTimeout}, {"CloseTimeout", c.CloseTimeout},
		{"SignTimeout", c.SignTimeout}, {"KeepAlivePeriod", c.KeepAlivePeriod},
	} {
		if f.value < 0 {
			return fmt.Errorf("quic: Config.%s is negative: %v", f.name, f.value)
		}
	}
	for _, f := range []struct {
		name            string
		value, smallest int64
	}{
		{"StreamWindow", c.StreamWindow, 0}, {"MaxStreamWindow", c.MaxStreamWindow, c.StreamWindow},
		{"ConnWindow", c.ConnWindow, 0}, {"MaxConnWindow", c.MaxConnWindow, c.ConnWindow},
		{"StreamSendBuffer", c.StreamSendBuffer, 0}, {"MaxReceiveMemory", c.MaxReceiveMemory, 0},
		{"MaxSendMemory", c.MaxSendMemory, 0}, {"MaxConns", int64(c.MaxConns), 0},
		{"MaxHandshakes", int64(c.MaxHandshakes), 0}, {"AcceptBacklog", int64(c.AcceptBacklog), 0},
		{"MaxSigners", int64(c.MaxSigners), 0}, {"MaxDatagramFrameSize", c.MaxDatagramFrameSize, 0},
		{"DatagramSendQueue", int64(c.DatagramSendQueue), 1}, {"DatagramReceiveQueue", int64(c.DatagramReceiveQueue), 1},
		{"NonQUICQueue", int64(c.NonQUICQueue), 0}, {"ClassicalFallback", int64(c.ClassicalFallback), 0},
	} {
		if f.value < f.smallest || f.value > maxVarint {
			return fmt.Errorf("quic: Config.%s is %d; it must be from %d to 2^62-1", f.name, f.value, f.smallest)
		}
	}
	return nil
}

func checkTokenSecrets(secrets [][]byte) error {
	for i, s := range secrets {
		if len(s) < minSecret {
			return fmt.Errorf("quic: Config.TokenSecrets[%d] has %d bytes; it needs at least %d", i, len(s), minSecret)
		}
	}
	return nil
}

const maxVarint = 1<<62 - 1

// dialTLS returns the TLS configuration for connections that are dialed.
func (c *Config) dialTLS() *tlsprovider.Config {
	if c.ClientTLS != nil {
		return c.ClientTLS
	}
	return c.TLS
}

// checkProtos returns an error if t names no application protocol.
//
// "Unless another mechanism is used for agreeing on an application protocol, endpoints MUST use ALPN
// for this purpose."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-1
func checkProtos(t *tlsprovider.Config) error {
	if len(t.NextProtos) == 0 && (t.TLS == nil || len(t.TLS.NextProtos) == 0) {
		return errors.New("quic: Config.TLS.NextProtos names no application protocol")
	}
	return nil
}

// nextProtos returns the application protocols of a configuration that checkProtos accepted.
func nextProtos(t *tlsprovider.Config) []string {
	if len(t.NextProtos) == 0 && t.TLS != nil {
		return t.TLS.NextProtos
	}
	return t.NextProtos
}
