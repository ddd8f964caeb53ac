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

// Peer returns the other side.
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

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	// EventWrite means that the transport sends Data in CRYPTO frames of Level.
	EventWrite EventKind = iota + 1
	// EventKeys means that TakeKeys returns keys of Level. Read and Write report which directions
	// are ready.
	EventKeys
	// EventTransportParameters means that Data is the server's encoded transport parameters. A
	// server finds those of the client in ClientHello.
	EventTransportParameters
	// EventClientHello means that the server has received the whole ClientHello and waits for
	// Continue. It occurs once in a session, and not again after a HelloRetryRequest.
	EventClientHello
	// EventSign means that the handshake needs a signature of Certificate.Signer. The transport
	// calls Sign.Run on a goroutine that may block, and then Advance with no input.
	EventSign
	// EventHandshakeDone means that the handshake is complete and State is final.
	EventHandshakeDone
	// EventTicket means that the client has received and stored a session ticket.
	EventTicket
	// EventEarlyParameters means that the client may send early data. Data is the server's encoded transport
	// parameters of the connection that the session comes from. EventKeys with the keys of LevelEarly follows.
	EventEarlyParameters
	// EventEarlyRejected means that the server has rejected the client's early data.
	EventEarlyRejected
)

// An Event is one step of a handshake. Data and ClientHello are valid until the next call of a method of the
// session.
type Event struct {
	Kind        EventKind
	Level       Level
	Read, Write bool
	Data        []byte
	ClientHello *ClientHello
	Sign        *SignRequest
}

// A ClientHello holds what a server knows about a client before it answers.
type ClientHello struct {
	ServerName          string
	ALPN                []string
	Groups              []Group // supported_groups, in the client's order
	KeyShares           []Group // the groups that the client sent key shares for
	SignatureSchemes    []SignatureScheme
	CipherSuites        []CipherSuite
	TransportParameters []byte
	EarlyData           bool // the client offers early data (0-RTT)
}

// A SignRequest is one signature to be made by Certificate.Signer, outside of the provider's module.
type SignRequest struct {
	signer    crypto.Signer
	digest    []byte
	opts      crypto.SignerOpts
	signature []byte
	err       error
}

// NewSignRequest is for providers. It returns a request for a signature of digest by s.
func NewSignRequest(s crypto.Signer, digest []byte, opts crypto.SignerOpts) *SignRequest {
	return &SignRequest{signer: s, digest: digest, opts: opts}
}

// Signer returns the Signer that Run calls, so that a transport can limit the calls of each.
func (r *SignRequest) Signer() crypto.Signer { return r.signer }

// Run calls the Signer and keeps its result. If the Signer calls runtime.Goexit, which ends the goroutine,
// the request fails.
func (r *SignRequest) Run(rand io.Reader) {
	r.err = errors.New("the Signer called runtime.Goexit")
	r.err = Guard("Certificate.Signer", func() (err error) {
		r.signature, err = r.signer.Sign(rand, r.digest, r.opts)
		if err == nil && len(r.signature) == 0 {
			err = errors.New("the Signer returned an empty signature")
		}
		return err
	})
}

// Fail makes err the result of a request that is not run.
func (r *SignRequest) Fail(err error) { r.err = err }

// Result is for providers. It returns the result of Run, or nil and nil before Run has ended.
func (r *SignRequest) Result() ([]byte, error) { return r.signature, r.err }
