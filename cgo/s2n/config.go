package s2n

import (
	"unsafe"

	"github.com/pqquic/pqquic/cgo/awslc"
)

// Flags of a [Config].
type Flags uint32

// Values of Flags. They are those of pqquic.h.
const (
	Server             Flags = 1 << iota
	SkipVerify               // no verification of the peer's chain and name
	KeyLog                   // emit key log lines
	Tickets                  // a server sends tickets; a client stores and uses them
	ClientCertAsked          // a server requests a certificate and verifies it if there is one
	ClientCertRequired       // a server requires a certificate
	PeerDetails              // ask for the peer's OCSP response, and emit EventVerified
)

// A Config is shared by the connections that are made from it. It must not be changed after the first one was
// made, and is safe for concurrent use from then on until Close. Connections stay valid after Close.
type Config struct{ p unsafe.Pointer }

// NewConfig makes a configuration for a security policy of s2n-tls.
func NewConfig(policy string, flags Flags) (*Config, error) {
	if err := awslc.Linked(); err != nil {
		return nil, err
	}
	p, code := configNew(policy, flags)
	if p == nil {
		return nil, errorOf(code)
	}
	return &Config{p}, nil
}

// AddCert adds a chain and its private key, both in PEM. Without a key, handshakes emit [EventSign] with index. staple, if it
// is not empty, is an OCSP response in DER that is sent with the chain.
func (c *Config) AddCert(chain, key []byte, index uint16, staple []byte) error {
	if c.p == nil {
		return errClosed
	}
	if len(chain) == 0 {
		return ErrRefused
	}
	if code, ok := configAddCert(c.p, chain, key, index, staple); !ok {
		return errorOf(code)
	}
	return nil
}

// AddRoot adds one trust anchor in PEM.
func (c *Config) AddRoot(pem []byte) error {
	if c.p == nil {
		return errClosed
	}
	if code, ok := configAddRoot(c.p, string(pem)); !ok {
		return errorOf(code)
	}
	return nil
}

// AddALPN adds an application protocol that a client offers.
func (c *Config) AddALPN(proto string) error {
	if c.p == nil {
		return errClosed
	}
	if code, ok := configAddALPN(c.p, []byte(proto)); !ok {
		return errorOf(code)
	}
	return nil
}

// AddTicketKey adds a server's ticket key of 32 bytes. The first key seals and opens tickets, the others only open
// them.
func (c *Config) AddTicketKey(secret []byte) error {
	if c.p == nil {
		return errClosed
	}
	if len(secret) != 32 {
		return ErrRefused
	}
	if code, ok := configAddTicketKey(c.p, secret); !ok {
		return errorOf(code)
	}
	return nil
}

// Groups returns the code points of the groups that the configuration offers.
func (c *Config) Groups() []uint16 {
	if c.p == nil {
		return nil
	}
	out := make([]uint16, 64)
	return out[:configGroups(c.p, out)]
}

// Close releases the configuration. It is idempotent.
func (c *Config) Close() {
	configFree(c.p)
	c.p = nil
}
