package s2n

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// A watch reads along with a handshake to learn what s2n-tls does not tell: what [hello.Watch] knows,
// and the peer's chain as it was sent. s2n-tls's API returns a chain only where verification is on, and
// then the path to a root that it built, encoded anew.
//
// s2n-tls accepts Certificate messages that RFC 8446 does not allow: bytes after the list, a last entry
// without extensions, bytes after a certificate. Two readers may find different chains in them, so the
// watch refuses them before s2n-tls sees them. In a message that is left there is one chain to find, and
// VerifyPeer sees what s2n-tls verifies.
type watch struct {
	hello.Watch
	chain chainStream
}

// peer reads what the peer sent.
func (w *watch) peer(side tlsprovider.Side, level tlsprovider.Level, data []byte) error {
	w.Add(side, level, data)
	if level == tlsprovider.LevelHandshake {
		return w.chain.add(data, side)
	}
	return nil
}

var errNoChain = errors.New("s2n: the peer proved a certificate's key without a certificate, or sent a certificate without a proof")

// fill completes a state. The watch is empty afterwards.
func (w *watch) fill(st *tlsprovider.State, peer tlsprovider.Side) error {
	st.HelloRetried = w.Retried()
	st.SignatureScheme = w.Scheme(peer)
	st.ClientShareLen, st.ServerShareLen = w.Shares()
	st.PeerChain = w.chain.certs
	*w = watch{}
	if (st.SignatureScheme != 0) != (len(st.PeerChain) > 0) {
		st.PeerChain = nil
		return errNoChain
	}
	return nil
}

// A chainStream finds the Certificate among a peer's Handshake messages. s2n-tls takes one at most.
type chainStream struct {
	buf   []byte
	certs [][]byte
	done  bool
}

// maxMessage is where s2n-tls ends a handshake.
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
		if err == nil && side == tlsprovider.Server && len(certs) == 0 {
			err = errors.New("the server sent no certificate")
		}
		if err != nil {
			return fmt.Errorf("s2n: Certificate: %w", err)
		}
		for i, c := range certs {
			if !isDERCertificate(c) {
				return fmt.Errorf("s2n: Certificate: entry %d is not one DER certificate", i)
			}
			s.certs = append(s.certs, bytes.Clone(c))
		}
		s.done, s.buf = true, nil
		return nil
	}
}
