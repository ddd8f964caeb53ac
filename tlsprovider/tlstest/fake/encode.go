package fake

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

func putUint64(b []byte, v uint64) { binary.BigEndian.PutUint64(b, v) }
func getUint64(b []byte) uint64    { return binary.BigEndian.Uint64(b) }

// A builder appends TLS vectors, which are bytes preceded by their length.
type builder struct{ b []byte }

func (w *builder) u8(v int)       { w.b = append(w.b, byte(v)) }
func (w *builder) u16(v int)      { w.b = append(w.b, byte(v>>8), byte(v)) }
func (w *builder) u24(v int)      { w.b = append(w.b, byte(v>>16), byte(v>>8), byte(v)) }
func (w *builder) bytes(v []byte) { w.b = append(w.b, v...) }
func (w *builder) random(n int, h uint64) {
	at := len(w.b)
	w.b = append(w.b, make([]byte, n)...)
	fill(w.b[at:], h)
}

// open reserves n bytes for a length, which close writes.
func (w *builder) open(n int) int {
	w.b = append(w.b, 0, 0, 0)[:len(w.b)+n]
	return len(w.b)
}

func (w *builder) close(at, n int) {
	size := len(w.b) - at
	for i := 1; i <= n; i++ {
		w.b[at-i] = byte(size)
		size >>= 8
	}
}

func (w *builder) extension(id int, f func()) {
	w.u16(id)
	at := w.open(2)
	f()
	w.close(at, 2)
}

// message returns a handshake message whose body is written by f.
func message(kind uint8, room int, f func(*builder)) []byte {
	w := &builder{b: make([]byte, 1, room)}
	w.b[0] = kind
	at := w.open(3)
	f(w)
	w.close(at, 3)
	return w.b
}

// shareLens returns the sizes of the key shares of the client and the server.
func shareLens(g tlsprovider.Group) (client, server int) {
	switch g {
	case tlsprovider.X25519MLKEM768:
		return 1184 + 32, 1088 + 32
	case tlsprovider.SecP256r1MLKEM768:
		return 1184 + 65, 1088 + 65
	case tlsprovider.SecP384r1MLKEM1024:
		return 1568 + 97, 1568 + 97
	case tlsprovider.P256:
		return 65, 65
	case tlsprovider.P384:
		return 97, 97
	}
	return 32, 32 // X25519
}

// helloParams are the parameters of a ClientHello.
type helloParams struct {
	random  uint64
	name    string
	groups  []tlsprovider.Group
	shares  []tlsprovider.Group
	suites  []tlsprovider.CipherSuite
	protos  []string
	params  []byte
	psk     []byte
	retried bool
}

func clientHello(p *helloParams) []byte {
	return message(hello.TypeClientHello, 1800+len(p.params), func(w *builder) {
		w.u16(0x0303)
		w.random(32, p.random)
		w.u8(0) // no session id (RFC 9001, 8.4)
		at := w.open(2)
		for _, s := range p.suites {
			w.u16(int(s))
		}
		w.close(at, 2)
		w.u16(0x0100)
		at = w.open(2)
		clientExtensions(w, p)
		w.close(at, 2)
	})
}

func clientExtensions(w *builder, p *helloParams) {
	w.extension(hello.ExtServerName, func() {
		w.u16(len(p.name) + 3)
		w.u8(0)
		w.u16(len(p.name))
		w.bytes([]byte(p.name))
	})
	w.extension(hello.ExtSupportedGroups, func() {
		w.u16(2 * len(p.groups))
		for _, g := range p.groups {
			w.u16(int(g))
		}
	})
	w.extension(hello.ExtSignatureAlgorithms, func() {
		w.u16(2 * len(schemes))
		for _, s := range schemes {
			w.u16(s)
		}
	})
	w.extension(hello.ExtALPN, func() {
		at := w.open(2)
		for _, proto := range p.protos {
			w.u8(len(proto))
			w.bytes([]byte(proto))
		}
		w.close(at, 2)
	})
	w.extension(hello.ExtSupportedVersions, func() { w.bytes([]byte{2, 3, 4}) })
	w.extension(hello.ExtPSKModes, func() { w.bytes([]byte{1, 1}) })
	w.extension(hello.ExtKeyShare, func() {
		at := w.open(2)
		for _, g := range p.shares {
			n, _ := shareLens(g)
			w.u16(int(g))
			w.u16(n)
			w.random(n, mum(p.random, uint64(g)))
		}
		w.close(at, 2)
	})
	if p.retried {
		w.extension(hello.ExtCookie, func() { w.u16(8); w.random(8, m1) })
	}
	w.extension(hello.ExtTransportParameters, func() { w.bytes(p.params) })
	if p.psk != nil {
		w.extension(hello.ExtPreSharedKey, func() {
			w.u16(2 + len(p.psk) + 4)
			w.u16(len(p.psk))
			w.bytes(p.psk)
			w.bytes(make([]byte, 4)) // the ticket's age
			w.u16(33)
			w.u8(32)
			w.random(32, sum(m2, p.psk))
		})
	}
}

// schemes are the signature schemes that crypto/tls offers.
var schemes = []int{0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603}

// serverHello returns a ServerHello, or a HelloRetryRequest if random is nil.
func serverHello(random []byte, suite tlsprovider.CipherSuite, g tlsprovider.Group, share uint64, psk bool) []byte {
	return message(hello.TypeServerHello, 1400, func(w *builder) {
		w.u16(0x0303)
		if random == nil {
			w.bytes(hello.RetryRandom[:])
		} else {
			w.bytes(random)
		}
		w.u8(0)
		w.u16(int(suite))
		w.u8(0)
		at := w.open(2)
		w.extension(hello.ExtSupportedVersions, func() { w.u16(hello.VersionTLS13) })
		w.extension(hello.ExtKeyShare, func() {
			w.u16(int(g))
			if random != nil {
				_, n := shareLens(g)
				w.u16(n)
				w.random(n, share)
			}
		})
		if random == nil {
			w.extension(hello.ExtCookie, func() { w.u16(8); w.random(8, m1) })
		}
		if psk {
			w.extension(hello.ExtPreSharedKey, func() { w.u16(0) })
		}
		w.close(at, 2)
	})
}

func encryptedExtensions(alpn string, params []byte) []byte {
	return message(hello.TypeEncryptedExtensions, 64+len(params), func(w *builder) {
		at := w.open(2)
		w.extension(hello.ExtALPN, func() {
			w.u16(1 + len(alpn))
			w.u8(len(alpn))
			w.bytes([]byte(alpn))
		})
		w.extension(hello.ExtTransportParameters, func() { w.bytes(params) })
		w.close(at, 2)
	})
}

func certificateRequest() []byte {
	return message(hello.TypeCertificateRequest, 64, func(w *builder) {
		w.u8(0)
		at := w.open(2)
		w.extension(hello.ExtSignatureAlgorithms, func() {
			w.u16(2 * len(schemes))
			for _, s := range schemes {
				w.u16(s)
			}
		})
		w.close(at, 2)
	})
}

func certificate(chain [][]byte) []byte {
	return message(hello.TypeCertificate, 1024, func(w *builder) {
		w.u8(0)
		at := w.open(3)
		for _, der := range chain {
			w.u24(len(der))
			w.bytes(der)
			w.u16(0)
		}
		w.close(at, 3)
	})
}

func certificateVerify(sig []byte) []byte {
	return message(hello.TypeCertificateVerify, 128, func(w *builder) {
		w.u16(int(scheme))
		w.u16(len(sig))
		w.bytes(sig)
	})
}

func finished(suite tlsprovider.CipherSuite, h uint64) []byte {
	return message(hello.TypeFinished, 64, func(w *builder) { w.random(verifyLen(suite), h) })
}

func verifyLen(suite tlsprovider.CipherSuite) int {
	if suite == tlsprovider.AES256GCM {
		return 48
	}
	return 32
}

func newSessionTicket(t []byte) []byte {
	return message(hello.TypeNewSessionTicket, 256, func(w *builder) {
		w.bytes([]byte{0, 9, 0x3a, 0x80}) // lifetime: seven days
		w.bytes(make([]byte, 4))          // age_add
		w.u8(8)
		w.bytes(make([]byte, 8)) // nonce
		w.u16(len(t))
		w.bytes(t)
		w.u16(0)
	})
}

// parseTicket returns the ticket of a NewSessionTicket's body.
func parseTicket(b []byte) ([]byte, bool) {
	if len(b) < 9 || len(b) < 9+int(b[8])+2 {
		return nil, false
	}
	b = b[9+int(b[8]):]
	n := int(b[0])<<8 | int(b[1])
	if len(b) < 2+n+2 || n == 0 {
		return nil, false
	}
	ext := b[2+n:]
	return b[2 : 2+n], len(ext) == 2+int(ext[0])<<8+int(ext[1])
}
