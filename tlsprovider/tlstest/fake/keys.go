package fake

import (
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

func headerKey(secret uint64) uint64              { return mum(secret, 0x6870) }
func phaseKey(secret uint64, phase uint64) uint64 { return mum(mum(secret, 0x6b6579), phase) }

func tagOf(key, pn uint64, header, payload []byte) (tag [tlsprovider.TagLen]byte) {
	fill(tag[:], sum(sum(mum(key, pn), header), payload))
	return tag
}

// mask computes the header protection mask for a sample. Five of its bytes are used.
func mask(key uint64, sample []byte) uint64 { return sum(key, sample[:tlsprovider.SampleLen]) }

func applyMask(m uint64, first *byte, pn []byte) {
	bits := byte(0x1f)
	if *first&0x80 != 0 {
		bits = 0x0f
	}
	*first ^= byte(m) & bits
	for i := range pn {
		pn[i] ^= byte(m >> (8 * (i + 1)))
	}
}

var (
	errDesc   = errors.New("fake: wrong descriptor")
	errUpdate = errors.New("fake: only 1-RTT keys can be updated")
)

// A sealer implements tlsprovider.Sealer. Key phases are counted from 0.
type sealer struct {
	guard
	p      *Provider
	secret uint64
	phase  uint64
	app    bool
	closed bool
	next   uint64 // lowest packet number that may still be sealed
}

func (p *Provider) newSealer(secret uint64, app bool) *sealer {
	p.made()
	return &sealer{p: p, secret: secret, app: app}
}

// Seal implements tlsprovider.Sealer.
func (s *sealer) Seal(slab []byte, train []tlsprovider.SealDesc) error {
	s.enter(s.p, "Sealer")
	defer s.leave()
	if s.closed {
		return s.p.misuse("Seal after Close")
	}
	next := s.next
	for i := range train {
		d := &train[i]
		if d.PacketNumber < next {
			return s.p.misuse("packet number %d sealed after %d", d.PacketNumber, int64(next)-1)
		}
		next = d.PacketNumber + 1
		if !s.fits(slab, d) {
			return errDesc
		}
	}
	s.next = next
	key, hp := phaseKey(s.secret, s.phase), headerKey(s.secret)
	for i := range train {
		d := &train[i]
		pkt := slab[d.Offset : d.Offset+d.HeaderLen+d.PayloadLen+tlsprovider.TagLen]
		header, payload := pkt[:d.HeaderLen], pkt[d.HeaderLen:d.HeaderLen+d.PayloadLen]
		tag := tagOf(key, d.PacketNumber, header, payload)
		copy(pkt[d.HeaderLen+d.PayloadLen:], tag[:])
		pnOffset := d.HeaderLen - uint32(pkt[0]&3) - 1
		applyMask(mask(hp, pkt[pnOffset+4:]), &pkt[0], header[pnOffset:])
	}
	return nil
}

// fits checks a descriptor, and that the header of its packet matches it.
func (s *sealer) fits(slab []byte, d *tlsprovider.SealDesc) bool {
	end := uint64(d.Offset) + uint64(d.HeaderLen) + uint64(d.PayloadLen) + tlsprovider.TagLen
	if end > uint64(len(slab)) || d.HeaderLen == 0 || d.PacketNumber >= 1<<62 {
		return false
	}
	first := slab[d.Offset]
	pnLen := uint32(first&3) + 1
	if d.HeaderLen < 1+pnLen || d.PayloadLen+pnLen < 4 {
		return false
	}
	var pn uint64
	for _, b := range slab[d.Offset+d.HeaderLen-pnLen : d.Offset+d.HeaderLen] {
		pn = pn<<8 | uint64(b)
	}
	if pn != d.PacketNumber&(1<<(8*pnLen)-1) {
		_ = s.p.misuse("the header's packet number is not that of its descriptor, %d", d.PacketNumber)
		return false
	}
	if s.app && first&0x80 == 0 && uint64(first>>2&1) != s.phase&1 {
		_ = s.p.misuse("key phase bit %d in phase %d", first>>2&1, s.phase)
		return false
	}
	return true
}

// Update implements tlsprovider.Sealer.
func (s *sealer) Update() error {
	s.enter(s.p, "Sealer")
	defer s.leave()
	switch {
	case s.closed:
		return s.p.misuse("Update after Close")
	case !s.app:
		return errUpdate
	}
	s.phase++
	return nil
}

// ConfidentialityLimit implements tlsprovider.Sealer.
func (s *sealer) ConfidentialityLimit() uint64 { return s.p.opts.ConfidentialityLimit }

// Close implements tlsprovider.Sealer.
func (s *sealer) Close() {
	s.enter(s.p, "Sealer")
	defer s.leave()
	if !s.closed {
		s.closed = true
		s.p.gone()
	}
}

const never = 1<<64 - 1

// An opener implements tlsprovider.Opener. Key phases are counted from 0.
type opener struct {
	guard
	p        *Provider
	secret   uint64
	phase    uint64
	from     uint64 // lowest packet number authenticated in the current phase
	previous bool
	app      bool
	closed   bool
}

func (p *Provider) newOpener(secret uint64, app bool) *opener {
	p.made()
	return &opener{p: p, secret: secret, app: app, from: never}
}

// Open implements tlsprovider.Opener.
func (o *opener) Open(slab []byte, train []tlsprovider.OpenDesc, largest int64) int {
	o.enter(o.p, "Opener")
	defer o.leave()
	if o.closed {
		_ = o.p.misuse("Open after Close")
		return 0
	}
	hp := headerKey(o.secret)
	for i := range train {
		d := &train[i]
		if uint64(d.Offset)+uint64(d.Len) > uint64(len(slab)) || d.PNOffset == 0 ||
			uint64(d.Len) < uint64(d.PNOffset)+4+tlsprovider.SampleLen {
			d.Status = tlsprovider.OpenTooShort
			continue
		}
		pkt := slab[d.Offset : d.Offset+d.Len]
		unmask(pkt, hp, d, largest)
		phase, status := o.pick(d)
		if !check(phaseKey(o.secret, phase), pkt, d) {
			d.Status = tlsprovider.OpenFailed
			clear(pkt[d.PNOffset:])
			continue
		}
		d.Status = status
		largest = max(largest, int64(d.PacketNumber))
		if status == tlsprovider.OpenNextPhase {
			return i + 1
		}
		if phase == o.phase {
			o.from = min(o.from, d.PacketNumber)
		}
	}
	return len(train)
}

// pick selects the key phase by the key phase bit and the packet number (RFC 9001, 6.3 to 6.5).
func (o *opener) pick(d *tlsprovider.OpenDesc) (phase uint64, status tlsprovider.OpenStatus) {
	switch {
	case !o.app || uint64(d.Phase) == o.phase&1:
		return o.phase, tlsprovider.OpenOK
	case d.PacketNumber < o.from && o.previous:
		return o.phase - 1, tlsprovider.OpenOK
	case d.PacketNumber < o.from:
		return never, tlsprovider.OpenFailed // there is no previous phase
	}
	return o.phase + 1, tlsprovider.OpenNextPhase
}

// unmask removes header protection and reads the header.
func unmask(pkt []byte, hp uint64, d *tlsprovider.OpenDesc, largest int64) {
	m := mask(hp, pkt[d.PNOffset+4:])
	applyMask(m, &pkt[0], nil)
	first := pkt[0] // only the number is left to unmask
	applyMask(m, &first, pkt[d.PNOffset:][:first&3+1])
	d.ReadHeader(pkt, largest)
}

func check(key uint64, pkt []byte, d *tlsprovider.OpenDesc) bool {
	end := d.HeaderLen + d.PayloadLen
	return tagOf(key, d.PacketNumber, pkt[:d.HeaderLen], pkt[d.HeaderLen:end]) == [tlsprovider.TagLen]byte(pkt[end:])
}

// Update implements tlsprovider.Opener.
func (o *opener) Update(firstPN uint64) error {
	o.enter(o.p, "Opener")
	defer o.leave()
	switch {
	case o.closed:
		return o.p.misuse("Update after Close")
	case !o.app:
		return errUpdate
	}
	o.phase++
	o.from, o.previous = firstPN, true
	return nil
}

// DropPrevious implements tlsprovider.Opener.
func (o *opener) DropPrevious() {
	o.enter(o.p, "Opener")
	defer o.leave()
	o.previous = false
}

// IntegrityLimit implements tlsprovider.Opener.
func (o *opener) IntegrityLimit() uint64 { return o.p.opts.IntegrityLimit }

// Close implements tlsprovider.Opener.
func (o *opener) Close() {
	o.enter(o.p, "Opener")
	defer o.leave()
	if !o.closed {
		o.closed = true
		o.p.gone()
	}
}
