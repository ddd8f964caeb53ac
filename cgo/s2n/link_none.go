//go:build !(cgo && linux)

package s2n

import "unsafe"

// Without cgo there is no C library. NewConfig returns ErrNotLinked, so none of these functions is called.

func errorText(int32) (string, string) { return "", "" }

func configNew(string, Flags) (unsafe.Pointer, int32)                            { return nil, 0 }
func configFree(unsafe.Pointer)                                                  {}
func configAddCert(unsafe.Pointer, []byte, []byte, uint16, []byte) (int32, bool) { return 0, false }
func configAddRoot(unsafe.Pointer, string) (int32, bool)                         { return 0, false }
func configAddALPN(unsafe.Pointer, []byte) (int32, bool)                         { return 0, false }
func configAddTicketKey(unsafe.Pointer, []byte) (int32, bool)                    { return 0, false }
func configGroups(unsafe.Pointer, []uint16) int                                  { return 0 }

func connNew(unsafe.Pointer, *ConnParams) (unsafe.Pointer, int32) { return nil, 0 }
func connFree(unsafe.Pointer)                                     {}
func connSettle(unsafe.Pointer)                                   {}
func connResume(unsafe.Pointer, unsafe.Pointer, int64) bool       { return false }
func connLog(unsafe.Pointer, []byte) int                          { return 0 }
func connSigned(unsafe.Pointer, []byte) (int32, bool)             { return 0, false }
func connTakeSealer(unsafe.Pointer, uint8, uint32) unsafe.Pointer { return nil }
func connTakeOpener(unsafe.Pointer, uint8, uint32) unsafe.Pointer { return nil }
func connState(unsafe.Pointer) State                              { return State{} }
func connExport(unsafe.Pointer, []byte, []byte, []byte) bool      { return false }
func connTakeTicket(unsafe.Pointer) unsafe.Pointer                { return nil }
func ticketFree(unsafe.Pointer)                                   {}
func ticketLifetime(unsafe.Pointer) uint32                        { return 0 }
func ticketSave(unsafe.Pointer, []byte) int                       { return 0 }
func ticketRestore([]byte, uint32) unsafe.Pointer                 { return nil }

func connDrive(unsafe.Pointer, uint8, []byte, int64, []byte) driveResult { return driveResult{} }
func connContinue(unsafe.Pointer, unsafe.Pointer, []byte, []byte) (int32, bool) {
	return 0, false
}
