package http3

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxStreams is the number of requests that a client may have in progress, unless Server.QUIC sets it.
//
// "So as to not unnecessarily limit parallelism, at least 100 request streams SHOULD be permitted at a time."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.1-2
const maxStreams = 256

// minUniStreams is the number of unidirectional streams that HTTP/3 and QPACK need of each side.
const minUniStreams = 3

// checkUniStreams refuses a configuration with which the peer cannot open its control stream and those of QPACK.
//
// "Therefore, the transport parameters sent by both clients and servers MUST allow the peer to create at least three unidirectional
// streams."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-5
func checkUniStreams(c *quic.Config) error {
	if n := c.MaxIncomingUniStreams; n != 0 && n < minUniStreams {
		return fmt.Errorf("http3: MaxIncomingUniStreams is %d: HTTP/3 needs at least %d", n, minUniStreams)
	}
	return nil
}

// quicConfig returns the configuration of the transport.
func (s *Server) quicConfig() (*quic.Config, error) {
	c := quic.Config{MaxIncomingStreams: maxStreams}
	if s.QUIC != nil {
		c = *s.QUIC
	}
	if s.Provider != nil {
		c.Provider = s.Provider
	}
	own := s.TLS
	switch {
	case own != nil && s.TLSConfig != nil:
		return nil, errors.New("http3: Server.TLS and Server.TLSConfig are both set")
	case s.TLSConfig != nil:
		if err := useTLSConfig(&c, s.TLSConfig); err != nil {
			return nil, err
		}
		own = c.TLS
	case own == nil && c.TLS != nil:
		own = c.TLS
	case own == nil && c.GetTLSConfig == nil:
		return nil, errors.New("http3: a Server needs TLSConfig or TLS")
	}
	if own != nil {
		c.TLS = s.withProto(own)
	}
	if s.EnableDatagrams && c.MaxDatagramFrameSize == 0 {
		c.MaxDatagramFrameSize = 1<<16 - 1
	}
	nameSchemas(&c)
	return &c, checkUniStreams(&c)
}

// withProto returns a configuration for HTTP/3.
func (s *Server) withProto(cfg *tlsprovider.Config) *tlsprovider.Config {
	own := *cfg
	own.NextProtos = []string{NextProto}
	own.EarlyData = own.EarlyData || s.EarlyData
	return &own
}

// SetTLS replaces the TLS configuration of a Server that serves, on all sockets that it has opened or was passed to Serve, and
// that it will. Requests and handshakes in progress are not affected: see quic.Endpoint.SetTLS. NextProtos of cfg are not used.
// If SetTLS returns an error, nothing has changed. Functions of Server.TLSConfig that choose a certificate or a configuration
// are still asked first. Listeners passed to ServeListener belong to the caller.
func (s *Server) SetTLS(cfg *tlsprovider.Config) error {
	if cfg == nil {
		return errors.New("http3: SetTLS with a configuration that is nil")
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	own := s.withProto(cfg)
	done := make(map[*quic.Listener]bool)
	for {
		l, err := s.nextToReplace(own, done)
		if l == nil || err != nil {
			return err
		}
		done[l] = true
		if err := l.Endpoint().SetTLS(own); err != nil && !errors.Is(err, net.ErrClosed) {
			return err // of the first one: they have the same provider
		}
	}
}

// nextToReplace returns a Listener that SetTLS has not handled, or nil. Listeners that are made later use own, once it is known to
// be valid.
func (s *Server) nextToReplace(own *tlsprovider.Config, done map[*quic.Listener]bool) (*quic.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return nil, fmt.Errorf("%w: %w", ErrServerClosed, net.ErrClosed)
	}
	if len(done) > 0 {
		s.replaced = own
	}
	for l, isOwn := range s.listeners {
		if isOwn && !done[l] {
			return l, nil
		}
	}
	if len(done) == 0 {
		return nil, errors.New("http3: SetTLS of a Server that does not serve: set TLS")
	}
	return nil, nil
}

// useReplaced lets a Listener that was added use the configuration of SetTLS. That fails only if its Endpoint is closed.
func (s *Server) useReplaced(l *quic.Listener) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	cfg := s.replaced
	s.mu.Unlock()
	if cfg != nil {
		_ = l.Endpoint().SetTLS(cfg)
	}
}

// tlsState returns the state of a connection in the form of crypto/tls.
func tlsState(qc *quic.Conn) *tls.ConnectionState {
	s := qc.ConnectionState().TLS
	t := &tls.ConnectionState{
		Version: tls.VersionTLS13, HandshakeComplete: s.HandshakeDone, DidResume: s.Resumed,
		CipherSuite: uint16(s.CipherSuite), NegotiatedProtocol: s.ALPN,
		ServerName: s.ServerName, CurveID: tls.CurveID(s.Group), HelloRetryRequest: s.HelloRetried,
	}
	// A certificate that the provider has verified but crypto/x509 cannot parse is left out.
	t.PeerCertificates, _ = s.PeerCertificates()
	return t
}
