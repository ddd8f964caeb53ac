package tlsprovider

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"hash"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"weak"
)

// A session is resumed only under the configuration that it was made under. Otherwise a client could resume a session to
// a server that its own configuration would not trust, and a server could resume the session of a client that it has not
// verified. The functions of this file hash the parts of a configuration that matter. The hash serves only to compare
// configurations, and no secret goes into it.

// A binder hashes parts of a configuration.
type binder struct{ hash.Hash }

// add adds a value of variable length.
func (b binder) add(p []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(p)))
	_, _ = b.Write(n[:])
	_, _ = b.Write(p)
}

func (b binder) addf(format string, args ...any) { b.add(fmt.Appendf(nil, format, args...)) }

func (b binder) addList(list [][]byte) {
	b.addf("%d", len(list))
	for _, p := range list {
		b.add(p)
	}
}

// addRoots adds authorities. nil, the system's roots, differs from an empty set.
func (b binder) addRoots(r *Roots) {
	b.addf("%t", r != nil)
	if r != nil {
		b.addList(r.DER())
	}
}

// addPool adds the number of a pool. Its certificates cannot be read, so another pool with the same ones counts as different. A
// pool never loses a certificate, so what was verified with it stays verified.
func (b binder) addPool(p *x509.CertPool) { b.addf("pool %x", pools.number(p)) }

// pools has a number for each pool that was part of a configuration, as long as the pool exists. The numbers are random, so that
// sessions that a program has saved do not match a pool of another process.
var pools = poolNumbers{numbers: make(map[weak.Pointer[x509.CertPool]][16]byte)}

type poolNumbers struct {
	mu      sync.Mutex
	numbers map[weak.Pointer[x509.CertPool]][16]byte
}

// number returns the number of a pool.
func (n *poolNumbers) number(p *x509.CertPool) [16]byte {
	key := weak.Make(p)
	n.mu.Lock()
	defer n.mu.Unlock()
	v, ok := n.numbers[key]
	if !ok {
		_, _ = rand.Read(v[:]) // never fails
		n.numbers[key] = v
		runtime.AddCleanup(p, n.forget, key)
	}
	return v
}

// forget removes a pool that does not exist any more.
func (n *poolNumbers) forget(key weak.Pointer[x509.CertPool]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.numbers, key)
}

// addFunc adds the address of a function's code. Functions cannot be compared otherwise: closures of one function
// literal count as the same.
func (b binder) addFunc(f any) {
	v := reflect.ValueOf(f)
	code := uintptr(0)
	if !v.IsNil() {
		code = v.Pointer()
	}
	b.addf("%d", code)
}

func (b binder) sum() (out [32]byte) { return [32]byte(b.Sum(out[:0])) }

// addCommon adds the fields that apply to both sides.
func (b binder) addCommon(c *Config) {
	b.addf("%q %d %s %t %d %t", c.NextProtos, c.Groups, c.Policy, c.RequirePQ, c.CipherSuites, c.VerifyPeer != nil)
	if c.RequirePQAuth {
		b.addf("RequirePQAuth")
	}
}

// ClientBinding is for providers. It returns a hash of what a client's session depends on: the verification of the
// server, the client's certificates, application protocols, and what the key exchange must be. Two configurations
// with the same hash may use each other's sessions. Callbacks that verify are compared by their code. A pool of crypto/x509 is
// compared by identity: two configurations with the same pool may use each other's sessions, but only within a process.
func (c *Config) ClientBinding() [32]byte {
	b := binder{sha256.New()}
	b.addCommon(c)
	b.addf("%t", c.InsecureSkipVerify)
	b.addFunc(c.VerifyPeer) // it does not see the chain again when a session is resumed
	if c.TLS != nil {
		b.addFunc(c.TLS.VerifyPeerCertificate)
		b.addFunc(c.TLS.VerifyConnection)
	}
	b.addRoots(c.RootCAs)
	if c.RootCAs == nil && c.TLS != nil && c.TLS.RootCAs != nil {
		b.addPool(c.TLS.RootCAs)
	}
	b.addf("%d", len(c.Certificates))
	for i := range c.Certificates {
		b.addList(c.Certificates[i].Chain)
	}
	return b.sum()
}

// addIdentity adds what certificates say about their owner: the public keys and the names of the leaves, in any order.
// A certificate that is renewed with the same key and for the same names has the same identity.
func (b binder) addIdentity(certs []Certificate) {
	var ids [][]byte
	for i := range certs {
		one := binder{sha256.New()}
		for _, part := range identity(&certs[i]) {
			one.add(part)
		}
		sum := one.sum()
		ids = append(ids, sum[:])
	}
	slices.SortFunc(ids, bytes.Compare)
	b.addList(ids)
}

// identity returns the public key and the names of a leaf, or the whole certificate if crypto/x509 cannot parse it.
func identity(c *Certificate) [][]byte {
	if len(c.Chain) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return [][]byte{c.Chain[0]}
	}
	parts := [][]byte{leaf.RawSubjectPublicKeyInfo}
	for _, ext := range leaf.Extensions {
		if ext.Id.Equal(subjectAltName) {
			parts = append(parts, ext.Value)
		}
	}
	return parts
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// ServerBinding is for providers. It returns a hash of what a server's tickets depend on: the public keys and names of its
// certificates, the verification of clients, application protocols, and what the key exchange must be. A provider derives
// the keys of tickets from TicketKeys and this hash, so that servers with the same TicketKeys and different configurations
// do not resume each other's sessions, and a server with new certificates does not resume the sessions of the old ones.
// See docs/replacing-keys.md.
func (c *Config) ServerBinding() [32]byte {
	b := binder{sha256.New()}
	b.addCommon(c)
	b.addf("%d", c.ClientAuth)
	b.addRoots(c.ClientCAs)
	if c.TLS != nil {
		b.addf("%d", c.TLS.ClientAuth)
	}
	b.addIdentity(c.Certificates)
	return b.sum()
}

// SessionKey is for providers. It returns the key of a server's sessions in Config.ClientStore. binding is the result of
// ClientBinding, and version is the QUIC version.
func SessionKey(provider string, version uint32, binding [32]byte, serverName string) string {
	return fmt.Sprintf("session %s %08x %x %s", provider, version, binding, serverName)
}
