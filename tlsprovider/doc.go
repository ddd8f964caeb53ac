// Package tlsprovider is the boundary between QUIC and cryptography.
//
// A [Provider] owns every cryptographic operation of a connection: the TLS 1.3 handshake, Initial
// keys, packet and header protection, key update, the Retry integrity tag, address tokens,
// stateless reset tokens, exporters and randomness. If any of these lived elsewhere, a connection
// on a validated module would have a second, unvalidated module inside it. The transport holds
// opaque keys and never a secret.
//
// Two providers exist: tlsprovider/native on the standard library's crypto/tls, and
// tlsprovider/s2n on s2n-tls over AWS-LC through cgo. tlsprovider/tlstest holds the conformance
// suite that every provider has to pass.
//
// # Concurrency and ownership
//
// A Provider and an [Endpoint] are safe for concurrent use. A [Session] has one caller at a time:
// the transport hands it to one job after another (see quic/internal/core). A [Sealer] and an
// [Opener] belong to one packet number space and are used under the connection's lock; the two
// directions share no mutable state, so they may be used by two goroutines at once. Whoever takes
// a Session, Sealer, Opener, TokenKey or ResetKey closes it; Close is idempotent. Keys outlive the
// Session they came from.
package tlsprovider
