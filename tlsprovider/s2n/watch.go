package s2n

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// A watch reads the messages of a handshake to find what s2n-tls does not report: the results of [hello.Watch], and
// the peer's chain and OCSP response as they were sent. s2n-tls returns a chain only if it has verified it, and then the path to a root
// that it has built, encoded again.
//
// s2n-tls accepts Certificate messages that RFC 8446 does not allow: with bytes after the list, with a last entry
// without extensions, or with bytes after a certificate. Two parsers may find different chains in such a message,
// so the watch rejects it before s2n-tls processes it. VerifyPeer therefore sees the chain that s2n-tls verifies.
type watch struct {
	hello.Watch
	chain chainStream
	path  [][]byte // from the peer's certificate to a root, if Config.VerifyPeer needs it
}

// peer reads bytes that the peer has sent.
func (w *watch) peer(side tlsprovider.Side, level tlsprovider.Level, data []byte) error {
	w.Add(side, level, data)
	if level == tlsprovider.LevelHandshake {
		return w.chain.add(data, side)
	}
	return nil
}

var errNoChain = errors.New("s2n: the peer sent a Certificate without a CertificateVerify, or a CertificateVerify without a Certificate")

// fill sets the fields of a state that the watch has found, and resets the watch. It returns what else is known of the peer.
func (w *watch) fill(st *tlsprovider.State, peer tlsprovider.Side) (details tlsprovider.PeerDetails, err error) {
	st.HelloRetried = w.Retried()
	st.SignatureScheme = w.Scheme(peer)
	st.ClientShareLen, st.ServerShareLen = w.Shares()
	st.PeerChain = w.chain.certs
	details.OCSPStaple = w.chain.staple
	if len(w.path) > 0 {
		details.VerifiedChains = [][][]byte{w.path}
	}
	*w = watch{}
	if (st.SignatureScheme != 0) != (len(st.PeerChain) > 0) {
		st.PeerChain = nil
		return details, errNoChain
	}
	return details, nil
}

// A chainStream finds the Certificate message among a peer's Handshake messages. s2n-tls accepts at most one.
type chainStream struct {
	buf    []byte
	certs  [][]byte
	staple []byte
	done   bool
}

// maxMessage is the maximum length of a handshake message that s2n-tls accepts.
const maxMessage = 1 << 16

func (s *chainStream) add(data []byte, side tlsprovider.Side) error {
	if s.done {
		return nil
	}
	s.buf = append(s.buf, data...)
	for {
		kind, body, rest, declared, ok := hello.Next(s.buf)
		if declared > maxMessage {
			s.done, s.buf = true, nil
		}
		if !ok || s.done {
			return nil
		}
		s.buf = rest
		if kind != hello.TypeCertificate {
			continue
		}
		certs, err := hello.ParseCertificate(body)
		// "If the server supplies an empty Certificate message, the client MUST abort the handshake
		// with a "decode_error" alert."
		// https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4
		if err == nil && side == tlsprovider.Server && len(certs.Chain) == 0 {
			err = errors.New("the server sent no certificate")
		}
		if err != nil {
			return fmt.Errorf("s2n: Certificate: %w", err)
		}
		for i, c := range certs.Chain {
			if !isDERCertificate(c) {
				return fmt.Errorf("s2n: Certificate: entry %d is not one DER certificate", i)
			}
			s.certs = append(s.certs, bytes.Clone(c))
		}
		s.staple = bytes.Clone(certs.Staple)
		s.done, s.buf = true, nil
		return nil
	}
}
