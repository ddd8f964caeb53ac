package native

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// hasCallbacks reports whether t has a callback, apart from a client's session cache, that crypto/tls calls on
// its own goroutine.
func hasCallbacks(t *tls.Config) bool {
	return t.GetCertificate != nil || t.GetClientCertificate != nil || t.GetConfigForClient != nil ||
		t.GetEncryptedClientHelloKeys != nil || t.VerifyConnection != nil || t.VerifyPeerCertificate != nil ||
		t.EncryptedClientHelloRejectionVerify != nil || t.WrapSession != nil || t.UnwrapSession != nil ||
		t.Rand != nil || t.KeyLogWriter != nil || t.Time != nil
}

// guardCallbacks wraps each callback of t, which belongs to this session alone. crypto/tls calls them on its
// own goroutine, where a panic would end the process and runtime.Goexit the handshake without a result. A guarded
// callback fails the session instead.
func (s *session) guardCallbacks(t *tls.Config) {
	t.GetCertificate = guardedCertificate(s, "tls.Config.GetCertificate", t.GetCertificate)
	t.GetClientCertificate = guardedCertificate(s, "tls.Config.GetClientCertificate", t.GetClientCertificate)
	t.GetConfigForClient = guarded1(s, "tls.Config.GetConfigForClient", t.GetConfigForClient)
	t.GetEncryptedClientHelloKeys = guarded1(s, "tls.Config.GetEncryptedClientHelloKeys", t.GetEncryptedClientHelloKeys)
	t.VerifyConnection = guarded0(s, "tls.Config.VerifyConnection", t.VerifyConnection)
	t.EncryptedClientHelloRejectionVerify = guarded0(s, "tls.Config.EncryptedClientHelloRejectionVerify",
		t.EncryptedClientHelloRejectionVerify)
	if verify := t.VerifyPeerCertificate; verify != nil {
		t.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			return s.guard("tls.Config.VerifyPeerCertificate", func() error { return verify(raw, chains) })
		}
	}
	t.WrapSession = guarded2(s, "tls.Config.WrapSession", t.WrapSession)
	t.UnwrapSession = guarded2(s, "tls.Config.UnwrapSession", t.UnwrapSession)
	if t.Rand != nil {
		t.Rand = guardedReader{t.Rand, s}
	}
	if t.KeyLogWriter != nil {
		t.KeyLogWriter = guardedWriter{t.KeyLogWriter, s}
	}
	if clock := t.Time; clock != nil {
		t.Time = func() (now time.Time) {
			_ = s.guard("Config.Time", func() error { now = clock(); return nil })
			return now
		}
	}
}

// guard calls f on a goroutine of its own, because runtime.Goexit would end that of crypto/tls, for whose result the
// session waits. It records a panic or a Goexit in the session, because crypto/tls does not wrap the errors of all
// callbacks, and some callbacks return no error.
func (s *session) guard(callback string, f func() error) (err error) {
	done, returned := make(chan struct{}), false
	go func() {
		defer close(done)
		err = tlsprovider.Guard(callback, f)
		returned = true
	}()
	<-done
	if !returned {
		err = &tlsprovider.Error{Alert: tlsprovider.AlertInternalError, Err: fmt.Errorf("native: %s called runtime.Goexit", callback)}
	}
	if !returned || errors.As(err, new(*tlsprovider.PanicError)) {
		s.panicked = err
	}
	return err
}

func guarded0[A any](s *session, callback string, f func(A) error) func(A) error {
	if f == nil {
		return nil
	}
	return func(a A) error { return s.guard(callback, func() error { return f(a) }) }
}

func guarded1[A, R any](s *session, callback string, f func(A) (R, error)) func(A) (R, error) {
	if f == nil {
		return nil
	}
	return func(a A) (r R, err error) {
		err = s.guard(callback, func() (err error) { r, err = f(a); return err })
		return r, err
	}
}

func guarded2[A, B, R any](s *session, callback string, f func(A, B) (R, error)) func(A, B) (R, error) {
	if f == nil {
		return nil
	}
	return func(a A, b B) (r R, err error) {
		err = s.guard(callback, func() (err error) { r, err = f(a, b); return err })
		return r, err
	}
}

// guardedCertificate guards f. The certificate that f returns may have an external private key.
func guardedCertificate[A any](s *session, callback string, f func(A) (*tls.Certificate, error)) func(A) (*tls.Certificate, error) {
	f = guarded1(s, callback, f)
	if f == nil {
		return nil
	}
	return func(a A) (*tls.Certificate, error) {
		c, err := f(a)
		if c == nil || err != nil {
			return c, err
		}
		outside := s.outsideKey(*c)
		return &outside, nil
	}
}

// outsideKey returns c with a private key whose signatures are made by SignRequests if the key is external. If the program's
// Public panics, crypto/tls gets no public key, and the session fails with the panic.
func (s *session) outsideKey(c tls.Certificate) tls.Certificate {
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok || !isExternal(signer) {
		return c
	}
	var public crypto.PublicKey
	_ = s.guard("tls.Certificate.PrivateKey", func() error { public = signer.Public(); return nil })
	c.PrivateKey = &remoteKey{signer, public, s.signing}
	return c
}

type guardedReader struct {
	io.Reader
	s *session
}

func (g guardedReader) Read(b []byte) (n int, err error) {
	err = g.s.guard("tls.Config.Rand", func() (err error) { n, err = g.Reader.Read(b); return err })
	return n, err
}

type guardedWriter struct {
	io.Writer
	s *session
}

func (g guardedWriter) Write(b []byte) (n int, err error) {
	err = g.s.guard("Config.KeyLogWriter", func() (err error) { n, err = g.Writer.Write(b); return err })
	return n, err
}
