package hello_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// flights returns the messages that crypto/tls writes in a handshake with a HelloRetryRequest and certificates of
// both sides.
func flights(t testing.TB) *tlstest.Pair {
	t.Helper()
	client, server, ca := tlstest.Configs(t)
	client.Certificates = []tlsprovider.Certificate{ca.Leaf(t, nil)}
	server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
	server.Groups = []tlsprovider.Group{tlsprovider.SecP384r1MLKEM1024}
	su := tlstest.Suite{Client: native.New(), Server: native.New()}
	p := su.NewPair(t, client, server)
	p.MustRun(t)
	return p
}

// bodies returns the bodies of the messages of a flight, by type.
func bodies(t testing.TB, flight []byte) (out map[byte][][]byte) {
	t.Helper()
	out = make(map[byte][][]byte)
	for len(flight) > 0 {
		kind, body, rest, declared, ok := hello.Next(flight)
		require.True(t, ok)
		require.Equal(t, len(body), declared)
		out[kind] = append(out[kind], body)
		flight = rest
	}
	return out
}

func TestMessages(t *testing.T) {
	p := flights(t)
	initial := bodies(t, p.Flights[tlsprovider.Client][tlsprovider.LevelInitial])
	require.Len(t, initial[hello.TypeClientHello], 2)
	for i, body := range initial[hello.TypeClientHello] {
		ch, err := hello.ParseClientHello(body)
		require.NoError(t, err)
		require.Equal(t, "server.test", ch.ServerName)
		require.Equal(t, []string{"test"}, ch.ALPN)
		require.Equal(t, tlstest.ClientParams, string(ch.TransportParameters))
		require.True(t, ch.Offers(hello.VersionTLS13))
		require.Equal(t, i == 1, ch.KeyShares[0] == tlsprovider.SecP384r1MLKEM1024)
	}
	answer := bodies(t, p.Flights[tlsprovider.Server][tlsprovider.LevelInitial])[hello.TypeServerHello]
	require.Len(t, answer, 2)
	retry, err := hello.ParseServerHello(answer[0])
	require.NoError(t, err)
	require.True(t, retry.Retry)
	require.Nil(t, retry.Share)
	sh, err := hello.ParseServerHello(answer[1])
	require.NoError(t, err)
	require.False(t, sh.Retry)
	require.Equal(t, tlsprovider.SecP384r1MLKEM1024, sh.Group)
	require.Len(t, sh.Share, 1665)

	second := bodies(t, p.Flights[tlsprovider.Server][tlsprovider.LevelHandshake])
	ee, err := hello.ParseEncryptedExtensions(second[hello.TypeEncryptedExtensions][0])
	require.NoError(t, err)
	require.Equal(t, "test", ee.ALPN)
	require.Equal(t, tlstest.ServerParams, string(ee.TransportParameters))
	certs, err := hello.ParseCertificate(second[hello.TypeCertificate][0])
	require.NoError(t, err)
	require.Equal(t, p.Client.State().PeerChain, certs.Chain)
	require.Empty(t, certs.Staple)
	scheme, sig, err := hello.ParseCertificateVerify(second[hello.TypeCertificateVerify][0])
	require.NoError(t, err)
	require.Equal(t, p.Client.State().SignatureScheme, scheme)
	require.NotEmpty(t, sig)
}

// TestWrongMessageLengths checks that a message that is too short or too long is malformed.
func TestWrongMessageLengths(t *testing.T) {
	p := flights(t)
	parse := map[byte]func([]byte) error{
		hello.TypeClientHello:         func(b []byte) error { _, err := hello.ParseClientHello(b); return err },
		hello.TypeServerHello:         func(b []byte) error { _, err := hello.ParseServerHello(b); return err },
		hello.TypeEncryptedExtensions: func(b []byte) error { _, err := hello.ParseEncryptedExtensions(b); return err },
		hello.TypeCertificate:         func(b []byte) error { _, err := hello.ParseCertificate(b); return err },
		hello.TypeCertificateVerify:   func(b []byte) error { _, _, err := hello.ParseCertificateVerify(b); return err },
	}
	seen := 0
	for _, side := range p.Flights {
		for _, flight := range side {
			for kind, messages := range bodies(t, flight) {
				if parse[kind] == nil {
					continue
				}
				body := messages[0]
				seen++
				require.NoError(t, parse[kind](body))
				require.ErrorIs(t, parse[kind](append(bytes.Clone(body), 0)), hello.ErrMalformed, "type %d", kind)
				refused := 0
				for n := range body {
					if parse[kind](body[:n]) != nil {
						refused++
					}
				}
				// A hello without extensions is one of an older version.
				require.GreaterOrEqual(t, refused, len(body)-1, "type %d", kind)
			}
		}
	}
	require.Equal(t, 7, seen)
}

// TestWatchEverySplit checks that the result of a Watch does not depend on how the input is split.
func TestWatchEverySplit(t *testing.T) {
	p := flights(t)
	watch := func(cut int) (w hello.Watch) {
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			for level, flight := range p.Flights[side] {
				at := min(cut, len(flight))
				w.Add(side, level, flight[:at])
				w.Add(side, level, flight[at:])
			}
		}
		return w
	}
	longest := 0
	for _, side := range p.Flights {
		for _, flight := range side {
			longest = max(longest, len(flight))
		}
	}
	for cut := 0; cut <= longest; cut++ {
		w := watch(cut)
		client, server := w.Shares()
		require.True(t, w.Retried())
		require.Equal(t, tlsprovider.SecP384r1MLKEM1024, w.Group())
		require.Equal(t, [2]int{1665, 1665}, [2]int{client, server}, "cut at %d", cut)
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			require.Equal(t, "ecdsa_secp256r1_sha256", w.Scheme(side).String(), "cut at %d", cut)
		}
	}
}

// message returns a handshake message with its header.
func message(kind byte, body []byte) []byte {
	n := len(body)
	return append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// requireSameShares checks that a Watch finds the key shares that ParseClientHello has found.
func requireSameShares(t *testing.T, body []byte, shares []hello.Share) {
	t.Helper()
	seen := make(map[tlsprovider.Group]bool)
	for _, s := range shares {
		if s.Group == 0 || seen[s.Group] { // a Watch reports the first share of a group
			continue
		}
		seen[s.Group] = true
		answer := append(make([]byte, 35), 0x13, 0x01, 0, 0, 9, 0, hello.ExtKeyShare, 0, 5, byte(s.Group>>8), byte(s.Group), 0, 1, 7)
		var w hello.Watch
		w.Add(tlsprovider.Client, tlsprovider.LevelInitial, message(hello.TypeClientHello, body))
		w.Add(tlsprovider.Server, tlsprovider.LevelInitial, message(hello.TypeServerHello, answer))
		client, server := w.Shares()
		require.Equal(t, [2]int{len(s.Data), 1}, [2]int{client, server})
	}
}

// TestWatchAllocations checks that a Watch keeps the sizes of a ClientHello's key shares and nothing else.
func TestWatchAllocations(t *testing.T) {
	p := flights(t)
	hellos := bodies(t, p.Flights[tlsprovider.Client][tlsprovider.LevelInitial])[hello.TypeClientHello]
	for _, body := range hellos {
		ch, err := hello.ParseClientHello(body)
		require.NoError(t, err)
		requireSameShares(t, body, ch.Shares)
		whole := message(hello.TypeClientHello, body)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			var w hello.Watch
			w.Add(tlsprovider.Client, tlsprovider.LevelInitial, whole)
		}), 3.0)
	}
}

// FuzzMessages checks that parsers do not panic, and that the slices that they return are part of the input.
func FuzzMessages(f *testing.F) {
	p := flights(f)
	for _, side := range p.Flights {
		for _, flight := range side {
			for kind, messages := range bodies(f, flight) {
				f.Add(kind, messages[0])
			}
			f.Add(byte(0), flight)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		kept := bytes.Clone(b)
		switch kind {
		case hello.TypeClientHello:
			if ch, err := hello.ParseClientHello(b); err == nil {
				require.True(t, bytes.Contains(b, ch.TransportParameters))
				require.True(t, bytes.Contains(b, []byte(ch.ServerName)))
				require.Len(t, ch.Shares, len(ch.KeyShares))
				requireSameShares(t, b, ch.Shares)
			}
		case hello.TypeServerHello:
			if sh, err := hello.ParseServerHello(b); err == nil {
				require.True(t, bytes.Contains(b, sh.Share))
			}
		case hello.TypeEncryptedExtensions:
			_, _ = hello.ParseEncryptedExtensions(b)
		case hello.TypeCertificate:
			if certs, err := hello.ParseCertificate(b); err == nil {
				for _, c := range certs.Chain {
					require.NotEmpty(t, c)
					require.True(t, bytes.Contains(b, c))
				}
				require.True(t, bytes.Contains(b, certs.Staple))
			}
		case hello.TypeCertificateVerify:
			_, _, _ = hello.ParseCertificateVerify(b)
		default:
			var whole, parts hello.Watch
			whole.Add(tlsprovider.Server, tlsprovider.LevelHandshake, b)
			for i := range b {
				parts.Add(tlsprovider.Server, tlsprovider.LevelHandshake, b[i:i+1])
			}
			require.Equal(t, whole.Scheme(tlsprovider.Server), parts.Scheme(tlsprovider.Server))
			require.Equal(t, whole.Group(), parts.Group())
			require.Equal(t, whole.Retried(), parts.Retried())
		}
		require.Equal(t, kept, b)
	})
}

// TestStapleTwice checks that a certificate has at most one OCSP response.
//
// "There MUST NOT be more than one extension of the same type in a given extension block."
// https://www.rfc-editor.org/rfc/rfc8446#section-4.2
func TestStapleTwice(t *testing.T) {
	staple := "\x00\x05\x00\x05\x01\x00\x00\x01s"
	message := func(extensions string) []byte {
		entry := "\x00\x00\x01c\x00" + string(rune(len(extensions))) + extensions
		return []byte("\x00\x00\x00" + string(rune(len(entry))) + entry)
	}
	certs, err := hello.ParseCertificate(message(staple))
	require.NoError(t, err)
	require.Equal(t, "s", string(certs.Staple))
	_, err = hello.ParseCertificate(message(staple + staple))
	require.ErrorIs(t, err, hello.ErrMalformed)
}
