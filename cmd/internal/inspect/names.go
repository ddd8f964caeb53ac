package inspect

import (
	"crypto/tls"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

// groupInfo describes a named group. If a hybrid's key shares are two halves in sequence, halves gives the
// length of each.
type groupInfo struct {
	name           string
	pq             bool
	client, server []half
}

// A half is one part of a key share.
type half struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Encoded points (RFC 8446, 4.2.8.2).
var (
	x25519 = half{"X25519", 32}
	p256   = half{"P-256", 65}
	p384   = half{"P-384", 97}
	p521   = half{"P-521", 133}
)

// A kem has a public key in the client's share and a ciphertext in the server's (FIPS 203, table 3; Kyber
// has the same sizes).
type kem struct {
	name                  string
	publicKey, ciphertext int
}

var (
	mlKEM768  = kem{"ML-KEM-768", 1184, 1088}
	mlKEM1024 = kem{"ML-KEM-1024", 1568, 1568}
	kyber512  = kem{"Kyber512", 800, 768}
	kyber768  = kem{"Kyber768", 1184, 1088}
	kyber1024 = kem{"Kyber1024", 1568, 1568}
	bikeL1    = kem{"BIKE-L1", 1541, 1573}
	sikep434  = kem{"SIKEp434", 330, 346}
)

// brokenHybrid returns a hybrid whose KEM is broken.
func brokenHybrid(name string, point half, k kem) groupInfo {
	g := hybrid(name, point, k)
	g.pq = false
	return g
}

// hybrid returns a group whose shares have the point first.
func hybrid(name string, point half, k kem) groupInfo {
	return groupInfo{name: name, pq: true, client: []half{point, {k.name, k.publicKey}}, server: []half{point, {k.name, k.ciphertext}}}
}

// kemFirst returns a group whose shares have the point last.
func kemFirst(name string, k kem, point half) groupInfo {
	return groupInfo{name: name, pq: true, client: []half{{k.name, k.publicKey}, point}, server: []half{{k.name, k.ciphertext}, point}}
}

// Suffixes of code points that were used only in experiments.
const (
	experiment = " (experiment)"
	broken     = " (experiment, broken)"
)

// groups holds the named groups of IANA's registry that are in use, and experimental code points that old
// clients still offer.
var groups = map[uint16]groupInfo{
	0x0017: {name: "P-256"}, 0x0018: {name: "P-384"}, 0x0019: {name: "P-521"},
	0x001d: {name: "X25519"}, 0x001e: {name: "X448"},
	0x001a: {name: "brainpoolP256r1"}, 0x001b: {name: "brainpoolP384r1"}, 0x001c: {name: "brainpoolP512r1"},
	0x001f: {name: "brainpoolP256r1tls13"}, 0x0020: {name: "brainpoolP384r1tls13"},
	0x0021: {name: "brainpoolP512r1tls13"}, 0x0029: {name: "curveSM2"},
	0x0100: {name: "ffdhe2048"}, 0x0101: {name: "ffdhe3072"}, 0x0102: {name: "ffdhe4096"},
	0x0103: {name: "ffdhe6144"}, 0x0104: {name: "ffdhe8192"},

	0x0200: {name: "ML-KEM-512", pq: true}, 0x0201: {name: "ML-KEM-768", pq: true},
	0x0202: {name: "ML-KEM-1024", pq: true},
	0x11eb: hybrid("SecP256r1MLKEM768", p256, mlKEM768),
	0x11ec: kemFirst("X25519MLKEM768", mlKEM768, x25519),
	0x11ed: hybrid("SecP384r1MLKEM1024", p384, mlKEM1024),
	0x11ee: {name: "curveSM2MLKEM768", pq: true},

	// Experiments that have been replaced: Kyber is not ML-KEM. Those below 0x3000 are s2n-tls's, of rounds 2
	// and 3 of NIST's competition. SIKE was broken in 2022, by a classical computer too.
	0x2f0f: {name: "SecP256r1Kyber512R2" + experiment, pq: true},
	0x2f26: {name: "X25519Kyber512R2" + experiment, pq: true},
	0x2f1f: brokenHybrid("SecP256r1SIKEp434R3"+broken, p256, sikep434),
	0x2f27: brokenHybrid("X25519SIKEp434R3"+broken, x25519, sikep434),
	0x2f23: {name: "SecP256r1BIKE1L1" + experiment, pq: true},
	0x2f28: {name: "X25519BIKE1L1" + experiment, pq: true},
	0x2f37: hybrid("X25519BIKEL1R3"+experiment, x25519, bikeL1),
	0x2f38: hybrid("SecP256r1BIKEL1R3"+experiment, p256, bikeL1),
	0x2f39: hybrid("X25519Kyber512R3"+experiment, x25519, kyber512),
	0x2f3a: hybrid("SecP256r1Kyber512R3"+experiment, p256, kyber512),
	0x2f3c: hybrid("SecP384r1Kyber768"+experiment, p384, kyber768),
	0x2f3d: hybrid("SecP521r1Kyber1024"+experiment, p521, kyber1024),
	0x6399: hybrid("X25519Kyber768Draft00"+experiment, x25519, kyber768),
	0x639a: hybrid("SecP256r1Kyber768Draft00"+experiment, p256, kyber768),
	0xfe30: hybrid("X25519Kyber512Draft00"+experiment, x25519, kyber512),
	0xfe31: hybrid("X25519Kyber768Draft00Old"+experiment, x25519, kyber768),
	0xfe32: hybrid("P256Kyber768Draft00"+experiment, p256, kyber768),
	0x4138: {name: "CECPQ2" + experiment, pq: true}, // X25519 and NTRU-HRSS
}

// isGREASE reports whether a code point is one of RFC 8701, which have no meaning.
func isGREASE(id uint16) bool { return id&0x0f0f == 0x0a0a && id>>8 == id&0xff }

// A Named is a code point with its name.
type Named struct {
	ID   uint16 `json:"id"`
	Name string `json:"name"`
}

func (n Named) String() string { return fmt.Sprintf("%s (0x%04X)", n.Name, n.ID) }

// A Group is a named group.
type Group struct {
	Named
	PostQuantum bool `json:"post_quantum"`
}

// GroupOf describes the group with a code point.
func GroupOf(id uint16) Group {
	if g, ok := groups[id]; ok {
		return Group{Named{id, g.name}, g.pq}
	}
	return Group{Named{id, unnamed(id)}, false}
}

func suiteOf(id uint16) Named {
	if name := tls.CipherSuiteName(id); len(name) < 2 || name[:2] != "0x" {
		return Named{id, name}
	}
	return Named{id, unnamed(id)}
}

func schemeOf(id uint16) Named { return Named{id, tlsprovider.SignatureScheme(id).String()} }

func unnamed(id uint16) string {
	if isGREASE(id) {
		return "GREASE"
	}
	return "unknown"
}

// Versions of TLS and QUIC.
const (
	tls13 = 0x0304

	quicV1 = 0x00000001
	quicV2 = 0x6b3343cf
)

func quicVersionName(v uint32) string {
	switch {
	case v == quicV1:
		return "QUIC v1"
	case v == quicV2:
		return "QUIC v2"
	case v>>8 == 0xff0000:
		return fmt.Sprintf("QUIC draft-%d", v&0xff)
	case v&0x0f0f0f0f == 0x0a0a0a0a:
		return fmt.Sprintf("GREASE version 0x%08x", v)
	}
	return fmt.Sprintf("QUIC version 0x%08x", v)
}

func tlsVersionName(v uint16) string {
	switch v {
	case tls13:
		return "TLS 1.3"
	case 0x0303:
		return "TLS 1.2"
	case 0x0302:
		return "TLS 1.1"
	case 0x0301:
		return "TLS 1.0"
	}
	return fmt.Sprintf("TLS version 0x%04x", v)
}
