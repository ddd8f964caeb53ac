package tlstest

import (
	"crypto"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// A scripted peer is one side of a TLS 1.3 handshake with messages from a test. Its transcript, signature and Finished
// are valid for these messages. It uses P-256 and TLS_AES_128_GCM_SHA256 and does not verify the other side.
type scripted struct {
	t          testing.TB
	alpn       string
	key        *ecdh.PrivateKey
	transcript []byte
	secrets    [2][]byte // handshake traffic secrets, by side
	schedule   []byte
}

func newScripted(t testing.TB) *scripted {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &scripted{t: t, alpn: "test", key: key}
}

// message returns a handshake message with the given body and adds it to the transcript.
func (s *scripted) message(kind uint8, body func(*cryptobyte.Builder)) []byte {
	s.t.Helper()
	var b cryptobyte.Builder
	b.AddUint8(kind)
	b.AddUint24LengthPrefixed(body)
	return s.add(b.BytesOrPanic())
}

func (s *scripted) add(message []byte) []byte {
	s.transcript = append(s.transcript, message...)
	return message
}

func (s *scripted) hash() []byte {
	h := sha256.Sum256(s.transcript)
	return h[:]
}

func (s *scripted) expand(secret []byte, label string, context []byte) []byte {
	s.t.Helper()
	label = "tls13 " + label
	info := string([]byte{0, 32, byte(len(label))}) + label + string([]byte{byte(len(context))}) + string(context)
	out, err := hkdf.Expand(sha256.New, secret, info, 32)
	require.NoError(s.t, err)
	return out
}

// agree derives the handshake traffic secrets. The transcript must end with the ServerHello.
func (s *scripted) agree(share []byte) {
	s.t.Helper()
	peer, err := ecdh.P256().NewPublicKey(share)
	require.NoError(s.t, err)
	shared, err := s.key.ECDH(peer)
	require.NoError(s.t, err)
	empty := sha256.Sum256(nil)
	// The inputs of the early secret are constants. Go's FIPS mode refuses such short keys.
	fips140.WithoutEnforcement(func() {
		early, err := hkdf.Extract(sha256.New, make([]byte, 32), make([]byte, 32))
		require.NoError(s.t, err)
		s.schedule, err = hkdf.Extract(sha256.New, shared, s.expand(early, "derived", empty[:]))
		require.NoError(s.t, err)
	})
	s.secrets[tlsprovider.Client] = s.expand(s.schedule, "c hs traffic", s.hash())
	s.secrets[tlsprovider.Server] = s.expand(s.schedule, "s hs traffic", s.hash())
}

// verify returns a CertificateVerify message for the transcript so far.
func (s *scripted) verify(side tlsprovider.Side, key crypto.Signer) []byte {
	s.t.Helper()
	content := make([]byte, 64)
	for i := range content {
		content[i] = ' '
	}
	content = append(content, "TLS 1.3, "+side.String()+" CertificateVerify\x00"...)
	digest := sha256.Sum256(append(content, s.hash()...))
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(s.t, err)
	return s.message(hello.TypeCertificateVerify, func(b *cryptobyte.Builder) {
		b.AddUint16(0x0403) // ecdsa_secp256r1_sha256
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(sig) })
	})
}

func (s *scripted) finished(side tlsprovider.Side) []byte {
	s.t.Helper()
	mac := hmac.New(sha256.New, s.expand(s.secrets[side], "finished", nil))
	mac.Write(s.hash())
	sum := mac.Sum(nil)
	return s.message(hello.TypeFinished, func(b *cryptobyte.Builder) { b.AddBytes(sum) })
}

func extension(b *cryptobyte.Builder, id uint16, body func(*cryptobyte.Builder)) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(body)
}

func (s *scripted) share(b *cryptobyte.Builder) {
	b.AddUint16(uint16(tlsprovider.P256))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.key.PublicKey().Bytes()) })
}

func (s *scripted) protocols(b *cryptobyte.Builder) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.alpn)) })
	})
}

// serve returns a server's flight in answer to a ClientHello, with the given Certificate message.
func (s *scripted) serve(clientHello, certificate []byte, key crypto.Signer) []tlsprovider.CryptoData {
	s.t.Helper()
	s.add(clientHello)
	ch, err := hello.ParseClientHello(clientHello[hello.HeaderLen:])
	require.NoError(s.t, err)
	var share []byte
	for _, sh := range ch.Shares {
		if sh.Group == tlsprovider.P256 {
			share = sh.Data
		}
	}
	require.NotNil(s.t, share, "no share for P-256")
	sh := s.message(hello.TypeServerHello, func(b *cryptobyte.Builder) {
		b.AddUint16(0x0303)
		b.AddBytes(make([]byte, 32))
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(ch.SessionID) })
		b.AddUint16(uint16(tlsprovider.AES128GCM))
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			extension(b, hello.ExtSupportedVersions, func(b *cryptobyte.Builder) { b.AddUint16(hello.VersionTLS13) })
			extension(b, hello.ExtKeyShare, s.share)
		})
	})
	s.agree(share)
	flight := s.message(hello.TypeEncryptedExtensions, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			extension(b, hello.ExtALPN, s.protocols)
			extension(b, hello.ExtTransportParameters, func(b *cryptobyte.Builder) { b.AddBytes([]byte(ServerParams)) })
		})
	})
	flight = append(flight, s.add(certificate)...)
	flight = append(flight, s.verify(tlsprovider.Server, key)...)
	flight = append(flight, s.finished(tlsprovider.Server)...)
	return []tlsprovider.CryptoData{{Level: tlsprovider.LevelInitial, Data: sh}, {Level: tlsprovider.LevelHandshake, Data: flight}}
}

// hello returns a ClientHello.
func (s *scripted) hello() []byte {
	s.t.Helper()
	return s.message(hello.TypeClientHello, func(b *cryptobyte.Builder) {
		b.AddUint16(0x0303)
		b.AddBytes(make([]byte, 32))
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(uint16(tlsprovider.AES128GCM)) })
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			extension(b, hello.ExtSupportedVersions, func(b *cryptobyte.Builder) {
				b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(hello.VersionTLS13) })
			})
			extension(b, hello.ExtSupportedGroups, func(b *cryptobyte.Builder) {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(uint16(tlsprovider.P256)) })
			})
			extension(b, hello.ExtKeyShare, func(b *cryptobyte.Builder) { b.AddUint16LengthPrefixed(s.share) })
			extension(b, hello.ExtSignatureAlgorithms, func(b *cryptobyte.Builder) {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0x0403) })
			})
			extension(b, hello.ExtALPN, s.protocols)
			extension(b, hello.ExtTransportParameters, func(b *cryptobyte.Builder) { b.AddBytes([]byte(ClientParams)) })
		})
	})
}

// answer reads a server's flight and returns the client's. certificate is nil if the server has not requested one.
func (s *scripted) answer(flight []tlsprovider.CryptoData, certificate []byte, key crypto.Signer) []byte {
	s.t.Helper()
	for _, d := range flight {
		if d.Level > tlsprovider.LevelHandshake {
			continue
		}
		s.add(d.Data)
		if d.Level == tlsprovider.LevelInitial {
			sh, err := hello.ParseServerHello(d.Data[hello.HeaderLen:])
			require.NoError(s.t, err)
			s.agree(sh.Share)
		}
	}
	if certificate == nil {
		return s.finished(tlsprovider.Client)
	}
	out := s.add(certificate)
	out = append(out[:len(out):len(out)], s.verify(tlsprovider.Client, key)...)
	return append(out, s.finished(tlsprovider.Client)...)
}

// privateKey parses the key of a certificate made by an [Authority].
func privateKey(t testing.TB, c tlsprovider.Certificate) crypto.Signer {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(c.KeyDER)
	require.NoError(t, err)
	return key.(crypto.Signer)
}
