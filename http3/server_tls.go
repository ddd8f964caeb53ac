package http3

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic"
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
		withProto := *own
		withProto.NextProtos = []string{NextProto}
		withProto.EarlyData = withProto.EarlyData || s.EarlyData
		c.TLS = &withProto
	}
	if s.EnableDatagrams && c.MaxDatagramFrameSize == 0 {
		c.MaxDatagramFrameSize = 1<<16 - 1
	}
	nameSchemas(&c)
	return &c, checkUniStreams(&c)
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
