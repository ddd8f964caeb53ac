package awslc

import (
	"errors"
	"unsafe"
)

// A SealDesc describes a packet to seal. It has the layout of pqq_seal_desc.
type SealDesc struct {
	Offset, HeaderLen, PayloadLen, _ uint32
	PacketNumber                     uint64
}

// An OpenDesc describes a packet to open. It has the layout of pqq_open_desc.
type OpenDesc struct {
	Offset, Len, PNOffset uint32
	HeaderLen, PayloadLen uint32
	Status, Phase         uint8
	_                     uint16
	PacketNumber          uint64
}

// Values of OpenDesc.Status.
const (
	OpenPending uint8 = iota
	OpenOK
	OpenNextPhase
	OpenFailed
	OpenTooShort
)

var (
	errKeys   = errors.New("awslc: no keys: unknown version or cipher suite, or a secret of the wrong length")
	errSeal   = errors.New("awslc: Seal: invalid descriptor, or a packet number that does not increase")
	errUpdate = errors.New("awslc: Update: only 1-RTT keys can be updated")
	errClosed = errors.New("awslc: closed")
)

// A Sealer protects packets of one direction. It must not be used concurrently.
type Sealer struct{ p unsafe.Pointer }

// An Opener removes the protection of one direction's packets. It must not be used concurrently.
type Opener struct{ p unsafe.Pointer }

// SealerOf returns a Sealer that owns a handle of C, or nil for nil.
func SealerOf(handle unsafe.Pointer) *Sealer {
	if handle == nil {
		return nil
	}
	return &Sealer{handle}
}

// OpenerOf returns an Opener that owns a handle of C, or nil for nil.
func OpenerOf(handle unsafe.Pointer) *Opener {
	if handle == nil {
		return nil
	}
	return &Opener{handle}
}

// NewSealer makes a Sealer from a traffic secret. It is for tests, benchmarks and tools that read key logs: a
// connection's secrets stay in C. app is true for 1-RTT keys, which can be updated.
func NewSealer(version uint32, suite uint16, secret []byte, app bool) (*Sealer, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := sealerNew(version, suite, secret, app); p != nil {
		return &Sealer{p}, nil
	}
	return nil, errKeys
}

// NewOpener makes an Opener from a traffic secret, as NewSealer makes a Sealer.
func NewOpener(version uint32, suite uint16, secret []byte, app bool) (*Opener, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := openerNew(version, suite, secret, app); p != nil {
		return &Opener{p}, nil
	}
	return nil, errKeys
}

// InitialKeys derives the Initial keys of both directions for one side.
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

// Seal protects a train in place. If it returns an error, no packet of the train may be sent.
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

// Rest frees what can be made again from the secret of 1-RTT keys. The next Seal makes it again.
func (s *Sealer) Rest() {
	if s.p != nil {
		sealerRest(s.p)
	}
}

// Limit returns the number of packets that one key phase may seal.
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

// Open opens a train in place and returns the number of packets that it processed.
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

// DropPrevious discards the key of the previous phase.
func (o *Opener) DropPrevious() {
	if o.p != nil {
		openerDropPrevious(o.p)
	}
}

// Rest frees what can be made again from the secrets of 1-RTT keys. The next Open or Update makes it again.
func (o *Opener) Rest() {
	if o.p != nil {
		openerRest(o.p)
	}
}

// Limit returns the number of packets that may fail to open in all key phases together.
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
