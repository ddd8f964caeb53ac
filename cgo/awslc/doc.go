// Package awslc binds AWS-LC: packet protection, tokens, randomness and the state of its FIPS module.
//
// It is thin: every function is one call into cgo/c, whose header pqquic.h describes ownership and
// errors. Nothing calls back from C, and no secret of a connection enters Go.
//
// Where the C library was not linked, everything compiles, [Linked] says what to do, and each
// constructor returns [ErrNotLinked].
package awslc
