//go:build !(cgo && linux)

package awslc

import "unsafe"

// Without cgo there is no C library, and only libInit is called: every constructor calls Linked first, and the other
// functions need a value from a constructor.

const cgoEnabled = false

func libInit() (Info, string, bool) { return Info{}, "", false }
func live() LiveCounts              { return LiveCounts{} }
func randBytes([]byte) bool         { return false }

func sealerNew(uint32, uint16, []byte, bool) unsafe.Pointer { return nil }
func openerNew(uint32, uint16, []byte, bool) unsafe.Pointer { return nil }
func initialSealer(uint32, []byte, bool) unsafe.Pointer     { return nil }
func initialOpener(uint32, []byte, bool) unsafe.Pointer     { return nil }
func sealerFree(unsafe.Pointer)                             {}
func openerFree(unsafe.Pointer)                             {}

func seal(unsafe.Pointer, []byte, []SealDesc) bool       { return false }
func sealerRest(unsafe.Pointer)                          {}
func sealerUpdate(unsafe.Pointer) bool                   { return false }
func sealerLimit(unsafe.Pointer) uint64                  { return 0 }
func open(unsafe.Pointer, []byte, []OpenDesc, int64) int { return 0 }
func openerUpdate(unsafe.Pointer, uint64) bool           { return false }
func openerDropPrevious(unsafe.Pointer)                  {}
func openerRest(unsafe.Pointer)                          {}
func openerLimit(unsafe.Pointer) uint64                  { return 0 }

func openInitial(uint32, []byte, []byte, int) (Initial, bool) { return Initial{}, false }
func retryTag(uint32, []byte, []byte, *[16]byte) bool         { return false }

func tokenNew([]byte) unsafe.Pointer                       { return nil }
func tokenFree(unsafe.Pointer)                             {}
func tokenSeal(unsafe.Pointer, []byte, []byte, []byte) int { return 0 }
func tokenOpen(unsafe.Pointer, []byte, []byte, []byte) int { return 0 }

func resetNew([]byte) unsafe.Pointer                    { return nil }
func resetFree(unsafe.Pointer)                          {}
func resetToken(unsafe.Pointer, []byte, *[16]byte) bool { return false }

func mldsaPublic(int, *[32]byte, []byte) int             { return 0 }
func mldsaExpanded(int, *[32]byte, []byte) int           { return 0 }
func mldsaSign(int, *[32]byte, []byte, bool, []byte) int { return 0 }
