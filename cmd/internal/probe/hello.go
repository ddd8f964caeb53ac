package probe

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/tlsprovider"
)

// An offer is the part of a ClientHello that TLS libraries do not let us choose. A ClientHello may come without a key
// share (RFC 8446, section 4.2.8). The server then answers with a HelloRetryRequest, which names the group that it wants.
// The handshake ends there.
type offer struct {
	groups []tlsprovider.Group // in order of preference
	x25519 bool                // a key share of X25519 is included
	// padding is the number of bytes that are added to the ClientHello.
	padding int
}

// largePadding makes a ClientHello as large as the usual post-quantum one, with key shares of X25519MLKEM768 and X25519.
const largePadding = 1300

// A helloKind says for which transport a ClientHello is.
type helloKind struct {
	serverName string
	alpn       []string
	// parameters are the transport parameters of QUIC, or nil.
	parameters []byte
}

// Extensions and cipher suites (IANA).
const (
	extServerName        = 0
	extSupportedGroups   = 10
	extSignatureSchemes  = 13
	extALPN              = 16
	extPadding           = 21
	extSupportedVersions = 43
	extPSKModes          = 45
	extKeyShare          = 51
	extTransportParams   = 57
)

var (
	offeredSuites  = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
	offeredSchemes = []uint16{0x0904, 0x0905, 0x0906, 0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601}
)

// clientHello returns a handshake message.
func (o *offer) clientHello(k helloKind) ([]byte, error) {
	var random, session [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	if _, err := rand.Read(session[:]); err != nil {
		return nil, err
	}
	var share []byte
	if o.x25519 {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		share = key.PublicKey().Bytes()
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(1) // client_hello
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(tls.VersionTLS12)
		b.AddBytes(random[:])
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			if k.parameters == nil {
				b.AddBytes(session[:]) // the compatibility mode, which QUIC forbids
			}
		})
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addUint16s(b, offeredSuites) })
		b.AddUint8(1) // one compression method: none
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { o.extensions(b, k, share) })
	})
	return b.Bytes()
}

func (o *offer) extensions(b *cryptobyte.Builder, k helloKind, share []byte) {
	if _, err := netip.ParseAddr(k.serverName); err != nil && k.serverName != "" {
		extension(b, extServerName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0) // host_name
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(k.serverName)) })
			})
		})
	}
	extension(b, extSupportedGroups, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addUint16s(b, o.groups) })
	})
	extension(b, extSignatureSchemes, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addUint16s(b, offeredSchemes) })
	})
	if len(k.alpn) > 0 {
		extension(b, extALPN, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, p := range k.alpn {
					b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(p)) })
				}
			})
		})
	}
	extension(b, extSupportedVersions, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(tls.VersionTLS13) })
	})
	extension(b, extPSKModes, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 1}) }) // psk_dhe_ke
	extension(b, extKeyShare, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			if share != nil {
				b.AddUint16(uint16(tlsprovider.X25519))
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(share) })
			}
		})
	})
	if k.parameters != nil {
		extension(b, extTransportParams, func(b *cryptobyte.Builder) { b.AddBytes(k.parameters) })
	}
	if o.padding > 0 {
		extension(b, extPadding, func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, o.padding)) })
	}
}

func extension(b *cryptobyte.Builder, id uint16, body func(*cryptobyte.Builder)) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(body)
}

func addUint16s[T ~uint16](b *cryptobyte.Builder, list []T) {
	for _, v := range list {
		b.AddUint16(uint16(v))
	}
}

// A reply is a server's answer to an offer.
type reply struct {
	group tlsprovider.Group
	retry bool // in a HelloRetryRequest
}

// maxReply bounds the ServerHello that a server may send.
const maxReply = 16 << 10

var errReply = errors.New("the server's answer is not a ServerHello")

// parseReply parses the message at the beginning of b. It returns nil if the message is incomplete.
func parseReply(b []byte) (*reply, error) {
	if len(b) < 4 {
		return nil, nil
	}
	size := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
	if size > maxReply {
		return nil, fmt.Errorf("%w: it has %d bytes", errReply, size)
	}
	if len(b) < size {
		return nil, nil
	}
	h, err := inspect.ParseServerHello(b[:size])
	if err != nil {
		return nil, errReply
	}
	r := &reply{retry: h.IsRetryRequest()}
	if h.Group != nil {
		r.group = tlsprovider.Group(h.Group.ID)
	}
	return r, nil
}
