package inspect

import (
	"net/netip"
	"time"
)

// A Connection describes one connection's key exchange as far as the capture shows it.
type Connection struct {
	Start     time.Time      `json:"start"`
	Transport string         `json:"transport"` // "quic" or "tcp"
	Client    netip.AddrPort `json:"client"`
	Server    netip.AddrPort `json:"server"`
	// Version is the version of QUIC, or over TCP of TLS, in the last packets.
	Version string `json:"version"`

	Verdict Verdict `json:"verdict"`

	ServerName string   `json:"server_name,omitempty"`
	ALPN       []string `json:"alpn_offered,omitempty"`
	// Selected is the group of the key exchange; nil if none was seen.
	Selected *Group       `json:"selected_group,omitempty"`
	Suite    *Named       `json:"cipher_suite,omitempty"`
	Hello    *ClientHello `json:"client_hello,omitempty"`
	// RetryHello is the second ClientHello, after a HelloRetryRequest.
	RetryHello   *ClientHello `json:"client_hello_2,omitempty"`
	RetryRequest *ServerHello `json:"hello_retry_request,omitempty"`
	ServerHello  *ServerHello `json:"server_hello,omitempty"`
	Resumed      bool         `json:"resumed"`

	// Retry reports whether the server validated the client's address with a Retry packet.
	Retry              bool      `json:"retry,omitempty"`
	VersionNegotiation []string  `json:"version_negotiation,omitempty"`
	ClientInitials     *Initials `json:"client_initials,omitempty"`
	ServerInitials     *Initials `json:"server_initials,omitempty"`
	Close              string    `json:"close,omitempty"`

	// Handshake describes the encrypted part. It needs a key log.
	Handshake *Handshake `json:"handshake,omitempty"`

	// Problems lists what could not be read, and why.
	Problems []string `json:"problems,omitempty"`
}

// Initials counts the datagrams of one side that contain Initial packets.
type Initials struct {
	Datagrams int   `json:"datagrams"`
	Bytes     []int `json:"bytes"` // UDP payload sizes of the first ones
}

// maxInitialSizes bounds Initials.Bytes.
const maxInitialSizes = 16

func (i *Initials) count(n int) {
	i.Datagrams++
	if len(i.Bytes) < maxInitialSizes {
		i.Bytes = append(i.Bytes, n)
	}
}

// A Handshake describes the encrypted part of a handshake.
type Handshake struct {
	ALPN              string       `json:"alpn,omitempty"`
	ServerGroups      []Group      `json:"server_groups,omitempty"`
	Certificate       *Certificate `json:"certificate,omitempty"`
	Signature         *Named       `json:"signature_scheme,omitempty"` // of CertificateVerify
	ClientCertificate *Certificate `json:"client_certificate,omitempty"`
	ClientSignature   *Named       `json:"client_signature_scheme,omitempty"`
	ClientCertAsked   bool         `json:"client_certificate_requested,omitempty"`
	ServerParameters  []Parameter  `json:"server_transport_parameters,omitempty"`
	CompressedCert    bool         `json:"compressed_certificate,omitempty"`
}

// A Certificate is an end-entity certificate of a handshake.
type Certificate struct {
	Subject            string    `json:"subject"`
	Issuer             string    `json:"issuer"`
	DNSNames           []string  `json:"dns_names,omitempty"`
	NotAfter           time.Time `json:"not_after"`
	PublicKey          string    `json:"public_key"`
	SignatureAlgorithm string    `json:"signature_algorithm"`
	PostQuantum        bool      `json:"post_quantum"`
	Chain              int       `json:"chain"`       // number of certificates sent
	ChainBytes         int       `json:"chain_bytes"` // of the Certificate message
}

// A Parameter is one transport parameter, with its value as a number or in hex.
type Parameter struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (c *Connection) problem(s string) {
	const maxProblems = 8
	for _, p := range c.Problems {
		if p == s {
			return
		}
	}
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, s)
	}
}

// size returns roughly how much memory the report holds.
func (c *Connection) size() int {
	if c == nil {
		return 0 // already reported
	}
	n := 0
	for _, h := range []*ClientHello{c.Hello, c.RetryHello} {
		if h == nil {
			continue
		}
		n += 512 + 24*(len(h.Suites)+len(h.Schemes)) + 40*len(h.Groups) + 88*len(h.Shares) + 48*len(h.Parameters)
		for _, p := range h.ALPN {
			n += 16 + len(p)
		}
		for _, p := range h.Parameters {
			n += len(p.Value)
		}
	}
	return n
}

// lastHello returns the last ClientHello, which is the one that counts.
func (c *Connection) lastHello() *ClientHello {
	if c.RetryHello != nil {
		return c.RetryHello
	}
	return c.Hello
}
