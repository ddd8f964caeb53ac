package tlsprovider

// TagLen is the length of the authentication tag of every AEAD that QUIC uses.
const TagLen = 16

// SampleLen is the length of the ciphertext sample for header protection.
const SampleLen = 16

// Keys holds the keys of both directions of one encryption level. A direction that is not ready is nil.
type Keys struct {
	Sealer Sealer
	Opener Opener
}

// Close closes the keys that are not nil.
func (k Keys) Close() {
	if k.Sealer != nil {
		k.Sealer.Close()
	}
	if k.Opener != nil {
		k.Opener.Close()
	}
}

// A SealDesc describes a packet to seal. A train is a slice of them, whose packets are in one slab of memory.
// A SealDesc has no pointers, so that a train can be passed to C.
type SealDesc struct {
	Offset       uint32 // of the header's first byte in the slab
	HeaderLen    uint32 // up to and including the packet number
	PayloadLen   uint32 // plaintext after the header; TagLen bytes of room must follow it
	_            uint32
	PacketNumber uint64
}

// A Sealer protects packets of one direction.
type Sealer interface {
	// Seal seals a train in place and protects its headers. Packet numbers must increase over
	// the life of a Sealer, across calls and key phases; they may have gaps. The header's first
	// byte has the length of the packet number, and the key phase bit, which the caller has set.
	// If Seal returns an error, because a descriptor is invalid or the module failed, no packet of
	// the train may be sent.
	Seal(slab []byte, train []SealDesc) error

	// Update moves to the next key phase. It fails for keys other than 1-RTT keys.
	Update() error

	// ConfidentialityLimit is the number of packets that one phase may seal.
	ConfidentialityLimit() uint64

	Close()
}

// OpenStatus is the result of opening a packet.
type OpenStatus uint8

const (
	// OpenPending is the zero value. It means that the packet was not processed.
	OpenPending OpenStatus = iota
	// OpenOK means that the packet is authentic in the key phase of Phase.
	OpenOK
	// OpenNextPhase means that the packet is authentic in the next key phase. It is the last
	// packet that a call of Open processes. The caller then calls [Opener.Update] and continues,
	// or closes the connection.
	OpenNextPhase
	// OpenFailed means that the packet is not authentic. It counts towards the integrity limit.
	// Its bytes are destroyed.
	OpenFailed
	// OpenTooShort means that the packet is too short for a header protection sample. Its bytes
	// are unchanged.
	OpenTooShort
)

// An OpenDesc describes a packet of a train to open. The caller sets the first three fields, and Open the
// others.
type OpenDesc struct {
	Offset   uint32 // of the header's first byte in the slab
	Len      uint32 // of the whole packet with its tag
	PNOffset uint32 // of the packet number, from the packet's first byte

	HeaderLen    uint32 // up to and including the packet number
	PayloadLen   uint32 // plaintext, which starts at Offset+HeaderLen
	Status       OpenStatus
	Phase        uint8 // the key phase bit, of 1-RTT packets
	_            uint16
	PacketNumber uint64
}

// An Opener removes the protection of one direction's packets. It keeps three phases: previous,
// current and next.
type Opener interface {
	// Open removes header protection, decodes each packet number, selects the key phase and opens
	// the packet in place. largest is the largest packet number authenticated before this call,
	// or -1. Open returns the number of descriptors that it processed: all, or those up to and
	// including the first packet of a new phase.
	Open(slab []byte, train []OpenDesc, largest int64) int

	// Update makes the next phase the current one, keeps the old one as the previous phase, and
	// derives a new next phase in advance, so that the first packet of an update takes no more
	// time than any other. firstPN is the number of the packet with OpenNextPhase: lower packet
	// numbers belong to the previous phase. If this side starts a key update, it calls Update
	// when the peer has answered, because until then the peer sends in the old phase.
	Update(firstPN uint64) error

	// DropPrevious discards the key of the previous phase.
	DropPrevious()

	// IntegrityLimit is the number of packets that may fail to open in all phases together.
	IntegrityLimit() uint64

	Close()
}

// A RestingOpener is an Opener that can free memory while no packets arrive. Its implementation is optional.
type RestingOpener interface {
	Opener

	// Rest frees what can be made again from traffic secrets, such as the key of the next phase. The next call of
	// Open or Update makes it again before it looks at the packets, so that the time does not depend on their key
	// phase.
	Rest()
}

// A RestingSealer is a Sealer that can free memory while no packets leave. Its implementation is optional.
type RestingSealer interface {
	Sealer

	// Rest frees what can be made again from traffic secrets. The next call of Seal makes it again, or returns an
	// error.
	Rest()
}
