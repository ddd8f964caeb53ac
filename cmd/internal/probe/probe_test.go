package probe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

var allNative = []string{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X25519", "P-256", "P-384"}

// A probed is a server, and a check of what a probe finds.
type probed struct {
	name     string
	provider func(*testing.T) tlsprovider.Provider
	change   func(*quic.Config)
	check    func(*testing.T, *Transport)
}

// run probes the server, and checks what holds of every one.
func (p *probed) run(t *testing.T) {
	id := classicalIdentity(t)
	o := quicOptions(id)
	if p.name == "no tickets" {
		o.TicketTimeout = time.Millisecond
	}
	r := Host(t.Context(), serveQUIC(t, p.provider(t), id, p.change), o)
	require.Nil(t, r.TCP)
	require.True(t, r.QUIC.Reachable)
	require.Empty(t, r.QUIC.LostGroups)
	require.Equal(t, r.QUIC.PQKeyExchange, r.PQKeyExchange)
	p.check(t, r.QUIC)
	require.Equal(t, "answered", r.QUIC.LargeHello)
	if len(r.QUIC.Groups) > 0 {
		require.True(t, r.QUIC.Verified, r.QUIC.VerifyError)
		require.Equal(t, "h3", r.QUIC.ALPN)
		require.Len(t, r.Chain, 1)
		require.Equal(t, len(id.cert.Chain[0]), r.Chain[0].Bytes)
	}
}

// TestQUICServers probes servers of both providers with different groups.
func TestQUICServers(t *testing.T) {
	for _, p := range []probed{
		{"native", nativeProvider, nil, func(t *testing.T, q *Transport) {
			require.Equal(t, allNative, q.Groups)
			require.Equal(t, "X25519MLKEM768", q.Preferred)
			require.EqualValues(t, 4588, q.GroupID)
			require.Equal(t, "server", q.PreferenceOf)
			require.Equal(t, "X25519MLKEM768", q.Negotiated)
			require.Equal(t, "X25519MLKEM768", q.WithoutShare)
			require.Equal(t, []string{"v1"}, q.Versions)
			require.True(t, q.Resumption)
			require.False(t, q.HelloRetry || q.SilentFallback || *q.EarlyData || *q.Retry || q.PQAuthentication || q.OCSPStaple)
		}},
		{"s2n", needS2N, nil, func(t *testing.T, q *Transport) {
			require.Contains(t, q.Groups, "X25519MLKEM768")
			require.Equal(t, "X25519MLKEM768", q.Preferred)
			require.True(t, q.PQKeyExchange && q.Resumption)
		}},
		{"MLKEM1024 alone", needS2N, setGroups(tlsprovider.MLKEM1024), func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"MLKEM1024"}, q.Groups)
			require.Equal(t, "MLKEM1024", q.Preferred)
			require.NotEmpty(t, q.Error, "ordinary clients do not offer it")
			require.False(t, q.PQKeyExchange)
		}},
		{"post-quantum only", nativeProvider, setGroups(tlsprovider.X25519MLKEM768), func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"X25519MLKEM768"}, q.Groups)
			require.True(t, q.PQKeyExchange)
			require.True(t, q.Verified)
		}},
		{"classical only", nativeProvider, setGroups(tlsprovider.X25519, tlsprovider.P256), func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"X25519", "P-256"}, q.Groups)
			require.Contains(t, q.Groups, q.Negotiated) // with a FIPS module the client does not offer X25519
			require.False(t, q.PQKeyExchange || q.SilentFallback)
		}},
		{"HelloRetryRequest", nativeProvider, setGroups(tlsprovider.SecP384r1MLKEM1024), func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"SecP384r1MLKEM1024"}, q.Groups)
			require.True(t, q.HelloRetry && q.PQKeyExchange)
			require.EqualValues(t, 0x11ed, q.GroupID)
		}},
	} {
		t.Run(p.name, p.run)
	}
}

// TestQUICServersFeatures probes servers with features that the report has besides groups.
func TestQUICServersFeatures(t *testing.T) {
	for _, p := range []probed{
		{"Retry", nativeProvider, func(c *quic.Config) { c.AddressValidation = quic.ValidateAlways }, func(t *testing.T, q *Transport) {
			require.True(t, *q.Retry)
		}},
		{"OCSP response", nativeProvider, func(c *quic.Config) { c.TLS.Certificates[0].OCSPStaple = []byte("response") }, func(t *testing.T, q *Transport) {
			require.True(t, q.OCSPStaple && q.Verified)
		}},
		{"no tickets", nativeProvider, func(c *quic.Config) { c.TLS.DisableTickets = true }, func(t *testing.T, q *Transport) {
			require.False(t, q.Resumption)
		}},
		{"0-RTT", nativeProvider, func(c *quic.Config) { c.TLS.EarlyData = true }, func(t *testing.T, q *Transport) {
			require.True(t, q.Resumption && *q.EarlyData)
		}},
		{"version 2", nativeProvider, func(c *quic.Config) { c.Versions = []quic.Version{quic.Version2, quic.Version1} }, func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"v1", "v2"}, q.Versions)
		}},
		{"version 2 alone", nativeProvider, func(c *quic.Config) { c.Versions = []quic.Version{quic.Version2} }, func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"v2"}, q.Versions)
			require.True(t, q.PQKeyExchange)
		}},
		{"another protocol", nativeProvider, func(c *quic.Config) { c.TLS.NextProtos = []string{"other"} }, func(t *testing.T, q *Transport) {
			require.Contains(t, q.Error, "--alpn")
			require.Empty(t, q.ALPN)
		}},
	} {
		t.Run(p.name, p.run)
	}
}

// TestQUICServersPreferences probes servers that choose a group by rules of their own.
func TestQUICServersPreferences(t *testing.T) {
	for _, p := range []probed{
		{"silent fallback", nativeProvider, choose(func(groups, shares []tlsprovider.Group) tlsprovider.Group {
			if len(shares) > 0 {
				return shares[0] // saves a round trip
			}
			return groups[0]
		}), func(t *testing.T, q *Transport) {
			require.True(t, q.PQKeyExchange, "of the usual handshake")
			require.Equal(t, "X25519", q.WithoutShare)
			require.True(t, q.SilentFallback)
			require.Len(t, q.Notes, 1)
			require.Contains(t, q.Notes[0], "falls back silently")
		}},
		{"order of the client", nativeProvider, choose(func(groups, _ []tlsprovider.Group) tlsprovider.Group {
			for _, g := range groups {
				if g == tlsprovider.X25519MLKEM768 || g == tlsprovider.P256 {
					return g
				}
			}
			return tlsprovider.P384
		}), func(t *testing.T, q *Transport) {
			require.Equal(t, "client", q.PreferenceOf)
			require.Equal(t, "X25519MLKEM768", q.Preferred)
		}},
		{"classical preferred", nativeProvider, choose(func(groups, _ []tlsprovider.Group) tlsprovider.Group {
			if slices.Contains(groups, tlsprovider.P256) {
				return tlsprovider.P256
			}
			return groups[0]
		}), func(t *testing.T, q *Transport) {
			require.Contains(t, q.Groups, "X25519MLKEM768")
			require.Equal(t, "P-256", q.Preferred)
			require.False(t, q.PQKeyExchange)
			require.True(t, q.SilentFallback)
			require.Contains(t, q.Notes[len(q.Notes)-1]+q.Notes[1], "prefers P-256")
		}},
	} {
		t.Run(p.name, p.run)
	}
}

// A program without the C library finds the same.
func TestNativeProviderAlone(t *testing.T) {
	id := classicalIdentity(t)
	o := quicOptions(id)
	addr := serveQUIC(t, nativeProvider(t), id, nil)
	all := Host(t.Context(), addr, o)
	o.Providers = []tlsprovider.Provider{nativeProvider(t)}
	alone := Host(t.Context(), addr, o)
	require.Equal(t, all, alone)
}

// TestTCPServers probes servers of net/http.
func TestTCPServers(t *testing.T) {
	id := classicalIdentity(t)
	tests := []struct {
		name   string
		change func(*tls.Config)
		check  func(*testing.T, *Transport)
	}{
		{"default", nil, func(t *testing.T, q *Transport) {
			require.Contains(t, q.Groups, "X25519MLKEM768")
			require.Equal(t, "X25519MLKEM768", q.Preferred)
			require.Equal(t, "server", q.PreferenceOf)
			require.Equal(t, []string{"TLS 1.3", "TLS 1.2"}, q.Versions)
			require.Equal(t, "h2", q.ALPN)
			require.True(t, q.PQKeyExchange && q.Resumption && q.Verified)
			require.Nil(t, q.EarlyData)
			require.Nil(t, q.Retry)
			require.False(t, q.PQAuthentication)
		}},
		{"classical", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP521} }, func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"X25519", "P-521"}, q.Groups)
			require.False(t, q.PQKeyExchange)
		}},
		{"HelloRetryRequest", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.SecP384r1MLKEM1024} }, func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"SecP384r1MLKEM1024"}, q.Groups)
			require.True(t, q.HelloRetry && q.PQKeyExchange)
			require.EqualValues(t, 4589, q.GroupID)
		}},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, func(t *testing.T, q *Transport) {
			require.Equal(t, []string{"TLS 1.2"}, q.Versions)
			require.False(t, q.PQKeyExchange)
		}},
		{"OCSP response", func(c *tls.Config) { c.Certificates[0].OCSPStaple = []byte("response") }, func(t *testing.T, q *Transport) {
			require.True(t, q.OCSPStaple && q.Verified)
		}},
		{"no tickets", func(c *tls.Config) { c.SessionTicketsDisabled = true }, func(t *testing.T, q *Transport) {
			require.False(t, q.Resumption)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tcpOptions(id)
			if tt.name == "no tickets" {
				o.TicketTimeout = time.Millisecond
			}
			r := Host(t.Context(), serveTCP(t, id, tt.change), o)
			require.Nil(t, r.QUIC)
			require.True(t, r.TCP.Reachable)
			require.Empty(t, r.TCP.Error)
			require.Equal(t, "answered", r.TCP.LargeHello)
			require.Len(t, r.Chain, 1)
			require.Equal(t, "ECDSA P-256", r.Chain[0].PublicKey)
			tt.check(t, r.TCP)
		})
	}
}

// A server that has none of the protocols offered is probed without them.
func TestTCPServerWithAnotherProtocol(t *testing.T) {
	id := classicalIdentity(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{id.tls}, NextProtos: []string{"other"}})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	r := Host(t.Context(), l.Addr().String(), tcpOptions(id))
	require.Empty(t, r.TCP.Error)
	require.True(t, r.PQKeyExchange)
	require.Empty(t, r.TCP.ALPN)
}

// A server that is no server of TLS is not reachable, and cannot make the probe wait or hold much.
func TestNotTLS(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP":             "HTTP/1.1 400 Bad Request\r\n\r\n",
		"empty record":     "\x16\x03\x03\x00\x00",
		"large record":     "\x16\x03\x03\xff\xff",
		"application data": "\x17\x03\x03\x00\x01x",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(c, answer)
					go func() {
						defer c.Close()
						_, _ = io.Copy(io.Discard, c)
					}()
				}
			}()
			r := Host(t.Context(), l.Addr().String(), tcpOptions(classicalIdentity(t)))
			require.False(t, r.PQKeyExchange)
			require.Empty(t, r.TCP.Groups)
			require.NotEmpty(t, r.TCP.Error)
			if name == "HTTP" {
				require.False(t, r.Reachable())
			}
		})
	}
}

// TestReadReply reads a server's answer from records of any size.
func TestReadReply(t *testing.T) {
	random := sha256.Sum256([]byte("HelloRetryRequest"))
	hello := append([]byte{2, 0, 0, 0, 3, 3}, random[:]...)
	hello = append(hello, 0, 0x13, 1, 0, 0, 6, 0, 51, 0, 2, 0x11, 0xec)
	hello[3] = byte(len(hello) - 4)
	records := func(size int) (out []byte) {
		for chunk := range slices.Chunk(hello, size) {
			out = append(append(out, 22, 3, 3, 0, byte(len(chunk))), chunk...)
		}
		return out
	}
	for _, size := range []int{1, 3, 5, len(hello)} {
		r, err := readReply(bytes.NewReader(records(size)))
		require.NoError(t, err)
		require.Equal(t, &reply{group: tlsprovider.X25519MLKEM768, retry: true}, r)
	}
	_, err := readReply(bytes.NewReader(records(7)[:30]))
	require.True(t, isLost(err))
	_, err = readReply(strings.NewReader("\x15\x03\x03\x00\x02\x02\x28"))
	require.True(t, isAlert(err, tlsprovider.AlertHandshakeFailure))
	_, err = readReply(strings.NewReader("\x16\x03\x03\x00\x04\x02\xff\xff\xff"))
	require.ErrorIs(t, err, errReply, "16 MB")
	_, err = readReply(strings.NewReader("\x16\x03\x03\x00\x05\x02\x00\x00\x01x"))
	require.ErrorIs(t, err, errReply)
}

// If the time for a host ends early, the report says that it is incomplete.
func TestTimeout(t *testing.T) {
	id := classicalIdentity(t)
	addr := serveQUIC(t, nativeProvider(t), id, nil)
	o := quicOptions(id)
	p := &prober{Options: o, host: "127.0.0.1", port: "1", serverName: "127.0.0.1"}
	e := &quicEngine{prober: p}
	e.setAddr(addr)
	ctx, cancel := context.WithCancel(t.Context())
	tr := newTransport()
	p.survey(ctx, &endsAfterFirst{engine: e, cancel: cancel}, tr)
	require.True(t, tr.Reachable)
	require.True(t, tr.PQKeyExchange)
	require.Empty(t, tr.LargeHello)
	require.Len(t, tr.Notes, 1)
	require.Contains(t, tr.Notes[0], "--timeout")
}

// endsAfterFirst ends the time for a host after the first handshake.
type endsAfterFirst struct {
	engine
	cancel func()
}

func (e *endsAfterFirst) handshake(ctx context.Context, a attempt) (*outcome, error) {
	defer e.cancel()
	return e.engine.handshake(ctx, a)
}

// A chain that cannot be verified is shown, with the reason.
func TestUnverifiedChain(t *testing.T) {
	id, other := classicalIdentity(t), classicalIdentity(t)
	for _, o := range []*Options{quicOptions(other), tcpOptions(other)} {
		addr := ""
		if o.QUIC {
			addr = serveQUIC(t, nativeProvider(t), id, nil)
		} else {
			addr = serveTCP(t, id, nil)
		}
		r := Host(t.Context(), addr, o)
		tr := r.transports()[0]
		require.True(t, r.PQKeyExchange)
		require.False(t, tr.Verified)
		require.Regexp(t, "unknown authority|unknown_ca", tr.VerifyError)
		require.NotContains(t, tr.VerifyError, addr, "the reason only")
		require.Len(t, r.Chain, 1)
	}
}

// A server with a post-quantum certificate is authenticated by it, and one in a mixed chain is not.
func TestPostQuantumAuthentication(t *testing.T) {
	p := needS2N(t)
	if caps := p.Capabilities(); !caps.PQAuth() {
		t.Skip("this variant of the C library has no ML-DSA")
	}
	for _, root := range []string{"ml-dsa-65", "ecdsa-p256"} {
		id := newIdentity(t, certs.Algorithm(root), "ml-dsa-44")
		r := Host(t.Context(), serveQUIC(t, p, id, nil), quicOptions(id))
		require.Empty(t, r.QUIC.VerifyError)
		require.True(t, r.QUIC.Verified)
		require.Equal(t, "mldsa44", r.QUIC.SignatureScheme)
		require.Equal(t, root == "ml-dsa-65", r.PQAuthentication)
		require.Len(t, r.Chain, 1)
		require.Equal(t, "ML-DSA-44", r.Chain[0].PublicKey)
		require.True(t, r.Chain[0].PQKey)
		require.Equal(t, root == "ml-dsa-65", r.Chain[0].PQSignature)
		require.Greater(t, r.Chain[0].Bytes, 1312)
	}
}

// A host that does not answer is not reachable.
func TestUnreachable(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	id := classicalIdentity(t)
	o := quicOptions(id)
	o.TCP, o.HandshakeTimeout = true, 300*time.Millisecond
	r := Host(t.Context(), silent.LocalAddr().String(), o)
	require.False(t, r.Reachable())
	require.NotEmpty(t, r.QUIC.Error)
	require.NotEmpty(t, r.TCP.Error)
	require.False(t, r.PQKeyExchange || r.PQAuthentication)
	require.Empty(t, r.Chain)
	require.NotNil(t, r.Chain)
}
