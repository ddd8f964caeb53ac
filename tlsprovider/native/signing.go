package native

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
)

// signing lets crypto/tls wait for an external private key without blocking the session's caller. crypto/tls
// runs a handshake on its own goroutine and blocks its caller meanwhile. If a key is external, the session calls
// crypto/tls on a second goroutine, and waits until the call returns or a signature is requested.
type signing struct {
	requests chan *tlsprovider.SignRequest // from the handshake's goroutine
	replies  chan signature
	quit     chan struct{} // closed by Close
	done     chan error    // the result of the current call; nil if there is none
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

// wrap returns certs with external private keys replaced by keys that use g.
func (g *signing) wrap(certs []tls.Certificate) []tls.Certificate {
	if g == nil {
		return certs
	}
	out := make([]tls.Certificate, len(certs))
	for i, c := range certs {
		if signer, ok := c.PrivateKey.(crypto.Signer); ok && isExternal(signer) {
			c.PrivateKey = &remoteKey{signer, c.Leaf.PublicKey, g}
		}
		out[i] = c
	}
	return out
}

// A remoteKey is a private key whose signatures are made by a SignRequest.
type remoteKey struct {
	signer crypto.Signer
	public crypto.PublicKey // that of the certificate
	g      *signing
}

func (k *remoteKey) Public() crypto.PublicKey { return k.public }

// Sign runs on the goroutine of the handshake. It ignores crypto/tls's source of randomness, because
// SignRequest.Run gets one of its own.
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

// call runs f, which may need a signature. waiting reports whether f still runs and waits for one.
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

// ready reports whether the SignRequest has a result.
func (g *signing) ready() bool {
	sig, err := g.pending.Result()
	return sig != nil || err != nil
}

// resume passes the signature to the call that waits for it. waiting is as in call.
func (g *signing) resume() (waiting bool, err error) {
	sig, err := g.pending.Result()
	g.pending, g.failed = nil, err
	g.replies <- signature{sig, err}
	return g.wait()
}

// failure returns the error of the last SignRequest.
func (g *signing) failure() error {
	if g == nil {
		return nil
	}
	return g.failed
}

// close ends a call that waits. The SignRequest may still run.
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
