// Package s2n is the TLS provider based on s2n-tls and AWS-LC or, in the variant openssl, OpenSSL.
//
// It needs the C library that `make build` makes. A program without it compiles, and [New] returns
// [ErrNotLinked]. Key exchange is post-quantum by default: the provider uses the security policy default_pq, or
// default_fips in a FIPS variant, by name, so that it does not depend on the default of the s2n-tls that is
// linked. s2n-tls has no post-quantum key exchange with OpenSSL: New returns [ErrClassical] there, unless the
// program passes [AllowClassical]. The variant historic has an s2n-tls of 2022 and the key exchanges of that year, for
// measurement only; docs/c-build.md lists what it lacks.
//
// The differences from the native provider are:
//
//   - Cipher suites can be selected only by a policy.
//   - A server sends no tickets if it requests client certificates, or on a connection that was itself resumed,
//     because s2n-tls does not keep the client's support for tickets.
//   - A client has at most one certificate.
//   - Application protocols of one byte, or with a zero byte, cannot be negotiated by s2n-tls and are errors.
//   - libcrypto verifies certificates. The callbacks and certificate pools of a tls.Config have no effect on it;
//     setting them is an error.
//   - There is no 0-RTT, because s2n-tls sends EndOfEarlyData in QUIC, too.
package s2n
