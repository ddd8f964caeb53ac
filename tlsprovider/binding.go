package tlsprovider

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"reflect"
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
// with the same hash may use each other's sessions. Callbacks that verify are compared by their code.
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
	b.addf("%d", len(c.Certificates))
	for i := range c.Certificates {
		b.addList(c.Certificates[i].Chain)
	}
	return b.sum()
}

// ServerBinding is for providers. It returns a hash of what a server's tickets depend on: the verification of clients,
// application protocols, and what the key exchange must be. A provider derives the keys of tickets from TicketKeys and
// this hash, so that servers with the same TicketKeys and different configurations do not resume each other's
// sessions. Certificates are not part of it, because servers of a fleet may have different ones.
func (c *Config) ServerBinding() [32]byte {
	b := binder{sha256.New()}
	b.addCommon(c)
	b.addf("%d", c.ClientAuth)
	b.addRoots(c.ClientCAs)
	if c.TLS != nil {
		b.addf("%d", c.TLS.ClientAuth)
	}
	return b.sum()
}

// SessionKey is for providers. It returns the key of a server's sessions in Config.ClientStore. binding is the result of
// ClientBinding, and version is the QUIC version.
func SessionKey(provider string, version uint32, binding [32]byte, serverName string) string {
	return fmt.Sprintf("session %s %08x %x %s", provider, version, binding, serverName)
}
