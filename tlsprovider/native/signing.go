package native

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
)

// signing lets crypto/tls wait for a private key that lives elsewhere without holding the caller.
// crypto/tls runs a handshake on a goroutine of its own and has its caller wait; with a foreign key
// a second goroutine is that caller, and the session's waits for whichever comes first: the call's
// end, or a signature that is asked for.
type signing struct {
	requests chan *tlsprovider.SignRequest // from the handshake's goroutine
	replies  chan signature
	quit     chan struct{} // closed by Close
	done     chan error    // the result of the call that runs; nil when none does
	pending  *tlsprovider.SignRequest
	failed   error // of the last request
}

type signature struct {
	bytes []byte
	err   error
}

var errSessionClosed = errors.New("native: the session is closed")

func newSigning() *signing {
	return &signing{
		requests: make(chan *tlsprovider.SignRequest),
		replies:  make(chan signature),
		quit:     make(chan struct{}),
	}
}

// wrap puts the keys that live elsewhere behind g. All keys of a prepared configuration are treated
// alike: the others' signatures are made in place.
func (g *signing) wrap(certs []tls.Certificate) []tls.Certificate {
	if g == nil {
		return certs
	}
	out := make([]tls.Certificate, len(certs))
	for i, c := range certs {
		if signer, ok := c.PrivateKey.(crypto.Signer); ok && isForeign(signer) {
			c.PrivateKey = &remoteKey{signer, g}
		}
		out[i] = c
	}
	return out
}

// remoteKey is what crypto/tls believes to be the key.
type remoteKey struct {
	signer crypto.Signer
	g      *signing
}

func (k *remoteKey) Public() crypto.PublicKey { return k.signer.Public() }

// Sign runs on the handshake's goroutine. The randomness is that of whoever runs the request.
func (k *remoteKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	req := tlsprovider.NewSignRequest(k.signer, bytes.Clone(digest), opts)
	select {
	case k.g.requests <- req:
	case <-k.g.quit:
		return nil, errSessionClosed
	}
	select {
	case r := <-k.g.replies:
		return r.bytes, r.err
	case <-k.g.quit:
		return nil, errSessionClosed
	}
}

// call runs f, which may want a signature. waiting says that it does, and that f goes on later.
func (g *signing) call(f func() error) (waiting bool, err error) {
	if g == nil {
		return false, f()
	}
	done := make(chan error, 1)
	g.done = done
	go func() { done <- f() }()
	return g.wait()
}

func (g *signing) wait() (waiting bool, err error) {
	select {
	case g.pending = <-g.requests:
		return true, nil
	case err := <-g.done:
		g.done = nil
		return false, err
	}
}

// ready reports whether the signature that is waited for was made, or refused.
func (g *signing) ready() bool {
	sig, err := g.pending.Result()
	return sig != nil || err != nil
}

// resume hands a finished signature over; waiting as in call.
func (g *signing) resume() (waiting bool, err error) {
	sig, err := g.pending.Result()
	g.pending, g.failed = nil, err
	g.replies <- signature{sig, err}
	return g.wait()
}

// failure returns the error of the last signature.
func (g *signing) failure() error {
	if g == nil {
		return nil
	}
	return g.failed
}

// close ends a call that waits. The request itself may still run: it belongs to whoever runs it.
func (g *signing) close() {
	if g == nil {
		return
	}
	close(g.quit)
	if g.done != nil {
		<-g.done
	}
	g.pending = nil
}
