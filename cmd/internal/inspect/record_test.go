package inspect

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

const name = "server.test"

// testCert is a certificate for name and the roots that verify it.
var testCert = sync.OnceValues(func() (tlsprovider.Certificate, *tlsprovider.Roots) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	roots := new(tlsprovider.Roots)
	roots.AddDER(der)
	return tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER}, roots
})

// recording is what passed between a client and a server, as the client's machine sees it.
type recording struct {
	mu      sync.Mutex
	packets []captured // IP packets
	keyLog  bytes.Buffer
}

type captured struct {
	at   time.Time
	data []byte
}

func (r *recording) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keyLog.Write(b)
}

func (r *recording) frame(f capture.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets = append(r.packets, captured{f.Time, f.Data})
}

// setup is how a handshake to be recorded is made.
type setup struct {
	client, server []tlsprovider.Group
	retry          bool
	address        string // of both; default 127.0.0.1
	fails          bool   // the two do not agree
}

// record makes a QUIC connection over loopback, says a word, and returns what passed.
func record(t *testing.T, s setup) *recording {
	t.Helper()
	if s.address == "" {
		s.address = "127.0.0.1"
	}
	cert, roots := testCert()
	r := &recording{}
	server := &quic.Config{Provider: native.New(), TLS: &tlsprovider.Config{Groups: s.server, NextProtos: []string{"test"},
		Certificates: []tlsprovider.Certificate{cert}}}
	if s.retry {
		server.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	}
	l, err := quic.Listen("udp", net.JoinHostPort(s.address, "0"), server)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	pc, err := net.ListenPacket("udp", net.JoinHostPort(s.address, "0"))
	require.NoError(t, err)
	defer pc.Close()
	e, err := quic.NewEndpoint(capture.NewTap(pc, r.frame), &quic.Config{Provider: native.New(), ServerName: name,
		TLS: &tlsprovider.Config{Groups: s.client, NextProtos: []string{"test", "other"}, Roots: roots, KeyLogWriter: r}})
	require.NoError(t, err)
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := e.Dial(ctx, l.Addr().String(), nil)
	if s.fails {
		require.Error(t, err)
		return r
	}
	require.NoError(t, err)
	accepted, err := l.Accept(ctx)
	require.NoError(t, err)
	out, err := conn.OpenUniStream(ctx)
	require.NoError(t, err)
	_, err = io.WriteString(out, "hello")
	require.NoError(t, err)
	require.NoError(t, out.Close())
	in, err := accepted.AcceptUniStream(ctx)
	require.NoError(t, err)
	_, err = io.ReadAll(in)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return r
}

// look shows the packets to an Inspector, as they are.
func (r *recording) look(t *testing.T, opt Options) ([]*Connection, Stats) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*Connection
	opt.Report = func(c *Connection) { out = append(out, c) }
	in := New(opt)
	for _, p := range r.packets {
		in.Frame(capture.Frame{Time: p.at, Link: 101, Data: bytes.Clone(p.data), Length: len(p.data)})
	}
	return out, in.Finish()
}

// one is the only connection of a recording.
func (r *recording) one(t *testing.T) *Connection {
	t.Helper()
	cs, _ := r.look(t, Options{})
	require.Len(t, cs, 1)
	require.Empty(t, cs[0].Problems)
	return cs[0]
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
