package s2n

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A watch reads along with a handshake to learn what s2n-tls does not tell: the sizes of the key
// shares, whether there was a HelloRetryRequest, the peer's chain as it was sent, and the signature
// scheme. It decides nothing: s2n-tls has judged, or will judge, every byte, and what the watch
// cannot parse leaves a field empty.
type watch struct {
	streams        [2][2]stream // side, and Initial or Handshake
	clientShares   map[tlsprovider.Group]int
	retried        bool
	group          tlsprovider.Group
	serverShareLen int
	peerChain      [2][][]byte
	scheme         [2]tlsprovider.SignatureScheme
}

// A stream puts messages together. s2n-tls ends a handshake whose message is longer than 64 KiB.
type stream struct {
	buf  []byte
	over bool
}

const maxMessage = 1 << 16

// Handshake message types.
const (
	msgClientHello       = 1
	msgServerHello       = 2
	msgCertificate       = 11
	msgCertificateVerify = 15
)

// add reads CRYPTO bytes of one side.
func (w *watch) add(side tlsprovider.Side, level tlsprovider.Level, data []byte) {
	var i int
	switch level {
	case tlsprovider.LevelInitial:
	case tlsprovider.LevelHandshake:
		i = 1
	default:
		return
	}
	st := &w.streams[side][i]
	if st.over {
		return
	}
	if len(st.buf) > 0 {
		data = append(st.buf, data...)
	}
	for len(data) >= 4 {
		n := int(data[1])<<16 | int(data[2])<<8 | int(data[3])
		if n > maxMessage {
			st.over, st.buf = true, nil
			return
		}
		if len(data) < 4+n {
			break
		}
		w.message(side, data[0], data[4:4+n])
		data = data[4+n:]
	}
	st.buf = append(st.buf[:0:0], data...)
}

func (w *watch) message(side tlsprovider.Side, kind uint8, body []byte) {
	switch {
	case kind == msgClientHello && side == tlsprovider.Client:
		w.clientHello(body)
	case kind == msgServerHello && side == tlsprovider.Server:
		w.serverHello(body)
	case kind == msgCertificate:
		w.peerChain[side] = readChain(body)
	case kind == msgCertificateVerify && len(body) >= 2:
		w.scheme[side] = tlsprovider.SignatureScheme(body[0])<<8 | tlsprovider.SignatureScheme(body[1])
	}
}

func (w *watch) clientHello(body []byte) {
	ch, err := parseClientHello(body)
	if err != nil {
		return
	}
	if w.clientShares == nil {
		w.clientShares = make(map[tlsprovider.Group]int)
	}
	for i, g := range ch.KeyShares {
		w.clientShares[g] = ch.shareLens[i]
	}
}

// A HelloRetryRequest is a ServerHello with this random (RFC 8446, 4.1.3).
var retryRandom = []byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

func (w *watch) serverHello(body []byte) {
	s := cryptobyte.String(body)
	var random []byte
	var session, extensions cryptobyte.String
	if !s.Skip(2) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) || !s.Skip(3) ||
		!s.ReadUint16LengthPrefixed(&extensions) {
		return
	}
	if bytes.Equal(random, retryRandom) {
		w.retried = true
		return
	}
	for !extensions.Empty() {
		var id, group uint16
		var data, share cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			return
		}
		if id == extKeyShare && data.ReadUint16(&group) && data.ReadUint16LengthPrefixed(&share) {
			w.group, w.serverShareLen = tlsprovider.Group(group), len(share)
		}
	}
}

func readChain(body []byte) (chain [][]byte) {
	s := cryptobyte.String(body)
	var context, list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&context) || !s.ReadUint24LengthPrefixed(&list) {
		return nil
	}
	for !list.Empty() {
		var cert, extensions cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&cert) || !list.ReadUint16LengthPrefixed(&extensions) {
			return nil
		}
		chain = append(chain, bytes.Clone(cert))
	}
	return chain
}

// fill completes a state whose Group is settled.
func (w *watch) fill(st *tlsprovider.State, peer tlsprovider.Side) {
	st.HelloRetried = w.retried
	st.PeerChain = w.peerChain[peer]
	st.SignatureScheme = w.scheme[peer]
	if w.group == st.Group {
		st.ClientShareLen, st.ServerShareLen = w.clientShares[w.group], w.serverShareLen
	}
	*w = watch{}
}
