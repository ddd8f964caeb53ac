//go:build cgo && linux

package awslc

/*
#cgo CFLAGS: -O2 -I${SRCDIR}/../c/include
#cgo noescape pqq_rand
#cgo nocallback pqq_rand
#cgo noescape pqq_seal
#cgo nocallback pqq_seal
#cgo noescape pqq_open
#cgo nocallback pqq_open
#cgo noescape pqq_open_initial
#cgo nocallback pqq_open_initial
#cgo noescape pqq_retry_tag
#cgo nocallback pqq_retry_tag
#cgo noescape pqq_initial_sealer_new
#cgo nocallback pqq_initial_sealer_new
#cgo noescape pqq_initial_opener_new
#cgo nocallback pqq_initial_opener_new
#cgo noescape pqq_token_seal
#cgo nocallback pqq_token_seal
#cgo noescape pqq_token_open
#cgo nocallback pqq_token_open
#cgo noescape pqq_reset_token
#cgo nocallback pqq_reset_token
#cgo noescape pqq_mldsa_public
#cgo nocallback pqq_mldsa_public
#cgo noescape pqq_mldsa_expanded
#cgo nocallback pqq_mldsa_expanded
#cgo noescape pqq_mldsa_sign
#cgo nocallback pqq_mldsa_sign
#include "pqquic.h"
*/
import "C"

import (
	"unsafe"

	_ "github.com/pqquic/pqquic/cgo/c/include" // the header, for go mod vendor
)

const cgoEnabled = true

func bytePtr(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func libInit() (Info, string, bool) {
	var info C.pqq_info
	problem := make([]byte, 256)
	ok := C.pqq_init_1(&info, (*C.char)(unsafe.Pointer(&problem[0])), C.size_t(len(problem)))
	return Info{
		FIPSMode:  info.fips_mode != 0,
		SelfTest:  info.self_test != 0,
		FIPSBuild: info.fips_build != 0,
		MLDSA:     info.mldsa&C.PQQ_MLDSA_CERTIFICATES != 0,
		Crypto:    C.GoString(&info.crypto_linked[0]),
		Compiled:  C.GoString(&info.crypto_compiled[0]),
		S2N:       C.GoString(&info.tls_compiled[0]),

		MLDSAExternal: info.mldsa&C.PQQ_MLDSA_EXTERNAL != 0,

		HistoricKEMs: C.GoString(&info.historic_kems[0]),
	}, C.GoString((*C.char)(unsafe.Pointer(&problem[0]))), ok == 1
}

func live() LiveCounts {
	l := C.pqq_live_now()
	return LiveCounts{TLSBytes: int64(l.tls_bytes), CryptoBytes: int64(l.crypto_bytes), Handles: int64(l.handles)}
}

func randBytes(b []byte) bool { return C.pqq_rand(bytePtr(b), C.size_t(len(b))) == 1 }

func sealerNew(version uint32, suite uint16, secret []byte, app bool) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_sealer_new(C.uint32_t(version), C.uint16_t(suite),
		bytePtr(secret), C.size_t(len(secret)), cbool(app)))
}

func openerNew(version uint32, suite uint16, secret []byte, app bool) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_opener_new(C.uint32_t(version), C.uint16_t(suite),
		bytePtr(secret), C.size_t(len(secret)), cbool(app)))
}

func initialSealer(version uint32, dcid []byte, fromServer bool) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_initial_sealer_new(C.uint32_t(version), bytePtr(dcid), C.size_t(len(dcid)),
		cbool(fromServer)))
}

func initialOpener(version uint32, dcid []byte, fromServer bool) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_initial_opener_new(C.uint32_t(version), bytePtr(dcid), C.size_t(len(dcid)),
		cbool(fromServer)))
}

func sealerFree(p unsafe.Pointer) { C.pqq_sealer_free((*C.pqq_sealer)(p)) }
func openerFree(p unsafe.Pointer) { C.pqq_opener_free((*C.pqq_opener)(p)) }

func seal(p unsafe.Pointer, slab []byte, train []SealDesc) bool {
	return C.pqq_seal((*C.pqq_sealer)(p), bytePtr(slab), C.size_t(len(slab)),
		(*C.pqq_seal_desc)(unsafe.Pointer(unsafe.SliceData(train))), C.size_t(len(train))) == 1
}

func sealerRest(p unsafe.Pointer)        { C.pqq_sealer_rest((*C.pqq_sealer)(p)) }
func sealerUpdate(p unsafe.Pointer) bool { return C.pqq_sealer_update((*C.pqq_sealer)(p)) == 1 }
func sealerLimit(p unsafe.Pointer) uint64 {
	return uint64(C.pqq_sealer_limit((*C.pqq_sealer)(p)))
}

func open(p unsafe.Pointer, slab []byte, train []OpenDesc, largest int64) int {
	return int(C.pqq_open((*C.pqq_opener)(p), bytePtr(slab), C.size_t(len(slab)),
		(*C.pqq_open_desc)(unsafe.Pointer(unsafe.SliceData(train))), C.size_t(len(train)), C.int64_t(largest)))
}

func openerUpdate(p unsafe.Pointer, firstPN uint64) bool {
	return C.pqq_opener_update((*C.pqq_opener)(p), C.uint64_t(firstPN)) == 1
}
func openerDropPrevious(p unsafe.Pointer) { C.pqq_opener_drop_previous((*C.pqq_opener)(p)) }
func openerRest(p unsafe.Pointer)         { C.pqq_opener_rest((*C.pqq_opener)(p)) }
func openerLimit(p unsafe.Pointer) uint64 {
	return uint64(C.pqq_opener_limit((*C.pqq_opener)(p)))
}

func openInitial(version uint32, dcid, pkt []byte, pnOffset int) (Initial, bool) {
	r := C.pqq_open_initial(C.uint32_t(version), bytePtr(dcid), C.size_t(len(dcid)), bytePtr(pkt),
		C.size_t(len(pkt)), C.size_t(pnOffset))
	return Initial{
		HeaderLen:    int(r.header_len),
		PayloadLen:   int(r.payload_len),
		PacketNumber: uint64(r.packet_number),
	}, r.ok == 1
}

func retryTag(version uint32, odcid, retry []byte, tag *[16]byte) bool {
	return C.pqq_retry_tag(C.uint32_t(version), bytePtr(odcid), C.size_t(len(odcid)), bytePtr(retry),
		C.size_t(len(retry)), (*C.uint8_t)(&tag[0])) == 1
}

func tokenNew(secret []byte) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_token_new(bytePtr(secret), C.size_t(len(secret))))
}

func tokenFree(p unsafe.Pointer) { C.pqq_token_free((*C.pqq_token)(p)) }

func tokenSeal(p unsafe.Pointer, out, in, aad []byte) int {
	return int(C.pqq_token_seal((*C.pqq_token)(p), bytePtr(out), C.size_t(len(out)), bytePtr(in),
		C.size_t(len(in)), bytePtr(aad), C.size_t(len(aad))))
}

func tokenOpen(p unsafe.Pointer, out, in, aad []byte) int {
	return int(C.pqq_token_open((*C.pqq_token)(p), bytePtr(out), C.size_t(len(out)), bytePtr(in),
		C.size_t(len(in)), bytePtr(aad), C.size_t(len(aad))))
}

func resetNew(secret []byte) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_reset_new(bytePtr(secret), C.size_t(len(secret))))
}

func resetFree(p unsafe.Pointer) { C.pqq_reset_free((*C.pqq_reset)(p)) }

func resetToken(p unsafe.Pointer, cid []byte, out *[16]byte) bool {
	return C.pqq_reset_token((*C.pqq_reset)(p), bytePtr(cid), C.size_t(len(cid)), (*C.uint8_t)(&out[0])) == 1
}

func mldsaPublic(level int, seed *[32]byte, out []byte) int {
	return int(C.pqq_mldsa_public(C.int(level), (*C.uint8_t)(&seed[0]), bytePtr(out), C.size_t(len(out))))
}

func mldsaExpanded(level int, seed *[32]byte, out []byte) int {
	return int(C.pqq_mldsa_expanded(C.int(level), (*C.uint8_t)(&seed[0]), bytePtr(out), C.size_t(len(out))))
}

func mldsaSign(level int, seed *[32]byte, in []byte, isMu bool, out []byte) int {
	return int(C.pqq_mldsa_sign(C.int(level), (*C.uint8_t)(&seed[0]), bytePtr(in), C.size_t(len(in)), cbool(isMu),
		bytePtr(out), C.size_t(len(out))))
}
