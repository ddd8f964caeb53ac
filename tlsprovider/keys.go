package tlsprovider

// TagLen is the length of the authentication tag of every AEAD that QUIC uses.
const TagLen = 16

// SampleLen is the length of the ciphertext sample for header protection.
const SampleLen = 16

// Keys are the two directions of one encryption level. Either may be nil while not ready.
type Keys struct {
	Sealer Sealer
	Opener Opener
}

// Close closes what is there.
func (k Keys) Close() {
	if k.Sealer != nil {
		k.Sealer.Close()
	}
	if k.Opener != nil {
		k.Opener.Close()
	}
}

// A SealDesc is one packet of a train to be sealed, in a slab. It holds no pointer, so that a train
// crosses into C as it is.
type SealDesc struct {
	Offset       uint32 // of the header's first byte in the slab
	HeaderLen    uint32 // up to and including the packet number
	PayloadLen   uint32 // plaintext after the header; TagLen bytes of room must follow it
	_            uint32
	PacketNumber uint64
}

// A Sealer protects packets of one direction.
type Sealer interface {
	// Seal seals a train in place and protects its headers. Packet numbers grow strictly over
	// the life of a Sealer, across calls and key phases; gaps are fine. The length of the
	// packet number is taken from the header's first byte, whose key phase bit the caller has
	// set. An error means that a descriptor is wrong or the module refused: nothing of the
	// train may be sent.
	Seal(slab []byte, train []SealDesc) error

	// Update moves to the next key phase. Only 1-RTT keys can.
	Update() error

	// ConfidentialityLimit is the number of packets that one phase may seal.
	ConfidentialityLimit() uint64

	Close()
}

// OpenStatus is what became of a packet.
type OpenStatus uint8

const (
	// OpenPending is the zero value: not looked at.
	OpenPending OpenStatus = iota
	// OpenOK means that the packet is authentic, under the phase that Phase names.
	OpenOK
	// OpenNextPhase means that the packet is authentic under the next phase's key. It is the
	// last one of its call; the caller goes on after [Opener.Update] or closes.
	OpenNextPhase
	// OpenFailed means that the packet did not authenticate. It counts against the integrity
	// limit, and its bytes are lost.
	OpenFailed
	// OpenTooShort means that there is no room for a sample; nothing was tried.
	OpenTooShort
)

// An OpenDesc is one packet of a train to be opened. The caller fills the first three fields.
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
	// Open removes header protection, decodes each packet number against the largest number
	// authenticated so far (largest: the caller's, -1 for none; it runs on within the train),
	// picks the phase and opens in place. It returns how many descriptors it dealt with: all,
	// or up to and including the first packet of a new phase.
	Open(slab []byte, train []OpenDesc, largest int64) int

	// Update makes the next phase the current one, keeps the old one as previous, and derives
	// another next, so that the first packet of an update costs no more time than any other.
	// firstPN is the number of the packet that came with OpenNextPhase: it separates the
	// previous phase from the next. An update of our own does not call Update before the
	// peer's answer, for until then the peer goes on in the old phase with any number.
	Update(firstPN uint64) error

	// DropPrevious forgets the previous phase's key.
	DropPrevious()

	// IntegrityLimit is the number of packets, over all phases, that may fail to open.
	IntegrityLimit() uint64

	Close()
}
