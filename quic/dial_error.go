package quic

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/pqquic/pqquic/quic/internal/udp"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A dialError is the error of a Dial that resolved its address. It describes what was received from there,
// and unwraps to what ended the handshake: one of this package's errors, or the cause of Dial's context.
type dialError struct {
	remote netip.AddrPort
	host   string
	detail string // may be empty
	err    error
}

func (e *dialError) Error() string {
	to := e.remote.String()
	if e.host != "" && e.host != e.remote.Addr().String() {
		to += " (" + e.host + ")"
	}
	s := fmt.Sprintf("quic: dial %s: %s", to, strings.TrimPrefix(e.err.Error(), "quic: "))
	if e.detail != "" {
		s += ": " + e.detail
	}
	return s
}

func (e *dialError) Unwrap() error { return e.err }
func (e *dialError) Timeout() bool {
	var t net.Error
	return errors.As(e.err, &t) && t.Timeout()
}
func (e *dialError) Temporary() bool { return false }

// dialError returns the error of a handshake that failed with err.
func (c *Conn) dialError(remote netip.AddrPort, host string, err error) error {
	e := &dialError{remote: remote, host: host, err: err}
	var te *TransportError
	var refused *refusedError
	switch {
	case errors.As(err, &refused): // the error is complete
	case errors.As(err, &te):
		if alert, ok := te.Code.Alert(); ok && te.Remote && tlsprovider.Alert(alert) == tlsprovider.AlertNoApplicationProtocol {
			e.detail = fmt.Sprintf("this client offers %q", nextProtos(c.cfg.dialTLS()))
		}
	case errors.Is(err, ErrEndpointClosed), errors.Is(err, ErrStatelessReset):
	default:
		var application *ApplicationError
		var version *VersionNegotiationError
		if errors.As(err, &application) || errors.As(err, &version) {
			break
		}
		// The handshake timed out or the caller gave up.
		n := c.Stats().DatagramsReceived
		if icmp := c.icmpError(); icmp != nil {
			e.detail = "the network reports: " + icmp.Error()
		} else if n == 0 {
			e.detail = "no QUIC packet was received from there: is it a QUIC server, and do firewalls let UDP through?"
		} else {
			e.detail = fmt.Sprintf("%d datagrams were received, but the handshake is not complete", n)
		}
	}
	return e
}

// noteICMP processes the ICMP messages about the datagrams of the Endpoint's only connection: see
// ReportErrors. It takes a bounded number of them, because anyone can send more; if there are any left, the
// next Read fails at once. No lock is held.
func (e *Endpoint) noteICMP() {
	buf := make([]byte, 64)
	for range maxICMP {
		icmp, ok := e.sock.NextError(buf)
		if !ok {
			return
		}
		e.mu.Lock()
		conns := slices.Collect(maps.Values(e.conns))
		e.mu.Unlock()
		for _, c := range conns {
			c.handleICMP(icmp)
		}
	}
}

const maxICMP = 64

// handleICMP processes an ICMP message. After the handshake, it may report the path's MTU. Before, if it reports
// that nothing listens on the peer's port, quotes a datagram of the connection, and nothing was received from
// the peer, the handshake fails. Other messages explain a timeout.
func (c *Conn) handleICMP(icmp udp.ICMPError) {
	c.mu.Lock()
	if c.over || c.core.Path().Remote != icmp.Remote {
		c.mu.Unlock()
		return
	}
	if c.isUp && icmp.Payload > 0 {
		now := c.ep.clock.now()
		c.core.HandlePacketTooBig(now, icmp.Payload, icmp.Quoted)
		c.dispatch(now, false)
		return
	}
	if c.isUp || !c.core.Quotes(icmp.Quoted) {
		c.mu.Unlock()
		return
	}
	c.dialed.icmpErr = icmp.Err
	c.mu.Unlock()
	if errors.Is(icmp.Err, syscall.ECONNREFUSED) {
		c.abort(&refusedError{icmp.Err}, uint64(NoError))
	}
}

func (c *Conn) icmpError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialed.icmpErr
}

// A refusedError is an ICMP message that reports that nothing listens on the peer's port.
type refusedError struct{ cause error }

func (e *refusedError) Error() string   { return "no QUIC server there: " + e.cause.Error() }
func (e *refusedError) Unwrap() []error { return []error{net.ErrClosed, e.cause} }
