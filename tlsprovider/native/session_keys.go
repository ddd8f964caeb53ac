package native

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A secret is the traffic secret of one direction, with the cipher suite.
type secret struct {
	suite tlsprovider.CipherSuite
	bytes []byte
}

const (
	read = iota
	write
)

// keepSecret keeps a traffic secret until TakeKeys derives keys from it.
func (s *session) keepSecret(ev *tls.QUICEvent) error {
	level := levelOf(ev.Level)
	su := tlsprovider.CipherSuite(ev.Suite)
	if suites[su] == nil {
		return fmt.Errorf("native: crypto/tls negotiated cipher suite 0x%04x, which package native does not support", ev.Suite)
	}
	e := tlsprovider.Event{Kind: tlsprovider.EventKeys, Level: level}
	dir := write
	if ev.Kind == tls.QUICSetReadSecret {
		dir = read
		if level != tlsprovider.LevelEarly { // there are no CRYPTO frames in 0-RTT packets
			s.readLevel = level
		}
	}
	if level == tlsprovider.LevelEarly {
		if !s.offerEarly() {
			return nil
		}
	}
	e.Read, e.Write = dir == read, dir == write
	s.secrets[level][dir] = &secret{su, append([]byte(nil), ev.Data...)}
	s.events = append(s.events, e)
	if level == tlsprovider.LevelApp && s.e.side == tlsprovider.Server {
		// crypto/tls returns its own state only when the handshake is complete.
		s.state.ALPN, s.state.Group, s.state.CipherSuite = s.chosenALPN, s.watch.Group(), su
	}
	return s.checkGroup()
}

// TakeKeys implements tlsprovider.Session.
func (s *session) TakeKeys(level tlsprovider.Level, version uint32) (k tlsprovider.Keys, err error) {
	if s.closed {
		return k, errSessionClosed
	}
	v, err := findVersion(version)
	if err != nil {
		return k, err
	}
	if s.e.side == tlsprovider.Client && level != tlsprovider.LevelEarly {
		s.quicVersion = version // the server may have chosen another one; the sessions that it sends belong to it
	}
	params := func(dir int) keyParams {
		from := s.secrets[level&3][dir]
		return keyParams{id: from.suite, version: v, secret: from.bytes, app: level == tlsprovider.LevelApp, approved: true}
	}
	take := func(dir int) {
		clear(s.secrets[level&3][dir].bytes)
		s.secrets[level&3][dir] = nil
	}
	if s.secrets[level&3][write] != nil {
		sealer, err := newSealer(&s.e.p.live, params(write))
		if err != nil {
			return k, err
		}
		k.Sealer = sealer
		take(write)
	}
	if s.secrets[level&3][read] != nil {
		opener, err := newOpener(&s.e.p.live, params(read))
		if err != nil {
			k.Close()
			return tlsprovider.Keys{}, err
		}
		k.Opener = opener
		take(read)
	}
	return k, nil
}

// Export implements tlsprovider.Session.
func (s *session) Export(label string, context []byte, length int) ([]byte, error) {
	if s.closed || !s.state.HandshakeDone {
		return nil, errors.New("native: Export before the handshake is complete, or after Close")
	}
	// The bounds of HKDF-Expand-Label (RFC 8446, 7.1; RFC 5869, 2.3).
	if n := 255 * suites[s.state.CipherSuite].hashLen; length < 1 || length > n {
		return nil, fmt.Errorf("native: Export of %d bytes; the length must be 1 to %d", length, n)
	}
	if n := 255 - len("tls13 "); len(label) > n {
		return nil, fmt.Errorf("native: Export with a label of %d bytes; the maximum is %d", len(label), n)
	}
	return s.exporter(label, context, length)
}

// exporterOf returns the exporter of a connection. It does not reference the connection's certificates.
func exporterOf(cs *tls.ConnectionState) func(string, []byte, int) ([]byte, error) {
	own := *cs
	own.PeerCertificates, own.VerifiedChains = nil, nil
	own.OCSPResponse, own.SignedCertificateTimestamps = nil, nil
	return own.ExportKeyingMaterial
}
