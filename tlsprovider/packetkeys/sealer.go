package packetkeys

import "github.com/pqquic/pqquic/tlsprovider"

// A sealer protects one direction's packets.
type sealer struct {
	source  source
	current Phase // without an AEAD while the sealer rests, unless it is Counted
	header  header
	nonce   [12]byte
	lowest  uint64 // packet number that may still be sealed
	closed  bool
	resting bool
}

// NewSealer returns a Sealer with the given keys.
func NewSealer(p Params) (tlsprovider.Sealer, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return &sealer{source: p.source(), current: p.First, header: header{make: p.Mask}}, nil
}

// Seal implements tlsprovider.Sealer.
func (s *sealer) Seal(slab []byte, train []tlsprovider.SealDesc) error {
	if s.closed {
		return errClosed
	}
	if err := s.wake(); err != nil {
		return err
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
		s.current.AEAD.Seal(payload[:0], s.current.nonce(&s.nonce, d.PacketNumber), payload, header)
		pnOffset := int(d.HeaderLen) - int(pkt[0]&3) - 1
		s.header.protect(&pkt[0], pkt[pnOffset+4:pnOffset+4+tlsprovider.SampleLen])
		s.header.unmask(header[pnOffset:])
	}
	return nil
}

// wellFormed reports whether a packet lies in the slab and has room for a header protection sample.
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
	case s.source.next == nil:
		return errUpdate
	}
	next, err := s.source.derive()
	if err != nil {
		return err
	}
	s.current = next
	return nil
}

// Rest implements tlsprovider.RestingSealer. A Counted AEAD is kept, because another one would start to count again.
func (s *sealer) Rest() {
	if s.closed || s.source.again == nil {
		return
	}
	if s.header.make, s.resting = nil, true; !s.current.Counted {
		s.current = Phase{}
	}
}

// wake makes again what a rest has freed.
func (s *sealer) wake() error {
	if !s.resting {
		return nil
	}
	current, _, mask, err := s.source.again()
	if err != nil || current.check() != nil || mask == nil {
		return errRest
	}
	if s.header.make, s.resting = mask, false; s.current.AEAD == nil {
		s.current = current
	}
	return nil
}

// ConfidentialityLimit implements tlsprovider.Sealer.
func (s *sealer) ConfidentialityLimit() uint64 { return s.source.limit }

// Close implements tlsprovider.Sealer.
func (s *sealer) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.source.close()
	s.current, s.header = Phase{}, header{}
}
