// Package awslc binds AWS-LC: packet protection, tokens, randomness and the state of its FIPS module.
//
// Every function is one call into cgo/c, whose header pqquic.h describes ownership and errors. C never calls
// Go, and no secret of a connection enters Go.
//
// The package compiles without the C library. [Linked] and each constructor then return [ErrNotLinked].
package awslc
