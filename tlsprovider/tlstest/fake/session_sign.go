package fake

import (
	"crypto"

	"github.com/pqquic/pqquic/tlsprovider"
)

// signer returns the Signer of the certificate, or nil.
func (s *session) signer() crypto.Signer {
	cert, ok := s.ep.firstCert()
	if !ok {
		return s.p.opts.Signer
	}
	return cert.Signer
}

// verifyMessage signs the transcript, or requests a signature, and then calls next.
func (s *session) verifyMessage(next func() error) error {
	send := func(sig []byte) error {
		s.write(tlsprovider.LevelHandshake, certificateVerify(sig))
		return next()
	}
	if signer := s.signer(); signer != nil && (s.side == tlsprovider.Server || s.haveCert()) {
		var digest [32]byte
		fill(digest[:], s.transcript)
		s.sign, s.resume = tlsprovider.NewSignRequest(signer, digest[:], crypto.SHA256), send
		s.emit(tlsprovider.Event{Kind: tlsprovider.EventSign, Level: tlsprovider.LevelHandshake, Sign: s.sign})
		return nil
	}
	sig := make([]byte, 71) // an ECDSA signature with P-256
	fill(sig, s.transcript)
	return send(sig)
}

func (s *session) haveCert() bool {
	_, ok := s.ep.firstCert()
	return ok
}

// signed continues with the Signer's signature, if it is ready.
func (s *session) signed() error {
	sig, err := s.sign.Result()
	switch {
	case err != nil:
		return s.fail(tlsprovider.AlertInternalError, "signing: %w", err)
	case sig == nil:
		return nil // not yet
	}
	resume := s.resume
	s.sign, s.resume = nil, nil
	if err := resume(sig); err != nil {
		return err
	}
	return s.run()
}
