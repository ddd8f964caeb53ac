// Package awslc binds the libcrypto of our C library, which is AWS-LC or, in the variants openssl and historic, OpenSSL:
// packet protection, tokens, randomness and the state of the FIPS module.
//
// Every function is one call into cgo/c, whose header pqquic.h describes ownership and errors. C never calls
// Go, and no secret of a connection enters Go.
//
// The package compiles without the C library. [Linked] and each constructor then return [ErrNotLinked].
package awslc
