package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// A conn is a connection of any stack, as far as the cases need one.
type conn interface {
	open(context.Context) (stream, error)
	accept(context.Context) (stream, error)
	// closeCode ends the connection with an application error code.
	closeCode(code uint64, reason string)
	// gone waits for the end and returns its error.
	gone(context.Context) error
	group() tlsprovider.Group
}

// A stream is a bidirectional stream of any stack.
type stream interface {
	io.ReadWriter
	closeWrite() error
}

// A stack dials and listens.
type stack interface {
	dial(ctx context.Context, addr string, o options) (conn, error)
	listen(o options) (listener, error)
}

type listener interface {
	addr() string
	accept(context.Context) (conn, error)
	close()
}

// options are those of one side.
type options struct {
	groups  []tlsprovider.Group
	alpn    string
	noRoots bool // a client that does not trust the server's certificate
	retry   bool // a server that validates addresses
}

const serverName = "interop.test"

// creds is one certificate for all.
type creds struct {
	tls   tls.Certificate
	pool  *x509.CertPool
	ours  tlsprovider.Certificate
	roots *tlsprovider.Roots
}

func newCreds(t *testing.T) *creds {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	c := &creds{
		tls:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pool: x509.NewCertPool(), ours: tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER},
		roots: new(tlsprovider.Roots),
	}
	c.pool.AddCert(leaf)
	c.roots.AddDER(der)
	return c
}

func (c *creds) config(o options) *tls.Config {
	t := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{o.alpn}, ServerName: serverName,
		RootCAs: c.pool, Certificates: []tls.Certificate{c.tls},
	}
	if o.noRoots {
		t.RootCAs = x509.NewCertPool()
	}
	for _, g := range o.groups {
		t.CurvePreferences = append(t.CurvePreferences, tls.CurveID(g))
	}
	return t
}

// pqquic

type ours struct {
	provider tlsprovider.Provider
	c        *creds
}

func (s ours) config(o options) *quic.Config {
	cfg := &quic.Config{
		Provider: s.provider, ServerName: serverName,
		TLS: &tlsprovider.Config{NextProtos: []string{o.alpn}, Groups: o.groups, Roots: s.c.roots},
	}
	if o.noRoots {
		cfg.TLS.Roots = newOtherRoots()
	}
	return cfg
}

func (s ours) dial(ctx context.Context, addr string, o options) (conn, error) {
	c, err := quic.Dial(ctx, "udp", addr, s.config(o))
	if err != nil {
		return nil, err
	}
	return ourConn{c}, nil
}

func (s ours) listen(o options) (listener, error) {
	cfg := s.config(o)
	cfg.TLS.Certificates = []tlsprovider.Certificate{s.c.ours}
	cfg.TLS.Roots = nil
	if o.retry {
		cfg.RequireAddressValidation = func(netipAddrPort) bool { return true }
	}
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	return ourListener{l}, err
}

type ourListener struct{ *quic.Listener }

func (l ourListener) addr() string { return l.Addr().String() }
func (l ourListener) close()       { l.Endpoint().Close() }
func (l ourListener) accept(ctx context.Context) (conn, error) {
	c, err := l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return ourConn{c}, nil
}

type ourConn struct{ *quic.Conn }

func (c ourConn) open(ctx context.Context) (stream, error) {
	s, err := c.OpenStream(ctx)
	return ourStream{s}, err
}

func (c ourConn) accept(ctx context.Context) (stream, error) {
	s, err := c.AcceptStream(ctx)
	return ourStream{s}, err
}

func (c ourConn) closeCode(code uint64, reason string) { _ = c.CloseWithError(code, reason) }
func (c ourConn) group() tlsprovider.Group             { return c.ConnectionState().TLS.Group }
func (c ourConn) gone(ctx context.Context) error {
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-ctx.Done():
		return ctx.Err()
	}
}

type ourStream struct{ *quic.Stream }

func (s ourStream) closeWrite() error { return s.CloseWrite() }

// quic-go

type quicGo struct{ c *creds }

func (s quicGo) dial(ctx context.Context, addr string, o options) (conn, error) {
	c, err := quicgo.DialAddr(ctx, addr, s.c.config(o), &quicgo.Config{})
	if err != nil {
		return nil, err
	}
	return goConn{c}, nil
}

func (s quicGo) listen(o options) (listener, error) {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	tr := &quicgo.Transport{Conn: pc, VerifySourceAddress: func(net.Addr) bool { return o.retry }}
	l, err := tr.Listen(s.c.config(o), &quicgo.Config{})
	return &goListener{tr, pc, l}, err
}

type goListener struct {
	tr *quicgo.Transport
	pc net.PacketConn
	l  *quicgo.Listener
}

func (l *goListener) addr() string { return l.l.Addr().String() }
func (l *goListener) close()       { l.l.Close(); l.tr.Close(); l.pc.Close() }
func (l *goListener) accept(ctx context.Context) (conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return goConn{c}, nil
}

type goConn struct{ *quicgo.Conn }

func (c goConn) open(ctx context.Context) (stream, error) {
	s, err := c.OpenStreamSync(ctx)
	return goStream{s}, err
}

func (c goConn) accept(ctx context.Context) (stream, error) {
	s, err := c.AcceptStream(ctx)
	return goStream{s}, err
}

func (c goConn) closeCode(code uint64, reason string) {
	_ = c.CloseWithError(quicgo.ApplicationErrorCode(code), reason)
}
func (c goConn) group() tlsprovider.Group {
	return tlsprovider.Group(c.ConnectionState().TLS.CurveID)
}
func (c goConn) gone(ctx context.Context) error {
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-ctx.Done():
		return ctx.Err()
	}
}

type goStream struct{ *quicgo.Stream }

func (s goStream) closeWrite() error { return s.Close() }

// golang.org/x/net/quic

type xNet struct{ c *creds }

func (s xNet) dial(ctx context.Context, addr string, o options) (conn, error) {
	e, err := xquic.Listen("udp", "127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	c, err := e.Dial(ctx, "udp", addr, &xquic.Config{TLSConfig: s.c.config(o)})
	if err != nil {
		_ = e.Close(canceled())
		return nil, err
	}
	return xConn{c}, nil
}

func (s xNet) listen(o options) (listener, error) {
	e, err := xquic.Listen("udp", "127.0.0.1:0", &xquic.Config{TLSConfig: s.c.config(o), RequireAddressValidation: o.retry})
	return xListener{e}, err
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

type xListener struct{ e *xquic.Endpoint }

func (l xListener) addr() string { return l.e.LocalAddr().String() }
func (l xListener) close()       { _ = l.e.Close(canceled()) }
func (l xListener) accept(ctx context.Context) (conn, error) {
	c, err := l.e.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return xConn{c}, nil
}

type xConn struct{ *xquic.Conn }

func (c xConn) open(ctx context.Context) (stream, error) {
	s, err := c.NewStream(ctx)
	return xStream{s}, err
}

func (c xConn) accept(ctx context.Context) (stream, error) {
	s, err := c.AcceptStream(ctx)
	return xStream{s}, err
}

func (c xConn) closeCode(code uint64, reason string) {
	c.Abort(&xquic.ConnectionCloseError{Code: code, Reason: reason})
}
func (c xConn) gone(ctx context.Context) error { return c.Wait(ctx) }
func (c xConn) group() tlsprovider.Group       { return tlsprovider.Group(c.ConnectionState().CurveID) }

type xStream struct{ *xquic.Stream }

func (s xStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, errors.Join(err, s.Flush())
}

func (s xStream) closeWrite() error { s.CloseWrite(); return nil }

// providers are ours in this build.
func providers(t *testing.T) map[string]tlsprovider.Provider {
	out := map[string]tlsprovider.Provider{"native": native.New()}
	p, err := s2n.New()
	if errors.Is(err, s2n.ErrNotLinked) && !requireLinked() {
		t.Log(err)
		return out
	}
	require.NoError(t, err)
	out["s2n"] = p
	return out
}
