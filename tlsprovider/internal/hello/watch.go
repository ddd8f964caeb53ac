package hello

import "github.com/pqquic/pqquic/tlsprovider"

// maxHello is the maximum length of a ClientHello or ServerHello. No TLS library accepts a longer one.
const maxHello = 1 << 16

// A Watch reads the CRYPTO streams of a handshake to find what TLS libraries do not report: the sizes of the key
// shares, whether there was a HelloRetryRequest, and the signature schemes. It holds at most one message. If it
// cannot parse a message, its results are zero.
type Watch struct {
	streams [2][2]stream
	shares  []shareLen // of the newest ClientHello

	retried   bool
	group     tlsprovider.Group
	serverLen int
	schemes   [2]tlsprovider.SignatureScheme
}

type shareLen struct {
	group tlsprovider.Group
	len   int
}

// A stream assembles the messages of one side and level.
type stream struct {
	header [HeaderLen]byte
	have   int    // bytes of header
	left   int    // remaining bytes of the body
	body   []byte // the first bytes of the body, see wanted
}

// Add reads the next bytes that side sent at level.
func (w *Watch) Add(side tlsprovider.Side, level tlsprovider.Level, data []byte) {
	switch level {
	case tlsprovider.LevelInitial:
		w.add(side, &w.streams[side&1][0], data)
	case tlsprovider.LevelHandshake:
		w.add(side, &w.streams[side&1][1], data)
	}
}

func (w *Watch) add(side tlsprovider.Side, st *stream, data []byte) {
	for {
		if st.have < HeaderLen {
			n := copy(st.header[st.have:], data)
			st.have, data = st.have+n, data[n:]
			if st.have < HeaderLen {
				return
			}
			st.left = int(st.header[1])<<16 | int(st.header[2])<<8 | int(st.header[3])
		}
		n := min(st.left, len(data))
		if n == st.left && st.body == nil {
			// The common case: data has the whole message.
			w.message(side, st.header[0], data[:min(n, wanted(st.header[0]))])
			st.have, st.left, data = 0, 0, data[n:]
			if len(data) == 0 {
				return
			}
			continue
		}
		if keep := min(n, wanted(st.header[0])-len(st.body)); keep > 0 {
			st.body = append(st.body, data[:keep]...)
		}
		st.left, data = st.left-n, data[n:]
		if st.left > 0 {
			return
		}
		w.message(side, st.header[0], st.body)
		st.have, st.body = 0, nil
		if len(data) == 0 {
			return
		}
	}
}

// wanted returns how many bytes of a message's body are needed.
func wanted(kind uint8) int {
	switch kind {
	case TypeClientHello, TypeServerHello:
		return maxHello
	case TypeCertificateVerify:
		return 2 // the scheme
	}
	return 0
}

func (w *Watch) message(side tlsprovider.Side, kind uint8, body []byte) {
	switch {
	case kind == TypeClientHello && side == tlsprovider.Client:
		w.shares = w.shares[:0]
		if !clientShares(body, func(group tlsprovider.Group, data []byte) {
			w.shares = append(w.shares, shareLen{group, len(data)})
		}) {
			w.shares = nil
		}
	case kind == TypeServerHello && side == tlsprovider.Server:
		sh, err := ParseServerHello(body)
		switch {
		case err != nil:
		case sh.Retry:
			w.retried = true
		default:
			w.group, w.serverLen = sh.Group, len(sh.Share)
		}
	case kind == TypeCertificateVerify && len(body) == 2:
		w.schemes[side&1] = tlsprovider.SignatureScheme(body[0])<<8 | tlsprovider.SignatureScheme(body[1])
	}
}

// Retried reports whether there was a HelloRetryRequest.
func (w *Watch) Retried() bool { return w.retried }

// Group returns the group that the ServerHello selected, or 0 before there was one.
func (w *Watch) Group() tlsprovider.Group { return w.group }

// Shares returns the sizes of both key shares of the group that was negotiated.
func (w *Watch) Shares() (client, server int) {
	if w.group == 0 {
		return 0, 0
	}
	for _, s := range w.shares {
		if s.group == w.group {
			return s.len, w.serverLen
		}
	}
	return 0, w.serverLen
}

// Scheme returns the signature scheme of a side's CertificateVerify, or 0 if there was none.
func (w *Watch) Scheme(side tlsprovider.Side) tlsprovider.SignatureScheme { return w.schemes[side&1] }
