package quic

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Config configures an Endpoint, its connections, or both. The zero value has usable defaults for
// everything but the application protocol (TLS.NextProtos) and a server's certificate. A Config must
// not be changed once it is in use, and can be shared.
type Config struct {
	// Provider is the TLS implementation; nil means tlsprovider/native. Under the build tags
	// pqquic_fips and pqquic_fips4 nil is an error. All connections of an Endpoint share its
	// provider.
	Provider tlsprovider.Provider

	// TLS configures the handshake. NextProtos must name at least one protocol; a server needs
	// Certificates, unless GetTLSConfig returns them.
	TLS *tlsprovider.Config
	// ClientTLS, if set, replaces TLS for connections that are dialed. An Endpoint that listens
	// with Certificates in TLS refuses to dial without it: those Certificates are a server's,
	// and would be shown to every server that asks for one.
	ClientTLS *tlsprovider.Config

	// ServerName is the name that a client asks for and verifies; empty means the host that was
	// dialed.
	ServerName string

	// HandshakeTimeout bounds the time from the first packet to the completed handshake.
	// 0 means 10 s.
	HandshakeTimeout time.Duration
	// MaxIdleTimeout ends a connection on which nothing arrives. The smaller of the two peers'
	// values applies. 0 means 30 s; a negative value disables ours.
	MaxIdleTimeout time.Duration
	// KeepAlivePeriod is how long a connection may be silent before a PING is sent to keep it
	// from becoming idle. At most half the idle timeout is used. 0 means never.
	KeepAlivePeriod time.Duration
	// CloseTimeout bounds how long Conn.Close waits for the peer to acknowledge what was
	// written. 0 means 5 s.
	CloseTimeout time.Duration

	// StreamWindow is the number of bytes that a peer may send on one stream before we have read
	// them, at first; it grows with the bandwidth-delay product of a reader that keeps up, to
	// MaxStreamWindow at most. ConnWindow and MaxConnWindow are the same for all streams of a
	// connection. 0 means 512 KiB, 16 MiB, 16 MiB and 64 MiB.
	//
	// A stream that the application does not read keeps its window's bytes until it does, and these
	// count towards the connection's window too: when that is used up, the peer cannot send on any
	// stream. ConnWindow should therefore be a multiple of StreamWindow, above all in a proxy, which
	// does not choose when its streams are read. With the defaults, 32 unread streams use up the
	// connection's window; if readers that kept up have let the streams' windows grow, at least 4
	// do, as the connection's window grows to 4 times the largest of them. StreamStats shows how
	// much is used, and how often the peer was stopped.
	//
	// Windows reserve no memory. MaxReceiveMemory bounds the memory, and also what the connection's
	// window may grow to.
	StreamWindow, MaxStreamWindow int64
	ConnWindow, MaxConnWindow     int64
	// StreamSendBuffer is the number of bytes that a Write may leave unacknowledged on a stream
	// before it blocks. 0 means 4 MiB.
	StreamSendBuffer int64

	// MaxConns is the number of connections of an Endpoint, in any state. Beyond it, clients are
	// refused (CONNECTION_REFUSED) and Dial fails. 0 means 65,536.
	MaxConns int
	// MaxSendMemory and MaxReceiveMemory bound the memory, in bytes, that all connections of an
	// Endpoint use for what was written and not acknowledged, and for what has arrived and was
	// not read. A connection may use as much as is free, so that a single one gets at most half
	// and connections that all want more get equal shares; 64 KiB are always allowed. When
	// MaxSendMemory is used up, Write blocks. When MaxReceiveMemory is used up, packets with
	// stream data are dropped, and the peer sends their contents again. 0 means 256 MiB each.
	MaxSendMemory, MaxReceiveMemory int64

	// MaxIncomingStreams and MaxIncomingUniStreams are the numbers of streams that the peer may
	// have open at a time. 0 means 100; a negative value means none.
	MaxIncomingStreams, MaxIncomingUniStreams int64

	// MaxAbortedStreams is the number of streams per second that the peer may open and abort, by a
	// reset or by asking us to stop sending before we have finished. A peer that aborts more, after
	// a burst of five times as many, can open new streams at this rate only. Streams that we asked
	// the peer to abort (Stream.StopSending, Stream.Close) do not count. StreamStats.WithheldStreams
	// counts how often the limit was met. 0 means 200; a negative value means no limit.
	MaxAbortedStreams int64

	// KeyUpdateInterval is the number of packets that are sealed before the keys are updated. 0
	// means as late as the AEAD's limit permits.
	KeyUpdateInterval uint64

	// MaxHandshakes is the number of clients with unfinished handshakes from which on an Endpoint
	// requires address validation (Retry) of new ones. 0 means 1024.
	MaxHandshakes int
	// AcceptBacklog is the number of connections that may wait for Accept; more are refused.
	// 0 means 256.
	AcceptBacklog int
	// RequireAddressValidation, if set, reports whether a client has to prove its address by a
	// Retry, which costs it a round trip. It is called on the receive path, for any packet that
	// may be a client's first: it must not block.
	RequireAddressValidation func(netip.AddrPort) bool

	// Accept, if set, decides about a client before any TLS work is done for it. An error refuses
	// the client with CONNECTION_REFUSED; a *RefusedError tells it the reason, and ErrIgnore
	// drops it without an answer. It must not block. It is called on the receive path, and from a
	// timer for clients that had to wait for TLS.
	Accept func(ClientInfo) error

	// GetTLSConfig, if set, picks the configuration for a ClientHello on a server. Nil means
	// Config.TLS, whose RequirePQ holds for every other configuration, too. An error fails the
	// handshake with internal_error, or with the Alert of a *tlsprovider.Error. Return the same
	// pointer for the same configuration, since each one is prepared once, and another pointer
	// when certificates or ticket keys have changed; an Endpoint keeps the 1024 that were used
	// last. A configuration without TicketKeys makes its own, so sessions of the configuration
	// that it replaces do not resume: set TicketKeys to keep them. It may block for as long as
	// HandshakeTimeout.
	GetTLSConfig func(*tlsprovider.ClientHello) (*tlsprovider.Config, error)

	// MaxSigners is the number of handshakes that may wait for a Certificate.Signer or for
	// GetTLSConfig at one time; more wait for their turn. 0 means 1024.
	MaxSigners int
	// SignTimeout bounds one call of a Certificate.Signer. 0 means 5 s.
	SignTimeout time.Duration

	// TokenSecret protects address validation tokens. It has at least 32 bytes. Endpoints that
	// share it accept one another's tokens. Nil means random.
	TokenSecret []byte
	// ResetSecret makes stateless reset tokens. It has at least 32 bytes. Set it if connections
	// are to be reset after a restart. Nil means random.
	//
	// Endpoints that run at the same time must not share a ResetSecret, unless packets with a
	// connection ID reach no endpoint but the one that has the connection. Anyone who sends a
	// packet with the connection ID of a live connection to another endpoint with the same
	// secret, by another address or port, receives the token that ends the connection
	// (RFC 9000, 21.11). See docs/stateless-resets.md.
	ResetSecret []byte

	// Logger receives messages about connections that come and go (Debug), about handshakes that
	// fail because of this server's configuration, such as a GetTLSConfig error or a certificate
	// that clients reject (Warn), about what the system refuses a socket (Warn), and about panics
	// and failures of the socket (Error). What clients can cause is logged once in ten seconds at
	// most, except at Debug. Nil means that nothing is logged. No packet is logged, and no secret.
	Logger *slog.Logger
}

// ClientInfo describes a client that wants to connect, before TLS.
type ClientInfo struct {
	// RemoteAddr is where its packets come from. Anyone can forge it unless AddrValidated.
	RemoteAddr netip.AddrPort
	// LocalAddr is the zero value if the socket does not report it.
	LocalAddr netip.AddrPort
	// AddrValidated reports whether the client has proved its address, by a Retry.
	AddrValidated bool
	// Version is the QUIC version of its packets.
	Version Version
}

const (
	minSecret        = 32
	maxTLSConfigs    = 1024 // of servers
	maxClientTLS     = 64   // of clients: each may hold a store of roots
	maxClientKinds   = 64   // whose last configuration is remembered
	defaultDatagram  = 1200
	defaultSigners   = 1024
	defaultBacklog   = 256
	defaultHandshake = 1024
)

// withDefaults returns a copy in which every field is set, or an error that names a wrong field.
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
	setDefault(&d.HandshakeTimeout, 10*time.Second)
	setDefault(&d.MaxIdleTimeout, 30*time.Second)
	setDefault(&d.CloseTimeout, 5*time.Second)
	setDefault(&d.SignTimeout, 5*time.Second)
	setDefault(&d.StreamWindow, 512<<10)
	setDefault(&d.MaxStreamWindow, max(16<<20, d.StreamWindow))
	setDefault(&d.ConnWindow, max(16<<20, d.StreamWindow))
	setDefault(&d.MaxConnWindow, max(64<<20, d.ConnWindow))
	setDefault(&d.MaxConns, 1<<16)
	setDefault(&d.MaxSendMemory, 256<<20)
	setDefault(&d.MaxReceiveMemory, 256<<20)
	setDefault(&d.StreamSendBuffer, 4<<20)
	setDefault(&d.MaxIncomingStreams, 100)
	setDefault(&d.MaxIncomingUniStreams, 100)
	setDefault(&d.MaxAbortedStreams, 200)
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

// validate is called when every field is set.
func (c *Config) validate() error {
	for _, f := range []struct {
		name   string
		secret []byte
	}{{"TokenSecret", c.TokenSecret}, {"ResetSecret", c.ResetSecret}} {
		if f.secret != nil && len(f.secret) < minSecret {
			return fmt.Errorf("quic: Config.%s has %d bytes; it needs at least %d", f.name, len(f.secret), minSecret)
		}
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
		{"MaxSigners", int64(c.MaxSigners), 0},
	} {
		if f.value < f.smallest || f.value > maxVarint {
			return fmt.Errorf("quic: Config.%s is %d; it has to be from %d to 2^62-1", f.name, f.value, f.smallest)
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
