package awslc

import (
	"errors"
	"fmt"
	"sync"
)

// ErrNotLinked means that this program was built without the C library.
var ErrNotLinked = errors.New("s2n-tls and AWS-LC are not linked into this program: " +
	"run `make build` in pqquic's source tree, or set the flags that `scripts/env` prints, and build again")

// Info describes the libraries in this program.
type Info struct {
	// FIPSMode says that AWS-LC is in its approved mode.
	FIPSMode bool
	// SelfTest says that the module's self-test passed; it is looked at in FIPS variants only.
	SelfTest bool
	// FIPSBuild says that the C library was built as a FIPS variant.
	FIPSBuild bool
	// AWSLC is the linked library's name and version, Compiled the version of the headers that
	// our C was compiled with.
	AWSLC, Compiled string
	// S2N is the version of s2n-tls.
	S2N string
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

// Linked prepares the libraries at its first call and reports whether they can be used: nil,
// [ErrNotLinked], or what is wrong with them (versions that differ, a module that is not in FIPS
// mode in a FIPS variant).
func Linked() error {
	_, err := load()
	return err
}

// Library describes the libraries in this program.
func Library() (Info, error) { return load() }

// Variant is the build tag that chose the C library: "" (default), "fips" or "fips4".
const Variant = variant

// LiveCounts says what C holds.
type LiveCounts struct {
	// TLSBytes is memory of s2n-tls and of our own C.
	TLSBytes int64
	// CryptoBytes is memory of AWS-LC, which keeps some for each thread; 0 where its allocator
	// could not be replaced.
	CryptoBytes int64
	// Handles counts configurations, connections, keys and tickets.
	Handles int64
}

// Live counts what C holds now, for leak checks.
func Live() LiveCounts { return live() }
