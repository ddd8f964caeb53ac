package s2n

import (
	"bytes"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// A watch reads along with a handshake to learn what s2n-tls does not tell: what [hello.Watch] knows,
// and the peer's chain as it was sent (s2n-tls has the chain as it was verified, and none where
// verification is off). It decides nothing: s2n-tls judges every byte.
type watch struct {
	hello.Watch
	chain chainStream
}

func (w *watch) add(side tlsprovider.Side, level tlsprovider.Level, data []byte, peer bool) {
	w.Add(side, level, data)
	if peer && level == tlsprovider.LevelHandshake {
		w.chain.add(data)
	}
}

// fill completes a state.
func (w *watch) fill(st *tlsprovider.State, peer tlsprovider.Side) {
	st.HelloRetried = w.Retried()
	st.SignatureScheme = w.Scheme(peer)
	st.ClientShareLen, st.ServerShareLen = w.Shares()
	st.PeerChain = w.chain.certs
	*w = watch{}
}

// A chainStream finds the Certificate among a peer's Handshake messages.
type chainStream struct {
	buf   []byte
	certs [][]byte
	done  bool
}

// maxMessage is where s2n-tls ends a handshake.
const maxMessage = 1 << 16

func (s *chainStream) add(data []byte) {
	if s.done {
		return
	}
	s.buf = append(s.buf, data...)
	for {
		kind, body, rest, declared, ok := hello.Next(s.buf)
		if declared > maxMessage {
			s.done, s.buf = true, nil
		}
		if !ok || s.done {
			return
		}
		s.buf = rest
		if kind != hello.TypeCertificate {
			continue
		}
		certs, err := hello.ParseCertificate(body)
		if err == nil {
			for _, c := range certs {
				s.certs = append(s.certs, bytes.Clone(c))
			}
		}
		s.done, s.buf = true, nil
		return
	}
}
