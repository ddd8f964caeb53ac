package quic

import (
	"context"
	"errors"
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/tlsprovider"
)

// An EarlyDataOffer describes a client that resumes a session and offers early data (0-RTT).
type EarlyDataOffer struct {
	// TicketID identifies the session ticket. A replay of early data has the same.
	TicketID [16]byte
	// Issued is when the ticket was issued.
	Issued time.Time
	// Own reports whether this Endpoint has issued the ticket, and not another one with the same TicketKeys, or an
	// earlier one of the same server.
	Own bool
	// ServerName and Protocol are the name and the application protocol of both connections.
	ServerName, Protocol string
}

// earlyDataWindow is how long a ticket can be used for early data if Config.AcceptEarlyData is nil.
const earlyDataWindow = 24 * time.Hour

var errEarlyDataOff = errors.New("quic: DialEarly needs tlsprovider.Config.EarlyData, which permits early data")

// DialEarly is like Dial, but returns as soon as the connection can send. If it resumes a session whose server permits
// early data (0-RTT), that is at once: what is written before the handshake is complete is sent as early data. Otherwise
// DialEarly returns when the handshake is complete.
//
// Anybody can record early data and send them to the server again, so write only what the server may process more than
// once: see docs/early-data.md. Conn.HandshakeComplete ends that time. If the server rejects early data, they are sent
// again after the handshake, within the limits that the server has then, and nothing is lost.
// ConnectionState.TLS.EarlyData has the outcome. The TLS configuration must set EarlyData.
//
// If there is no session, DialEarly tries other addresses, versions (Config.Versions) and, with ClassicalFallback,
// classical key exchange as Dial does. With a session it has returned by then: a connection whose server has given up its
// QUIC version ends with a *VersionNegotiationError. The server has processed nothing of what was written, and the next
// DialEarly uses another session or none.
func DialEarly(ctx context.Context, network, addr string, cfg *Config) (*Conn, error) {
	return dialNew(ctx, network, addr, cfg, true)
}

// DialEarly connects from the Endpoint's socket, like Endpoint.Dial, and returns early, like the function DialEarly.
func (e *Endpoint) DialEarly(ctx context.Context, addr string, cfg *Config) (*Conn, error) {
	return e.dialShared(ctx, addr, cfg, true)
}

// permitsEarlyData reports whether a server's connections may accept early data.
func (c *Config) permitsEarlyData() bool {
	return c.TLS.EarlyData || c.GetTLSConfig != nil && c.Provider.Capabilities().ZeroRTT
}

// checkHalfRTT returns an error if a server would send to clients that it has not verified.
func (c *Config) checkHalfRTT() error {
	if c.EnableHalfRTT && c.TLS.VerifiesClients() {
		return errors.New("quic: Config.EnableHalfRTT with a Config.TLS that verifies clients (ClientAuth, VerifyPeer): " +
			"data would be sent to clients that are not verified yet: set one of them only")
	}
	return nil
}

// acceptEarlyData decides about a client's early data, within a TLS job.
func (e *Endpoint) acceptEarlyData(o *tlsprovider.EarlyDataOffer, own bool) (accept bool) {
	if e.cfg.AcceptEarlyData == nil {
		// "Single-Use Tickets": a replay finds the ticket used. Tickets of other servers cannot be checked.
		now, issued := e.unixNano(), o.Issued.UnixNano()
		return own && now-issued <= int64(earlyDataWindow) && e.usedTickets.use(o.TicketID, issued, now)
	}
	e.pool.callUser(func() {
		err := tlsprovider.Guard("Config.AcceptEarlyData", func() error {
			accept = e.cfg.AcceptEarlyData(EarlyDataOffer{
				TicketID: o.TicketID, Issued: o.Issued, Own: own, ServerName: o.ServerName, Protocol: o.ALPN,
			})
			return nil
		})
		e.notePanic(nil, err)
	})
	return accept
}

// unixNano returns the Unix time of the Endpoint's clock.
func (g *common) unixNano() int64 { return g.clock.start.UnixNano() + int64(g.clock.now()) }

// reportEarly passes on a connection that can be used although its handshake is not complete. No lock is held.
func (c *Conn) reportEarly() {
	if c.dialed != nil {
		close(c.dialed.ready)
		return
	}
	c.deliver()
}

// EarlyData reports whether some of the stream's data arrived as early data (0-RTT), which can be a replay until the
// handshake is complete: see Conn.HandshakeComplete.
func (s *Stream) EarlyData() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.core.HasEarlyData(streams.ID(s.id))
}

// EarlyData is like Stream.EarlyData.
func (s *ReceiveStream) EarlyData() bool { return s.s.EarlyData() }
