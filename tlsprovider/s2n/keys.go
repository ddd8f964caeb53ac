package s2n

import (
	"unsafe"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The descriptors of packages tlsprovider and awslc have the same layout, so that a train is passed to C without a
// copy. These lines do not compile if the sizes differ; a test compares the fields.
var (
	_ [unsafe.Sizeof(tlsprovider.SealDesc{})]byte = [unsafe.Sizeof(awslc.SealDesc{})]byte{}
	_ [unsafe.Sizeof(tlsprovider.OpenDesc{})]byte = [unsafe.Sizeof(awslc.OpenDesc{})]byte{}
)

type sealer struct{ *awslc.Sealer }

func (s sealer) Seal(slab []byte, train []tlsprovider.SealDesc) error {
	return s.Sealer.Seal(slab, unsafe.Slice((*awslc.SealDesc)(unsafe.Pointer(unsafe.SliceData(train))), len(train)))
}

func (s sealer) ConfidentialityLimit() uint64 { return s.Limit() }

type opener struct{ *awslc.Opener }

func (o opener) Open(slab []byte, train []tlsprovider.OpenDesc, largest int64) int {
	return o.Opener.Open(slab, unsafe.Slice((*awslc.OpenDesc)(unsafe.Pointer(unsafe.SliceData(train))), len(train)), largest)
}

func (o opener) IntegrityLimit() uint64 { return o.Limit() }

// keysOf returns the Keys for s and o. If one of them is nil, its interface is nil.
func keysOf(s *awslc.Sealer, o *awslc.Opener) (k tlsprovider.Keys) {
	if s != nil {
		k.Sealer = sealer{s}
	}
	if o != nil {
		k.Opener = opener{o}
	}
	return k
}
