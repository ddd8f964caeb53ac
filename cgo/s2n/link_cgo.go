//go:build cgo && linux

package s2n

/*
#cgo CFLAGS: -O2 -I${SRCDIR}/../c/include
#cgo noescape pqq_drive
#cgo nocallback pqq_drive
#cgo noescape pqq_log
#cgo nocallback pqq_log
#cgo noescape pqq_conn_new
#cgo nocallback pqq_conn_new
#cgo noescape pqq_conn_continue
#cgo nocallback pqq_conn_continue
#cgo noescape pqq_conn_state
#cgo nocallback pqq_conn_state
#cgo noescape pqq_conn_export
#cgo nocallback pqq_conn_export
#include "pqquic.h"
*/
import "C"

import (
	"unsafe"

	_ "github.com/pqquic/pqquic/cgo/c/include" // the header, for go mod vendor
)

func bytePtr(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

// cstring returns s with a terminating NUL, valid during one call, or nil for "".
func cstring(s string) *C.char {
	if s == "" {
		return nil
	}
	b := make([]byte, len(s)+1)
	copy(b, s)
	return (*C.char)(unsafe.Pointer(&b[0]))
}

func errorText(code int32) (string, string) {
	var name [96]C.char
	var text [256]C.char
	C.pqq_error_text(C.int32_t(code), &name[0], C.size_t(len(name)), &text[0], C.size_t(len(text)))
	return C.GoString(&name[0]), C.GoString(&text[0])
}

func configNew(policy string, flags Flags) (unsafe.Pointer, int32) {
	var code C.int32_t
	name := make([]byte, len(policy)+1)
	copy(name, policy)
	p := C.pqq_config_new((*C.char)(unsafe.Pointer(&name[0])), C.uint32_t(flags), &code)
	return unsafe.Pointer(p), int32(code)
}

func configFree(p unsafe.Pointer) { C.pqq_config_free((*C.pqq_config)(p)) }

func configAddCert(p unsafe.Pointer, chain, key []byte, index uint16, staple []byte) (int32, bool) {
	var code C.int32_t
	ok := C.pqq_config_add_cert((*C.pqq_config)(p), bytePtr(chain), C.size_t(len(chain)), bytePtr(key),
		C.size_t(len(key)), C.uint16_t(index), &code, bytePtr(staple), C.size_t(len(staple)))
	return int32(code), ok == 1
}

func configAddRoot(p unsafe.Pointer, pem string) (int32, bool) {
	var code C.int32_t
	ok := C.pqq_config_add_root((*C.pqq_config)(p), cstring(pem+"\n"), &code)
	return int32(code), ok == 1
}

func configAddALPN(p unsafe.Pointer, proto []byte) (int32, bool) {
	var code C.int32_t
	ok := C.pqq_config_add_alpn((*C.pqq_config)(p), bytePtr(proto), C.size_t(len(proto)), &code)
	return int32(code), ok == 1
}

func configAddTicketKey(p unsafe.Pointer, secret []byte) (int32, bool) {
	var code C.int32_t
	ok := C.pqq_config_add_ticket_key((*C.pqq_config)(p), bytePtr(secret), &code)
	return int32(code), ok == 1
}

func configGroups(p unsafe.Pointer, out []uint16) int {
	return int(C.pqq_config_groups((*C.pqq_config)(p), (*C.uint16_t)(unsafe.SliceData(out)), C.size_t(len(out))))
}

func connNew(cfg unsafe.Pointer, p *ConnParams) (unsafe.Pointer, int32) {
	var code C.int32_t
	var ip C.int
	if p.VerifyIP {
		ip = 1
	}
	c := C.pqq_conn_new((*C.pqq_config)(cfg), cstring(p.ServerName), cstring(p.VerifyName), ip,
		bytePtr(p.Params), C.size_t(len(p.Params)), &code)
	return unsafe.Pointer(c), int32(code)
}

func connFree(p unsafe.Pointer) { C.pqq_conn_free((*C.pqq_conn)(p)) }

func connSettle(p unsafe.Pointer) { C.pqq_conn_settle((*C.pqq_conn)(p)) }

func connResume(p, ticket unsafe.Pointer, now int64) bool {
	return C.pqq_conn_resume((*C.pqq_conn)(p), (*C.pqq_ticket)(ticket), C.int64_t(now)) == 1
}

func connDrive(p unsafe.Pointer, level uint8, in []byte, now int64, log []byte) driveResult {
	r := C.pqq_drive((*C.pqq_conn)(p), C.uint32_t(level), bytePtr(in), C.size_t(len(in)), C.int64_t(now),
		bytePtr(log), C.size_t(len(log)))
	return driveResult{
		ok:    r.status == C.PQQ_OK,
		done:  r.done != 0,
		alert: uint8(r.alert),
		err:   int32(r.err),
		n:     int(r.log_len),
		more:  int(r.more),
	}
}

func connLog(p unsafe.Pointer, log []byte) int {
	return int(C.pqq_log((*C.pqq_conn)(p), bytePtr(log), C.size_t(len(log))))
}

func connContinue(p, cfg unsafe.Pointer, alpn, params []byte) (int32, bool) {
	var code C.int32_t
	ok := C.pqq_conn_continue((*C.pqq_conn)(p), (*C.pqq_config)(cfg), bytePtr(alpn), C.size_t(len(alpn)),
		bytePtr(params), C.size_t(len(params)), &code)
	return int32(code), ok == 1
}

func connSigned(p unsafe.Pointer, sig []byte) (int32, bool) {
	var code C.int32_t
	ok := C.pqq_conn_signed((*C.pqq_conn)(p), bytePtr(sig), C.size_t(len(sig)), &code)
	return int32(code), ok == 1
}

func connTakeSealer(p unsafe.Pointer, level uint8, version uint32) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_conn_take_sealer((*C.pqq_conn)(p), C.uint32_t(level), C.uint32_t(version)))
}

func connTakeOpener(p unsafe.Pointer, level uint8, version uint32) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_conn_take_opener((*C.pqq_conn)(p), C.uint32_t(level), C.uint32_t(version)))
}

func connState(p unsafe.Pointer) State {
	var s C.pqq_state
	if C.pqq_conn_state((*C.pqq_conn)(p), &s) != 1 {
		return State{}
	}
	return State{
		CipherSuite: uint16(s.suite),
		Resumed:     s.resumed != 0,
		Group:       C.GoString(&s.group[0]),
		ALPN:        C.GoStringN(&s.alpn[0], C.int(s.alpn_len)),
	}
}

func connExport(p unsafe.Pointer, label, context, out []byte) bool {
	return C.pqq_conn_export((*C.pqq_conn)(p), (*C.char)(unsafe.Pointer(unsafe.SliceData(label))),
		C.size_t(len(label)), bytePtr(context), C.size_t(len(context)), bytePtr(out), C.size_t(len(out))) == 1
}

func connTakeTicket(p unsafe.Pointer) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_conn_take_ticket((*C.pqq_conn)(p)))
}

func ticketFree(p unsafe.Pointer) { C.pqq_ticket_free((*C.pqq_ticket)(p)) }
func ticketSave(p unsafe.Pointer, out []byte) int {
	return int(C.pqq_ticket_save((*C.pqq_ticket)(p), bytePtr(out), C.size_t(len(out))))
}
func ticketRestore(in []byte, lifetime uint32) unsafe.Pointer {
	return unsafe.Pointer(C.pqq_ticket_restore(bytePtr(in), C.size_t(len(in)), C.uint32_t(lifetime)))
}
func ticketLifetime(p unsafe.Pointer) uint32 {
	return uint32(C.pqq_ticket_lifetime((*C.pqq_ticket)(p)))
}
