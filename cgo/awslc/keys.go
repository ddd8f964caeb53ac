package awslc

import (
	"errors"
	"unsafe"
)

// SealDesc is one packet of a train to be sealed. C reads it as it is: pqq_seal_desc.
type SealDesc struct {
	Offset, HeaderLen, PayloadLen, _ uint32
	PacketNumber                     uint64
}

// OpenDesc is one packet of a train to be opened. C reads and writes it as it is: pqq_open_desc.
type OpenDesc struct {
	Offset, Len, PNOffset uint32
	HeaderLen, PayloadLen uint32
	Status, Phase         uint8
	_                     uint16
	PacketNumber          uint64
}

// What became of a packet: OpenDesc.Status.
const (
	OpenPending uint8 = iota
	OpenOK
	OpenNextPhase
	OpenFailed
	OpenTooShort
)

var (
	errKeys   = errors.New("awslc: keys refused: unknown version or suite, or a secret of the wrong length")
	errSeal   = errors.New("awslc: seal refused: a wrong descriptor, or a packet number that does not grow")
	errUpdate = errors.New("awslc: key update refused: not 1-RTT keys")
	errClosed = errors.New("awslc: closed")
)

// A Sealer protects packets of one direction. One goroutine at a time.
type Sealer struct{ p unsafe.Pointer }

// An Opener removes the protection of one direction's packets. One goroutine at a time.
type Opener struct{ p unsafe.Pointer }

// SealerOf owns a handle that C made for a connection; nil gives nil.
func SealerOf(handle unsafe.Pointer) *Sealer {
	if handle == nil {
		return nil
	}
	return &Sealer{handle}
}

// OpenerOf owns a handle that C made for a connection; nil gives nil.
func OpenerOf(handle unsafe.Pointer) *Opener {
	if handle == nil {
		return nil
	}
	return &Opener{handle}
}

// NewSealer makes keys from a traffic secret. It is for tests, benchmarks and tools that read key
// logs: a connection's secrets stay in C. app says that they are 1-RTT keys, which can be updated.
func NewSealer(version uint32, suite uint16, secret []byte, app bool) (*Sealer, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := sealerNew(version, suite, secret, app); p != nil {
		return &Sealer{p}, nil
	}
	return nil, errKeys
}

// NewOpener is NewSealer for the other direction.
func NewOpener(version uint32, suite uint16, secret []byte, app bool) (*Opener, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := openerNew(version, suite, secret, app); p != nil {
		return &Opener{p}, nil
	}
	return nil, errKeys
}

// InitialKeys derives both directions' Initial keys for one side.
func InitialKeys(version uint32, dcid []byte, server bool) (*Sealer, *Opener, error) {
	if err := Linked(); err != nil {
		return nil, nil, err
	}
	s := initialSealer(version, dcid, server)
	o := initialOpener(version, dcid, !server)
	if s == nil || o == nil {
		sealerFree(s)
		openerFree(o)
		return nil, nil, errKeys
	}
	return &Sealer{s}, &Opener{o}, nil
}

// Seal protects a train in place. On an error nothing of the train may be sent.
func (s *Sealer) Seal(slab []byte, train []SealDesc) error {
	if len(train) == 0 {
		return nil
	}
	if s.p == nil {
		return errClosed
	}
	if !seal(s.p, slab, train) {
		return errSeal
	}
	return nil
}

// Update moves to the next key phase.
func (s *Sealer) Update() error {
	if s.p == nil {
		return errClosed
	}
	if !sealerUpdate(s.p) {
		return errUpdate
	}
	return nil
}

// Limit is the number of packets that one phase may seal.
func (s *Sealer) Limit() uint64 {
	if s.p == nil {
		return 0
	}
	return sealerLimit(s.p)
}

// Close frees the keys. It is idempotent.
func (s *Sealer) Close() {
	sealerFree(s.p)
	s.p = nil
}

// Open opens a train in place and returns how many packets it dealt with.
func (o *Opener) Open(slab []byte, train []OpenDesc, largest int64) int {
	if len(train) == 0 || o.p == nil {
		return 0
	}
	return open(o.p, slab, train, largest)
}

// Update makes the next phase the current one.
func (o *Opener) Update(firstPN uint64) error {
	if o.p == nil {
		return errClosed
	}
	if !openerUpdate(o.p, firstPN) {
		return errUpdate
	}
	return nil
}

// DropPrevious forgets the previous phase's key.
func (o *Opener) DropPrevious() {
	if o.p != nil {
		openerDropPrevious(o.p)
	}
}

// Limit is the number of packets, over all phases, that may fail to open.
func (o *Opener) Limit() uint64 {
	if o.p == nil {
		return 0
	}
	return openerLimit(o.p)
}

// Close frees the keys. It is idempotent.
func (o *Opener) Close() {
	openerFree(o.p)
	o.p = nil
}
