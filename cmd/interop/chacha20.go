package main

import (
	"crypto/tls"
	_ "unsafe" // for go:linkname
)

// crypto/tls does not let a program choose the cipher suites of TLS 1.3 (https://go.dev/issue/29349). It promises to
// keep these two variables for programs that set them all the same (https://go.dev/issue/67401). One of them is the
// list for machines without AES instructions.

//go:linkname defaultCipherSuitesTLS13 crypto/tls.defaultCipherSuitesTLS13
var defaultCipherSuitesTLS13 []uint16

//go:linkname defaultCipherSuitesTLS13NoAES crypto/tls.defaultCipherSuitesTLS13NoAES
var defaultCipherSuitesTLS13NoAES []uint16

// onlyChaCha20InCryptoTLS leaves crypto/tls with one cipher suite, in the whole process.
func onlyChaCha20InCryptoTLS() {
	defaultCipherSuitesTLS13 = []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}
	defaultCipherSuitesTLS13NoAES = defaultCipherSuitesTLS13
}
