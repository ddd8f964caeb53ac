package tlsprovider

import (
	"crypto"
	"errors"
	"io"
)

// Side is one end of a connection.
type Side uint8

const (
	Client Side = iota
	Server
)

// Peer is the other side.
func (s Side) Peer() Side { return s ^ 1 }

func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// Level is an encryption level (RFC 9001, 2.1).
type Level uint8

const (
	LevelInitial Level = iota
	LevelEarly         // 0-RTT
	LevelHandshake
	LevelApp // 1-RTT
)

func (l Level) String() string {
	return [...]string{"Initial", "0-RTT", "Handshake", "1-RTT"}[l&3]
}

// EventKind says what happened in a handshake.
type EventKind uint8

const (
	// EventWrite: Data is CRYPTO to be sent at Level.
	EventWrite EventKind = iota + 1
	// EventKeys: keys of Level can be taken; Read and Write say which directions became ready.
	EventKeys
	// EventTransportParameters: Data is the peer's encoded extension. On a server it comes
	// inside ClientHello instead.
	EventTransportParameters
	// EventClientHello: the server has the whole ClientHello and waits for Continue. Once a
	// session, not again after a HelloRetryRequest.
	EventClientHello
	// EventSign: the handshake needs a private key that lives elsewhere. Run Sign on a
	// goroutine that may block, then call Advance with no input.
	EventSign
	// EventHandshakeDone: the handshake is complete and State is final.
	EventHandshakeDone
	// EventTicket: the client received and stored a session ticket.
	EventTicket
)

// An Event is one step of a handshake, in order. Data and ClientHello are valid until the next call
// on the session.
type Event struct {
	Kind        EventKind
	Level       Level
	Read, Write bool
	Data        []byte
	ClientHello *ClientHello
	Sign        *SignRequest
}

// ClientHello is what a server can know before it answers.
type ClientHello struct {
	ServerName          string
	ALPN                []string
	Groups              []Group // supported_groups, in the client's order
	KeyShares           []Group // groups with a share
	SignatureSchemes    []SignatureScheme
	CipherSuites        []CipherSuite
	TransportParameters []byte
}

// A SignRequest is one private key operation outside of the provider's module.
type SignRequest struct {
	signer    crypto.Signer
	digest    []byte
	opts      crypto.SignerOpts
	signature []byte
	err       error
}

// NewSignRequest is for providers.
func NewSignRequest(s crypto.Signer, digest []byte, opts crypto.SignerOpts) *SignRequest {
	return &SignRequest{signer: s, digest: digest, opts: opts}
}

// Run calls the Signer and returns when the Signer does.
func (r *SignRequest) Run(rand io.Reader) {
	r.err = Guard("Certificate.Signer", func() (err error) {
		r.signature, err = r.signer.Sign(rand, r.digest, r.opts)
		if err == nil && len(r.signature) == 0 {
			err = errors.New("the Signer returned an empty signature")
		}
		return err
	})
}

// Fail records that the request was given up.
func (r *SignRequest) Fail(err error) { r.err = err }

// Result is for providers. It returns the result of Run, or nil and nil before Run has ended.
func (r *SignRequest) Result() ([]byte, error) { return r.signature, r.err }
