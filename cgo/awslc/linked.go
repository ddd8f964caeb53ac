package awslc

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// ErrNotLinked means that the program was built without the C library. Its text lists the remedies.
var ErrNotLinked = errors.New("s2n-tls and AWS-LC are not linked into this program: " + notLinked(runtime.GOOS, cgoEnabled))

// notLinked returns the remedies for a program without the C library.
func notLinked(goos string, cgo bool) string {
	const link = "in a checkout of pqquic run `make build`; in another module run `make install PREFIX=DIR` in a " +
		"checkout and `. DIR/share/pqquic/env` (or `eval \"$(scripts/env)\"`) before `go build`; " +
		"with -tags pqquic_s2n the compiler reports what is missing"
	switch {
	case goos != "linux":
		return "the s2n provider is for Linux; on " + goos + " use tlsprovider/native"
	case !cgo:
		return "it was built without cgo: set CGO_ENABLED=1 (cross-compilation and a missing C compiler turn cgo off), and then " + link
	}
	return link
}

// Info describes the libraries in this program.
type Info struct {
	// FIPSMode reports whether AWS-LC is in its approved mode.
	FIPSMode bool
	// SelfTest reports whether the module's self-test passed. It is read in FIPS variants only.
	SelfTest bool
	// FIPSBuild reports whether the C library was built as a FIPS variant.
	FIPSBuild bool
	// MLDSA reports whether s2n-tls supports ML-DSA certificates. It offers them in either case. It is true for a
	// shared s2n-tls that does not export the answer.
	MLDSA bool
	// MLDSAExternal reports whether s2n-tls supports ML-DSA certificates whose private key is not in memory. Only an
	// s2n-tls that was built with build/MLDSA.cmake does.
	MLDSAExternal bool
	// Crypto is the name and version of the linked libcrypto, and Compiled the version of the headers
	// that our C was compiled with.
	Crypto, Compiled string
	// S2N is the version of s2n-tls.
	S2N string
	// HistoricKEMs names the code that computes each KEM of the variant historic on this processor. It is empty in
	// other variants.
	HistoricKEMs string
}

var load = sync.OnceValues(func() (Info, error) {
	info, problem, ok := libInit()
	switch {
	case ok:
		return info, nil
	case problem == "":
		return info, ErrNotLinked
	}
	return info, fmt.Errorf("awslc: %s", problem)
})

// Linked initializes the libraries at its first call and returns nil if they can be used. Otherwise it returns
// [ErrNotLinked], or an error with the reason, such as different versions of library and headers, or a FIPS variant
// whose module is not in FIPS mode.
func Linked() error {
	_, err := load()
	return err
}

// Library describes the libraries in this program.
func Library() (Info, error) { return load() }

// Variant is the build tag that selected the C library: "" (default), "fips", "fips4", "openssl" or "historic".
const Variant = variant

// LiveCounts counts the memory and the handles of the C library.
type LiveCounts struct {
	// TLSBytes is memory of s2n-tls and of our own C.
	TLSBytes int64
	// CryptoBytes is memory of AWS-LC, which keeps some for each thread; 0 if its allocator
	// cannot be replaced, and for OpenSSL.
	CryptoBytes int64
	// Handles counts configurations, connections, keys and tickets.
	Handles int64
}

// Live returns the current counts, for leak checks.
func Live() LiveCounts { return live() }
