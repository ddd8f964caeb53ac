// Package s2n is the TLS provider on s2n-tls over AWS-LC.
//
// It needs the C library that `make build` makes; a program without it compiles, and [New] returns
// [ErrNotLinked]. Key exchange is post-quantum by default: the security policy default_pq, or in a
// FIPS variant default_fips, asked for by name, so that any s2n-tls in its place behaves the same.
//
// What differs from the native provider: no 0-RTT (s2n-tls sends EndOfEarlyData even in QUIC mode),
// no choice of cipher suites but by a policy, no tickets from a server that asks for client
// certificates or on a connection that was itself resumed (s2n-tls forgets that the client can use
// one), one certificate at most for a client, no application protocol of a single byte or with a zero byte in it (s2n-tls cannot negotiate
// them), and certificate verification by AWS-LC, to which a tls.Config's callbacks and certificate pools
// mean nothing: setting them is an error.
package s2n
