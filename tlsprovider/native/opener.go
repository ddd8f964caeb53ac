package native

import (
	"math"

	"github.com/pqquic/pqquic/tlsprovider"
)

// never is greater than any packet number.
const never = math.MaxUint64

// An opener removes the protection of one direction's packets. Its phases are previous, current and
// next; an absent one has a nil AEAD.
type opener struct {
	live       *counters
	suite      *suite
	version    *version
	previous   packetKey
	current    packetKey
	next       packetKey
	nextSecret []byte // nil unless 1-RTT
	header     headerKey
	nonce      [12]byte
	phase      uint8 // the current phase's bit
	// currentFrom is the lowest number authenticated in the current phase, never before there
	// is one: until then the peer cannot be ahead of us. Below it the other phase bit means
	// the previous phase, above it the next.
	currentFrom uint64
	closed      bool
}

func newOpener(live *counters, p keyParams) (*opener, error) {
	o := &opener{live: live, suite: p.suite, version: p.version, currentFrom: never}
	var err error
	if o.current, err = newPacketKey(p.suite, p.version, p.secret, p.approved); err != nil {
		return nil, err
	}
	if o.header, err = newHeaderKey(p.suite, p.version, p.secret); err != nil {
		return nil, err
	}
	if p.app {
		if o.next, o.nextSecret, err = nextKey(p.suite, p.version, p.secret); err != nil {
			return nil, err
		}
	}
	live.keys.Add(1)
	return o, nil
}

// Open implements tlsprovider.Opener.
func (o *opener) Open(slab []byte, train []tlsprovider.OpenDesc, largest int64) int {
	if o.closed {
		return 0
	}
	for i := range train {
		d := &train[i]
		if uint64(d.Offset)+uint64(d.Len) > uint64(len(slab)) || d.PNOffset == 0 ||
			uint64(d.Len) < uint64(d.PNOffset)+4+tlsprovider.SampleLen {
			d.Status = tlsprovider.OpenTooShort
			continue
		}
		pkt := slab[d.Offset:][:d.Len]
		unprotect(&o.header, pkt, d, largest)
		key, status := o.pick(d)
		// "For authentication to be free from side channels, the entire process of header
		// protection removal, packet number recovery, and packet protection removal MUST be
		// applied together without timing and other side channels."
		// https://www.rfc-editor.org/rfc/rfc9001#section-9.5-1
		//
		// So where a phase's key is missing, another one is tried in vain. Behind the last packet
		// number there is none, though decoding yields one.
		lost := key.aead == nil || d.PacketNumber>>62 != 0
		if key.aead == nil {
			key = &o.current
		}
		if !open(key, &o.nonce, pkt, d) || lost {
			d.Status = tlsprovider.OpenFailed
			continue
		}
		d.Status = status
		largest = max(largest, int64(d.PacketNumber))
		if status == tlsprovider.OpenNextPhase {
			return i + 1
		}
		if key == &o.current {
			o.currentFrom = min(o.currentFrom, d.PacketNumber)
		}
	}
	return len(train)
}

// pick chooses the key. It has to be right before anything is tried: a failed open destroys the
// bytes.
//
// "A recovered packet number that is lower than any packet number from the current key phase uses
// the previous packet protection keys; a recovered packet number that is higher than any packet
// number from the current key phase requires the use of the next packet protection keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.5-2
func (o *opener) pick(d *tlsprovider.OpenDesc) (*packetKey, tlsprovider.OpenStatus) {
	switch {
	case o.nextSecret == nil || d.Phase == o.phase:
		return &o.current, tlsprovider.OpenOK
	case d.PacketNumber < o.currentFrom:
		return &o.previous, tlsprovider.OpenOK
	}
	return &o.next, tlsprovider.OpenNextPhase
}

// unprotect removes header protection and reads the header.
func unprotect(h *headerKey, pkt []byte, d *tlsprovider.OpenDesc, largest int64) {
	h.protect(&pkt[0], pkt[d.PNOffset+4:][:tlsprovider.SampleLen])
	h.unmask(pkt[d.PNOffset:][:pkt[0]&3+1])
	d.ReadHeader(pkt, largest)
}

func open(k *packetKey, nonce *[12]byte, pkt []byte, d *tlsprovider.OpenDesc) bool {
	header, sealed := pkt[:d.HeaderLen], pkt[d.HeaderLen:]
	_, err := k.aead.Open(sealed[:0], k.nonce(nonce, d.PacketNumber), sealed, header)
	return err == nil
}

// Update implements tlsprovider.Opener.
func (o *opener) Update(firstPN uint64) error {
	switch {
	case o.closed:
		return errClosed
	case o.nextSecret == nil:
		return errUpdate
	}
	next, secret, err := nextKey(o.suite, o.version, o.nextSecret)
	if err != nil {
		return err
	}
	clear(o.nextSecret)
	o.previous, o.current, o.next, o.nextSecret = o.current, o.next, next, secret
	o.phase ^= 1
	o.currentFrom = firstPN
	return nil
}

// DropPrevious implements tlsprovider.Opener.
func (o *opener) DropPrevious() { o.previous = packetKey{} }

// IntegrityLimit implements tlsprovider.Opener.
//
// "For AEAD_AES_128_GCM and AEAD_AES_256_GCM, the integrity limit is 2^52 invalid packets; see
// Appendix B.1.  For AEAD_CHACHA20_POLY1305, the integrity limit is 2^36 invalid packets [...]"
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-7
func (o *opener) IntegrityLimit() uint64 {
	if o.suite.chacha {
		return 1 << 36
	}
	return 1 << 52
}

// Close implements tlsprovider.Opener.
func (o *opener) Close() {
	if o.closed {
		return
	}
	o.closed = true
	clear(o.nextSecret)
	o.previous, o.current, o.next = packetKey{}, packetKey{}, packetKey{}
	o.header, o.nextSecret = headerKey{}, nil
	o.live.keys.Add(-1)
}
