package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Config is what a Conn needs from outside. One Config serves any number of Conns; it is not changed
// once one of them exists. Every field is set: defaults are package quic's business.
type Config struct {
	Side     tlsprovider.Side
	Provider tlsprovider.Provider
	TLS      tlsprovider.Endpoint

	// ServerName is the name that a client verifies.
	ServerName string
	// NextProtos are the application protocols, a server's in its order of preference.
	NextProtos []string
	// SelectTLS, if set, lets a server answer a ClientHello with another configuration. It is
	// called within a TLSJob, so it may block and may call foreign code.
	SelectTLS func(*tlsprovider.ClientHello) (TLSChoice, error)

	// Rand fills b with random bytes.
	Rand func(b []byte)
	// NewConnID makes a connection ID of ConnIDLen bytes.
	NewConnID func() wire.ConnID
	// ResetToken is the stateless reset token of one of our connection IDs.
	ResetToken func(wire.ConnID) [16]byte

	HandshakeTimeout time.Duration // from the first datagram to the completed handshake
	IdleTimeout      time.Duration // 0: none
	KeepAlive        time.Duration // 0: off
	// KeyUpdateAfter is the number of packets sealed in one phase before we update; 0: only as
	// the AEAD's limit demands.
	KeyUpdateAfter uint64
	// DatagramSize is the largest UDP payload to send, at least MinInitialSize.
	DatagramSize int

	Streams streams.Config
}

// TLSChoice is SelectTLS's answer. Zero fields keep the Config's.
type TLSChoice struct {
	TLS        tlsprovider.Endpoint
	NextProtos []string
}
