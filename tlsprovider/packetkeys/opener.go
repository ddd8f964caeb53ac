package packetkeys

import (
	"math"

	"github.com/pqquic/pqquic/tlsprovider"
)

// never is greater than any packet number.
const never = math.MaxUint64

// An opener removes the protection of one direction's packets. A phase that does not exist has no AEAD.
type opener struct {
	source                  source
	previous, current, next Phase // current and next have no AEAD while the opener rests
	header                  header
	nonce                   [12]byte
	phase                   uint8 // the current phase's bit
	// currentFrom is the lowest packet number authenticated in the current phase, or never if there is none,
	// in which case the peer cannot be in the next phase. A packet with the other key phase bit belongs to
	// the previous phase if its number is lower, or else to the next.
	currentFrom uint64
	closed      bool
	resting     bool
}

// NewOpener returns an Opener with the given keys.
func NewOpener(p Params) (tlsprovider.Opener, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	o := &opener{source: p.source(), current: p.First, header: header{make: p.Mask}, currentFrom: never}
	if p.Next != nil {
		var err error
		if o.next, err = o.source.derive(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// OpenInitial opens the first packet of a client as [tlsprovider.Provider] describes, with keys that the
// caller derived from the packet's destination connection ID.
func OpenInitial(key Phase, mask Mask, pkt []byte, pnOffset int) (tlsprovider.InitialPacket, bool) {
	if pnOffset < 1 || len(pkt) < 4+tlsprovider.SampleLen || pnOffset > len(pkt)-4-tlsprovider.SampleLen ||
		pkt[0]&0x80 == 0 {
		return tlsprovider.InitialPacket{}, false
	}
	d := tlsprovider.OpenDesc{Len: uint32(len(pkt)), PNOffset: uint32(pnOffset)}
	var scratch struct { // one allocation
		header
		nonce [12]byte
	}
	scratch.make = mask
	scratch.unprotect(pkt, &d, -1)
	if !key.open(&scratch.nonce, pkt, &d) {
		return tlsprovider.InitialPacket{}, false
	}
	return tlsprovider.InitialPacket{PacketNumber: d.PacketNumber, HeaderLen: int(d.HeaderLen),
		PayloadLen: int(d.PayloadLen)}, true
}

// Open implements tlsprovider.Opener.
//
// "An endpoint MUST discard packets that are not long enough to contain a complete sample."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.4.2-3
func (o *opener) Open(slab []byte, train []tlsprovider.OpenDesc, largest int64) int {
	if o.closed {
		return 0
	}
	awake := o.wake()
	for i := range train {
		d := &train[i]
		if uint64(d.Offset)+uint64(d.Len) > uint64(len(slab)) || d.PNOffset == 0 ||
			uint64(d.Len) < uint64(d.PNOffset)+4+tlsprovider.SampleLen {
			d.Status = tlsprovider.OpenTooShort
			continue
		}
		if !awake {
			d.Status = tlsprovider.OpenFailed
			continue
		}
		pkt := slab[d.Offset:][:d.Len]
		o.header.unprotect(pkt, d, largest)
		key, status := o.pick(d)
		// "For authentication to be free from side channels, the entire process of header
		// protection removal, packet number recovery, and packet protection removal MUST be
		// applied together without timing and other side channels."
		// https://www.rfc-editor.org/rfc/rfc9001#section-9.5-1
		//
		// So if a phase's key is missing, another one is tried, and the packet fails in any case. A number
		// above 2^62-1 does not exist, though decoding can yield one.
		lost := key.AEAD == nil || d.PacketNumber>>62 != 0
		if key.AEAD == nil {
			key = &o.current
		}
		if !key.open(&o.nonce, pkt, d) || lost {
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

// pick selects the key phase of a packet. Only one can be tried, because a failed open destroys the bytes.
//
// "A recovered packet number that is lower than any packet number from the current key phase uses
// the previous packet protection keys; a recovered packet number that is higher than any packet
// number from the current key phase requires the use of the next packet protection keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.5-2
func (o *opener) pick(d *tlsprovider.OpenDesc) (*Phase, tlsprovider.OpenStatus) {
	switch {
	case o.source.next == nil || d.Phase == o.phase:
		return &o.current, tlsprovider.OpenOK
	case d.PacketNumber < o.currentFrom:
		return &o.previous, tlsprovider.OpenOK
	}
	return &o.next, tlsprovider.OpenNextPhase
}

// unprotect removes header protection and reads the header.
func (h *header) unprotect(pkt []byte, d *tlsprovider.OpenDesc, largest int64) {
	h.protect(&pkt[0], pkt[d.PNOffset+4:][:tlsprovider.SampleLen])
	h.unmask(pkt[d.PNOffset:][:pkt[0]&3+1])
	d.ReadHeader(pkt, largest)
}

// open authenticates and decrypts a packet in place.
func (k *Phase) open(nonce *[12]byte, pkt []byte, d *tlsprovider.OpenDesc) bool {
	header, sealed := pkt[:d.HeaderLen], pkt[d.HeaderLen:]
	_, err := k.AEAD.Open(sealed[:0], k.nonce(nonce, d.PacketNumber), sealed, header)
	return err == nil
}

// Update implements tlsprovider.Opener.
func (o *opener) Update(firstPN uint64) error {
	switch {
	case o.closed:
		return errClosed
	case o.source.next == nil:
		return errUpdate
	case !o.wake():
		return errRest
	}
	next, err := o.source.derive()
	if err != nil {
		return err
	}
	o.previous, o.current, o.next = o.current, o.next, next
	o.phase ^= 1
	o.currentFrom = firstPN
	return nil
}

// DropPrevious implements tlsprovider.Opener.
func (o *opener) DropPrevious() { o.previous = Phase{} }

// Rest implements tlsprovider.RestingOpener.
func (o *opener) Rest() {
	if !o.closed && o.source.next != nil && o.source.again != nil {
		o.current, o.next, o.header.make, o.resting = Phase{}, Phase{}, nil, true
	}
}

// wake derives again what a rest has freed, whatever the phase of the packets, and reports whether it succeeded.
//
// "Endpoints responding to an apparent key update MUST NOT generate a timing side-channel signal that might
// indicate that the Key Phase bit was invalid [...]."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.3-1
//
// If that fails, packets fail to open until it succeeds.
func (o *opener) wake() bool {
	if !o.resting {
		return true
	}
	current, next, mask, err := o.source.again()
	if err != nil || current.check() != nil || next.check() != nil || mask == nil {
		return false
	}
	o.current, o.next, o.header.make, o.resting = current, next, mask, false
	return true
}

// IntegrityLimit implements tlsprovider.Opener.
func (o *opener) IntegrityLimit() uint64 { return o.source.limit }

// Close implements tlsprovider.Opener.
func (o *opener) Close() {
	if o.closed {
		return
	}
	o.closed = true
	o.source.close()
	o.previous, o.current, o.next, o.header = Phase{}, Phase{}, Phase{}, header{}
}
