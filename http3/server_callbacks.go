package http3

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// useTLSConfig sets TLS, and GetTLSConfig if it is needed, from a tls.Config.
func useTLSConfig(c *quic.Config, t *tls.Config) (err error) {
	hasCallback := t.GetCertificate != nil || t.GetConfigForClient != nil
	isNative := c.Provider == nil || c.Provider.Name() == "native" // crypto/tls calls the callbacks itself
	if isNative || !hasCallback {
		c.TLS, err = tlsprovider.FromTLSConfig(withConn(t))
		return err
	}
	if c.GetTLSConfig != nil {
		return errors.New("http3: Server.QUIC.GetTLSConfig is set, and a callback of Server.TLSConfig as well")
	}
	s := &selector{base: t}
	base := withoutCallbacks(t)
	if c.TLS, err = tlsprovider.FromTLSConfig(base); err != nil {
		return err
	}
	c.TLS.DeferCertificates = len(base.Certificates) == 0
	c.GetTLSConfig = s.choose
	return nil
}

// withConn returns t with callbacks whose tls.ClientHelloInfo has a Conn: crypto/tls has none for QUIC, and many callbacks ask it
// for the address.
func withConn(t *tls.Config) *tls.Config {
	t = t.Clone()
	if get := t.GetCertificate; get != nil {
		t.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return get(helloWithConn(h)) }
	}
	if get := t.GetConfigForClient; get != nil {
		t.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			other, err := get(helloWithConn(h))
			if other != nil && other.GetCertificate != nil {
				other = withConn(other)
			}
			return other, err
		}
	}
	return t
}

func helloWithConn(h *tls.ClientHelloInfo) *tls.ClientHelloInfo {
	if h.Conn != nil {
		return h
	}
	own := *h
	own.Conn = helloConn{}
	return &own
}

func withoutCallbacks(t *tls.Config) *tls.Config {
	t = t.Clone()
	t.GetCertificate, t.GetConfigForClient = nil, nil
	return t
}

// A selector calls GetConfigForClient and GetCertificate of a tls.Config for providers whose library has no callbacks. The
// handshake stops after the ClientHello for it.
type selector struct {
	base *tls.Config

	mu    sync.Mutex
	known map[selected]*tlsprovider.Config
}

// selected identifies a configuration: the same one must have the same pointer, because it is prepared once.
type selected struct {
	config *tls.Config
	leaf   string // the certificate of GetCertificate, or ""
}

// maxSelected is the number of configurations that a selector remembers.
const maxSelected = 1024

// choose is a quic.Config.GetTLSConfig.
func (s *selector) choose(hello *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
	info := helloInfo(hello)
	t := s.base
	if t.GetConfigForClient != nil {
		other, err := t.GetConfigForClient(info)
		if err != nil {
			return nil, fmt.Errorf("tls.Config.GetConfigForClient: %w", err)
		}
		if other != nil {
			t = other
		}
	}
	var cert *tls.Certificate
	if t.GetCertificate != nil && (len(t.Certificates) == 0 || info.ServerName != "") { // as crypto/tls does
		var err error
		if cert, err = t.GetCertificate(info); err != nil {
			return nil, fmt.Errorf("tls.Config.GetCertificate: %w", err)
		}
	}
	return s.convert(t, cert)
}

// convert returns the configuration for a tls.Config and a certificate, or the Certificates of t if that is nil.
func (s *selector) convert(t *tls.Config, cert *tls.Certificate) (*tlsprovider.Config, error) {
	key := selected{config: t}
	if cert != nil {
		if len(cert.Certificate) == 0 {
			return nil, errors.New("tls.Config.GetCertificate returned a tls.Certificate without a certificate")
		}
		key.leaf = string(cert.Certificate[0])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.known[key]; c != nil {
		return c, nil
	}
	own := withoutCallbacks(t)
	if cert != nil {
		own.Certificates = []tls.Certificate{*cert}
	}
	c, err := tlsprovider.FromTLSConfig(own)
	if err != nil {
		return nil, err
	}
	c.NextProtos = []string{NextProto}
	if s.known == nil || len(s.known) == maxSelected {
		s.known = make(map[selected]*tlsprovider.Config)
	}
	s.known[key] = c
	return c, nil
}

// helloInfo returns a ClientHello in the form of crypto/tls.
func helloInfo(h *tlsprovider.ClientHello) *tls.ClientHelloInfo {
	info := &tls.ClientHelloInfo{
		ServerName: h.ServerName, SupportedProtos: h.ALPN, SupportedVersions: []uint16{tls.VersionTLS13},
		SupportedPoints: []uint8{0}, Conn: helloConn{},
	}
	for _, s := range h.CipherSuites {
		info.CipherSuites = append(info.CipherSuites, uint16(s))
	}
	for _, g := range h.Groups {
		info.SupportedCurves = append(info.SupportedCurves, tls.CurveID(g))
	}
	for _, s := range h.SignatureSchemes {
		info.SignatureSchemes = append(info.SignatureSchemes, tls.SignatureScheme(s))
	}
	return info
}

// helloConn is the Conn of a tls.ClientHelloInfo, of which callbacks can only ask the addresses. They are not known.
type helloConn struct{ net.Conn }

func (helloConn) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (helloConn) RemoteAddr() net.Addr { return &net.UDPAddr{} }
