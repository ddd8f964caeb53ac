package quic

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/pqquic/pqquic/tlsprovider"
)

// HandshakeStats counts the handshakes of an Endpoint in both roles. A client that is refused by
// Config.Accept or because the backlog is full has no handshake: see EndpointStats.Refused.
type HandshakeStats struct {
	Completed uint64
	Resumed   uint64 // completed with a session ticket
	Retried   uint64 // completed after a Retry
	// EarlyDataAccepted and EarlyDataRejected are the numbers of completed handshakes whose client offered early
	// data (0-RTT), by the server's decision.
	EarlyDataAccepted, EarlyDataRejected uint64
	// Groups counts the completed handshakes by their key exchange. Downgraded is the number of those whose
	// key exchange is classical although this side offers post-quantum ones: the peer has none in common.
	Groups     map[tlsprovider.Group]uint64
	Downgraded uint64
	Fallbacks  uint64 // those of Downgraded that Config.ClassicalFallback has caused
	Failed     uint64 // the sum of the counters below

	TimedOut           uint64 // not complete within Config.HandshakeTimeout, or idle
	Canceled           uint64 // ended by the context of Dial, Close or Shutdown
	Panicked           uint64 // see EndpointStats.Panics
	VersionNegotiation uint64 // no QUIC version in common
	Refused            uint64 // by the server with CONNECTION_REFUSED, or by its host with ICMP
	Transport          uint64 // by another transport error, on either side
	Other              uint64 // by a stateless reset, or closed by the peer's application

	// LocalAlerts and PeerAlerts count the handshakes that failed with a TLS alert from this side or from
	// the peer. docs/tls-errors.md explains the alerts.
	LocalAlerts, PeerAlerts map[tlsprovider.Alert]uint64
}

// handshakeCounts guards the counters. No other lock is taken while its mutex is held.
type handshakeCounts struct {
	mu sync.Mutex
	s  HandshakeStats
}

func (h *handshakeCounts) stats() HandshakeStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.s
	s.LocalAlerts, s.PeerAlerts, s.Groups = maps.Clone(s.LocalAlerts), maps.Clone(s.PeerAlerts), maps.Clone(s.Groups)
	return s
}

func (h *handshakeCounts) complete(state *tlsprovider.State, retried, downgraded, fallback bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.Completed++
	count(&h.s.Groups, state.Group)
	if downgraded {
		h.s.Downgraded++
	}
	if fallback {
		h.s.Fallbacks++
	}
	if state.Resumed {
		h.s.Resumed++
	}
	if retried {
		h.s.Retried++
	}
	switch state.EarlyData {
	case tlsprovider.EarlyDataAccepted:
		h.s.EarlyDataAccepted++
	case tlsprovider.EarlyDataRejected:
		h.s.EarlyDataRejected++
	}
}

func (h *handshakeCounts) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.Failed++
	var te *TransportError
	var panicked *tlsprovider.PanicError
	var version *VersionNegotiationError
	var app *ApplicationError
	var refused *refusedError
	switch {
	case errors.Is(err, ErrHandshakeTimeout), errors.Is(err, ErrIdleTimeout):
		h.s.TimedOut++
	case errors.Is(err, ErrEndpointClosed), errors.Is(err, ErrListenerClosed):
		h.s.Canceled++
	case errors.As(err, &panicked):
		h.s.Panicked++
	case errors.As(err, &refused):
		h.s.Refused++
	case errors.As(err, &version):
		h.s.VersionNegotiation++
	case errors.As(err, &te):
		h.failTransport(te)
	case errors.Is(err, ErrStatelessReset), errors.As(err, &app):
		h.s.Other++
	default:
		h.s.Canceled++ // err is the cause of Dial's context
	}
}

func (h *handshakeCounts) failTransport(e *TransportError) {
	alert, ok := e.Code.Alert()
	switch {
	case ok && e.Remote:
		count(&h.s.PeerAlerts, tlsprovider.Alert(alert))
	case ok:
		count(&h.s.LocalAlerts, tlsprovider.Alert(alert))
	case e.Code == ConnectionRefused && e.Remote:
		h.s.Refused++
	case e.Code == ApplicationErrorCode && e.Remote:
		h.s.Other++ // the code stands for an application's error before the handshake is complete
	default:
		h.s.Transport++
	}
}

func count[K comparable](m *map[K]uint64, key K) {
	if *m == nil {
		*m = make(map[K]uint64)
	}
	(*m)[key]++
}

// noteComplete counts a handshake that is complete. No lock is held.
func (c *Conn) noteComplete() {
	c.mu.Lock()
	state, retried := c.core.State(), c.core.Retried()
	c.mu.Unlock()
	c.ep.handshakes.complete(&state, retried, c.downgraded(&state), c.isFallback())
}

// downgraded reports whether a handshake is complete whose key exchange is classical although this side offers
// post-quantum ones.
func (c *Conn) downgraded(state *tlsprovider.State) bool {
	if !state.HandshakeDone || state.Group.PostQuantum() {
		return false
	}
	if c.isFallback() {
		return true
	}
	cfg := c.cfg.TLS
	if !c.server {
		cfg = c.cfg.dialTLS()
	}
	return offersPQ(c.ep.cfg.Provider, cfg)
}

// offersPQ reports whether a configuration has post-quantum key exchanges. Without Groups it has the
// provider's default ones. The groups of a Policy are not known, and count as post-quantum if the provider has
// such groups.
func offersPQ(p tlsprovider.Provider, cfg *tlsprovider.Config) bool {
	groups := cfg.Groups
	if len(groups) == 0 {
		caps := p.Capabilities()
		groups = caps.GroupIDs()
	}
	return slices.ContainsFunc(groups, tlsprovider.Group.PostQuantum)
}

// noteFailure counts a handshake that failed. A fault that only the server's operator can fix is logged at
// Warn. No lock is held.
func (c *Conn) noteFailure() {
	c.ep.handshakes.fail(c.err)
	var te *TransportError
	if !c.server || !errors.As(c.err, &te) {
		return
	}
	code, ok := te.Code.Alert()
	switch alert := tlsprovider.Alert(code); {
	case !ok:
	case !te.Remote && alert == tlsprovider.AlertInternalError:
		var panicked *tlsprovider.PanicError
		if !errors.As(te.err, &panicked) { // a panic has already been logged
			c.ep.logFault(faultLocal, slog.LevelWarn, "quic: a handshake failed because of a server error",
				"remote", c.RemoteAddr(), "err", te.err)
		}
	case te.Remote && rejectsCertificate(alert):
		c.ep.logFault(faultRejected, slog.LevelWarn, "quic: a client rejects the server's certificate",
			"remote", c.RemoteAddr(), "alert", alert.String(), "completed", c.ep.handshakes.stats().Completed)
	}
}

// rejectsCertificate reports whether an alert concerns the certificate that its receiver sent.
func rejectsCertificate(a tlsprovider.Alert) bool {
	switch a {
	case tlsprovider.AlertBadCertificate, tlsprovider.AlertUnsupportedCertificate,
		tlsprovider.AlertCertificateRevoked, tlsprovider.AlertCertificateExpired,
		tlsprovider.AlertCertificateUnknown, tlsprovider.AlertUnknownCA:
		return true
	}
	return false
}
