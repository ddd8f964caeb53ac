package core

import "github.com/pqquic/pqquic/quic/internal/monotime"

// A Remnant is what an Endpoint keeps of a connection that has closed, instead of the Conn.
type Remnant struct {
	// Close is a datagram with CONNECTION_CLOSE to be repeated, at a falling rate, to a peer
	// that goes on sending; nil when the connection drains in silence.
	Close   []byte
	Expires monotime.Time
}
