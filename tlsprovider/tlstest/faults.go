package tlstest

import (
	"crypto/x509"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// A Fault is an error in a handshake that one side must detect. It should have the same error code with each provider.
// docs/tls-errors.md lists the alerts.
type Fault struct {
	Name string
	// Side is the side that detects it.
	Side tlsprovider.Side
	run  func(t *testing.T, f *faulty)
}

// faulty contains what a Fault can change: the configurations, and messages between the sides.
type faulty struct {
	su             *Suite
	client, server *tlsprovider.Config
	ca             *Authority
	name           string                                    // server name of the client
	alpn           string                                    // protocol of the server; "" means "test"
	spoil          func(message []byte) []byte               // changes a message to Side
	kind           byte                                      // type of the message to change
	extra          func(p *Pair) (tlsprovider.Level, []byte) // sent to Side after the handshake
}

// Faults returns all faults.
func Faults() []Fault {
	return slices.Concat(quicFaults(), certificateFaults(), negotiationFaults(), messageFaults())
}

// quicFaults returns the faults in what QUIC adds to TLS.
func quicFaults() []Fault {
	const client, server = tlsprovider.Client, tlsprovider.Server
	return []Fault{
		// "The server MUST treat the inability to select a compatible application protocol as a connection error of
		// type 0x0178 (no_application_protocol)."
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-3
		{"no common application protocol", server, func(t *testing.T, f *faulty) { f.alpn = "other" }},
		// "[...] endpoints that receive ClientHello or EncryptedExtensions messages without the quic_transport_parameters
		// extension MUST close the connection with an error of type 0x016d (equivalent to a fatal TLS missing_extension
		// alert, see Section 4.8)."
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
		{"ClientHello without transport parameters", server, spoil(1, withoutExtension(0x39))},
		{"EncryptedExtensions without transport parameters", client, spoil(8, withoutExtension(0x39))},
		{"KeyUpdate message to the client", client, after(tlsprovider.LevelApp, []byte{24, 0, 0, 1, 0})},
		{"KeyUpdate message to the server", server, after(tlsprovider.LevelApp, []byte{24, 0, 0, 1, 0})},
		{"CertificateRequest after the handshake", client, after(tlsprovider.LevelApp, []byte{13, 0, 0, 0})},
		{"ticket with a limit of early data", client, after(tlsprovider.LevelApp, []byte{4, 0, 0, 22,
			0, 0, 0, 60, 1, 2, 3, 4, 0, 0, 1, 9, 0, 8, 0, 42, 0, 4, 0, 0, 16, 0})},
		{"handshake bytes at the wrong level", server, after(tlsprovider.LevelInitial, []byte{1})},
	}
}

// certificateFaults returns the faults in the authentication of a peer.
func certificateFaults() []Fault {
	const client, server = tlsprovider.Client, tlsprovider.Server
	return []Fault{
		// "A client MUST authenticate the identity of the server."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.4-2
		{"untrusted server certificate", client, func(t *testing.T, f *faulty) { f.client.RootCAs = NewAuthority(t).Roots() }},
		{"untrusted client certificate", server, mutual(func(t *testing.T, f *faulty) tlsprovider.Certificate {
			return NewAuthority(t).Leaf(t, nil)
		})},
		{"expired server certificate", client, func(t *testing.T, f *faulty) {
			f.server.Certificates = []tlsprovider.Certificate{f.ca.Leaf(t, expired)}
		}},
		{"expired client certificate", server, mutual(func(t *testing.T, f *faulty) tlsprovider.Certificate {
			return f.ca.Leaf(t, expired)
		})},
		{"server certificate of another name", client, func(t *testing.T, f *faulty) { f.name = "other.test" }},
		{"server certificate for clients only", client, func(t *testing.T, f *faulty) {
			f.server.Certificates = []tlsprovider.Certificate{f.ca.Leaf(t, func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			})}
		}},
		{"client certificate for servers only", server, mutual(func(t *testing.T, f *faulty) tlsprovider.Certificate {
			return f.ca.Leaf(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
		})},
		{"VerifyPeer returns an error", client, func(t *testing.T, f *faulty) {
			f.client.VerifyPeer = func(*tlsprovider.State) error { return errors.New("refused") }
		}},
		{"VerifyPeer returns an `*Error` with access_denied", client, func(t *testing.T, f *faulty) {
			f.client.VerifyPeer = func(*tlsprovider.State) error { return errRefused }
		}},
		{"required client certificate missing", server, func(t *testing.T, f *faulty) {
			f.server.ClientAuth, f.server.ClientCAs = tlsprovider.RequireClientCert, f.ca.Roots()
		}},
	}
}

// negotiationFaults returns the faults of sides that have too little in common.
func negotiationFaults() []Fault {
	const client, server = tlsprovider.Client, tlsprovider.Server
	return []Fault{
		{"client does not offer TLS 1.3", server, spoil(1, setExtension(0x2b, []byte{2, 3, 3}))},
		{"no common group", server, func(t *testing.T, f *faulty) {
			f.client.Groups, f.server.Groups = []tlsprovider.Group{tlsprovider.P256}, []tlsprovider.Group{tlsprovider.P384}
		}},
		{"RequirePQ and a classical client", server, func(t *testing.T, f *faulty) {
			f.client.Groups, f.server.RequirePQ = []tlsprovider.Group{tlsprovider.P256}, true
		}},
		{"RequirePQ and a classical client that offers P-521 only", server, func(t *testing.T, f *faulty) {
			f.client.Groups, f.server.RequirePQ = []tlsprovider.Group{tlsprovider.P521}, true
		}},
		{"RequirePQ and a classical server", client, func(t *testing.T, f *faulty) {
			f.server.Groups, f.client.RequirePQ = []tlsprovider.Group{tlsprovider.P256}, true
		}},
		{"no common cipher suite", server, spoil(1, setSuites)},
	}
}

// messageFaults returns the faults in the contents of messages.
func messageFaults() []Fault {
	const client, server = tlsprovider.Client, tlsprovider.Server
	return []Fault{
		{"server's Finished changed", client, spoil(20, lastByte)},
		{"client's Finished changed", server, spoil(20, lastByte)},
		{"server's CertificateVerify changed", client, spoil(15, lastByte)},
		{"ClientHello with a length that does not fit", server, spoil(1, longExtensions)},
		{"ServerHello with a length that does not fit", client, spoil(2, longExtensions)},
		{"ServerHello with a suite that was not offered", client, spoil(2, func(m []byte) []byte {
			binary.BigEndian.PutUint16(m[4+2+32+1+int(m[38]):], 0x1305)
			return m
		})},
		{"ServerHello with a group that was not offered", client, spoil(2, setExtension(0x33, []byte{0x01, 0x04, 0, 1, 9}))},
		{"Certificate without a certificate", client, spoil(11, func(m []byte) []byte {
			return []byte{11, 0, 0, 4, 0, 0, 0, 0}
		})},
		{"Certificate with bytes after its list", client, spoil(11, func(m []byte) []byte {
			n := len(m) - 4 + 1
			m[1], m[2], m[3] = byte(n>>16), byte(n>>8), byte(n)
			return append(m, 0)
		})},
		{"a message of an unknown type", client, spoil(8, func(m []byte) []byte { m[0] = 99; return m })},
	}
}

var errRefused = &tlsprovider.Error{Alert: tlsprovider.AlertAccessDenied}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

// spoil returns a function that changes the message of a type between the sides.
func spoil(kind byte, f func([]byte) []byte) func(*testing.T, *faulty) {
	return func(_ *testing.T, x *faulty) { x.kind, x.spoil = kind, f }
}

// after returns a function that sends bytes after the handshake.
func after(level tlsprovider.Level, data []byte) func(*testing.T, *faulty) {
	return func(_ *testing.T, x *faulty) {
		x.extra = func(*Pair) (tlsprovider.Level, []byte) { return level, data }
	}
}

func mutual(cert func(*testing.T, *faulty) tlsprovider.Certificate) func(*testing.T, *faulty) {
	return func(t *testing.T, x *faulty) {
		x.server.ClientAuth, x.server.ClientCAs = tlsprovider.RequireClientCert, x.ca.Roots()
		x.client.Certificates = []tlsprovider.Certificate{cert(t, x)}
	}
}

// Detect runs a handshake with the fault and returns the error of the side that detects it.
func (su *Suite) Detect(t *testing.T, fault Fault) *tlsprovider.Error {
	t.Helper()
	f := &faulty{su: su, name: "server.test", alpn: "test"}
	f.client, f.server, f.ca = Configs(t)
	f.client.DisableTickets, f.server.DisableTickets = true, true
	fault.run(t, f)
	ce, se := su.Endpoints(t, f.client, f.server)
	p := PairOf(t, ce, se, f.name)
	p.ALPN = f.alpn
	if f.spoil != nil {
		found := false
		p.Rewrite = func(side tlsprovider.Side, d tlsprovider.CryptoData) tlsprovider.CryptoData {
			if side == fault.Side.Peer() {
				d.Data = rewrite(d.Data, f.kind, func(m []byte) []byte { found = true; return f.spoil(m) })
			}
			return d
		}
		defer func() { require.True(t, found, "no message of type %d was sent", f.kind) }()
	}
	side, err := p.Run(t)
	if f.extra != nil {
		require.NoError(t, err)
		level, data := f.extra(p)
		side = fault.Side
		_, err = p.Session(side).Advance(Crypt(level, data))
	}
	require.Equal(t, fault.Side, side)
	var e *tlsprovider.Error
	require.ErrorAs(t, err, &e)
	return e
}

// rewrite changes the messages of a type in a sequence of messages.
func rewrite(data []byte, kind byte, f func([]byte) []byte) (out []byte) {
	for len(data) >= 4 {
		n := 4 + int(data[1])<<16 + int(data[2])<<8 + int(data[3])
		m := append([]byte(nil), data[:n]...)
		if m[0] == kind {
			m = f(m)
		}
		out = append(out, m...)
		data = data[n:]
	}
	return out
}

func lastByte(m []byte) []byte {
	m[len(m)-1] ^= 1
	return m
}

// extensionsAt returns the offset of a message's list of extensions, which begins with its length.
func extensionsAt(m []byte) int {
	at := 4
	switch m[0] {
	case 1:
		at += 2 + 32
		at += 1 + int(m[at])
		at += 2 + int(binary.BigEndian.Uint16(m[at:]))
		at += 1 + int(m[at])
	case 2:
		at += 2 + 32
		at += 1 + int(m[at]) + 2 + 1
	}
	return at
}

func longExtensions(m []byte) []byte {
	at := extensionsAt(m)
	binary.BigEndian.PutUint16(m[at:], binary.BigEndian.Uint16(m[at:])+1)
	return m
}

func withoutExtension(id uint16) func([]byte) []byte {
	return func(m []byte) []byte { return editExtension(m, id, nil) }
}

func setExtension(id uint16, body []byte) func([]byte) []byte {
	return func(m []byte) []byte { return editExtension(m, id, body) }
}

// WithoutExtension removes an extension from a ClientHello.
func WithoutExtension(hello []byte, id uint16) []byte { return editExtension(hello, id, nil) }

// editExtension replaces the body of an extension. If body is nil, it removes the extension.
func editExtension(m []byte, id uint16, body []byte) []byte {
	at := extensionsAt(m)
	out := append([]byte(nil), m[:at+2]...)
	for list := m[at+2:]; len(list) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(list[2:]))
		switch {
		case binary.BigEndian.Uint16(list) != id:
			out = append(out, list[:n]...)
		case body != nil:
			out = binary.BigEndian.AppendUint16(out, id)
			out = binary.BigEndian.AppendUint16(out, uint16(len(body)))
			out = append(out, body...)
		}
		list = list[n:]
	}
	binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
	n := len(out) - 4
	out[1], out[2], out[3] = byte(n>>16), byte(n>>8), byte(n)
	return out
}

// setSuites replaces the cipher suites by one that no provider supports.
func setSuites(m []byte) []byte {
	at := 4 + 2 + 32
	at += 1 + int(m[at])
	for end := at + 2 + int(binary.BigEndian.Uint16(m[at:])); at+2 < end; at += 2 {
		binary.BigEndian.PutUint16(m[at+2:], 0x1305)
	}
	return m
}
