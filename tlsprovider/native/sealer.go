package native

import (
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

var (
	errDesc   = errors.New("native: seal refused: a wrong descriptor, or a packet number that does not grow")
	errUpdate = errors.New("native: key update refused: not 1-RTT keys")
	errClosed = errors.New("native: closed")
)

// A sealer protects one direction's packets. The next phase's key is derived when the current one
// is taken into use.
type sealer struct {
	live       *counters
	suite      *suite
	version    *version
	current    packetKey
	next       packetKey
	nextSecret []byte // nil unless 1-RTT
	header     headerKey
	nonce      [12]byte
	lowest     uint64 // packet number that may still be sealed
	closed     bool
}

// keyParams are where one direction's keys come from.
type keyParams struct {
	suite    *suite
	version  *version
	secret   []byte
	app      bool // 1-RTT: updates are possible
	approved bool
}

func newSealer(live *counters, p keyParams) (*sealer, error) {
	s := &sealer{live: live, suite: p.suite, version: p.version}
	var err error
	if s.current, err = newPacketKey(p.suite, p.version, p.secret, p.approved); err != nil {
		return nil, err
	}
	if s.header, err = newHeaderKey(p.suite, p.version, p.secret); err != nil {
		return nil, err
	}
	if p.app {
		if s.next, s.nextSecret, err = nextKey(p.suite, p.version, p.secret); err != nil {
			return nil, err
		}
	}
	live.keys.Add(1)
	return s, nil
}

// nextKey derives the key of the phase after secret's (RFC 9001, 6.1).
func nextKey(su *suite, v *version, secret []byte) (packetKey, []byte, error) {
	next, err := expandLabel(su.hash, secret, v.ku, su.hash().Size())
	if err != nil {
		return packetKey{}, nil, err
	}
	k, err := newPacketKey(su, v, next, true)
	return k, next, err
}

// Seal implements tlsprovider.Sealer.
func (s *sealer) Seal(slab []byte, train []tlsprovider.SealDesc) error {
	if s.closed {
		return errClosed
	}
	lowest := s.lowest
	for i := range train {
		d := &train[i]
		if d.PacketNumber < lowest || !wellFormed(slab, d) {
			return errDesc
		}
		lowest = d.PacketNumber + 1
	}
	s.lowest = lowest
	for i := range train {
		d := &train[i]
		pkt := slab[d.Offset:][:d.HeaderLen+d.PayloadLen+tlsprovider.TagLen]
		header, payload := pkt[:d.HeaderLen], pkt[d.HeaderLen:d.HeaderLen+d.PayloadLen]
		s.current.prime(&s.nonce, d.PacketNumber)
		s.current.aead.Seal(payload[:0], s.current.nonce(&s.nonce, d.PacketNumber), payload, header)
		pnOffset := int(d.HeaderLen) - int(pkt[0]&3) - 1
		s.header.protect(&pkt[0], pkt[pnOffset+4:pnOffset+4+tlsprovider.SampleLen])
		s.header.unmask(header[pnOffset:])
	}
	return nil
}

// wellFormed checks that a packet lies in the slab and has room for a header protection sample.
func wellFormed(slab []byte, d *tlsprovider.SealDesc) bool {
	end := uint64(d.Offset) + uint64(d.HeaderLen) + uint64(d.PayloadLen) + tlsprovider.TagLen
	if end > uint64(len(slab)) || d.HeaderLen == 0 || d.PacketNumber >= 1<<62 {
		return false
	}
	pnLen := uint64(slab[d.Offset]&3) + 1
	return uint64(d.HeaderLen) >= 1+pnLen && uint64(d.PayloadLen)+pnLen >= 4
}

// Update implements tlsprovider.Sealer.
func (s *sealer) Update() error {
	switch {
	case s.closed:
		return errClosed
	case s.nextSecret == nil:
		return errUpdate
	}
	next, secret, err := nextKey(s.suite, s.version, s.nextSecret)
	if err != nil {
		return err
	}
	clear(s.nextSecret)
	s.current, s.next, s.nextSecret = s.next, next, secret
	return nil
}

// ConfidentialityLimit implements tlsprovider.Sealer.
//
// "For AEAD_AES_128_GCM and AEAD_AES_256_GCM, the confidentiality limit is 2^23 encrypted
// packets; see Appendix B.1.  For AEAD_CHACHA20_POLY1305, the confidentiality limit is greater
// than the number of possible packets (2^62) and so can be disregarded."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-5
func (s *sealer) ConfidentialityLimit() uint64 {
	if s.suite.chacha {
		return 1 << 62
	}
	return 1 << 23
}

// Close implements tlsprovider.Sealer.
func (s *sealer) Close() {
	if s.closed {
		return
	}
	s.closed = true
	clear(s.nextSecret)
	s.current, s.next, s.header, s.nextSecret = packetKey{}, packetKey{}, headerKey{}, nil
	s.live.keys.Add(-1)
}
