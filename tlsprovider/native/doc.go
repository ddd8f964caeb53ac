// Package native is the TLS provider on the standard library: crypto/tls for the handshake, and the
// same module's AES-GCM and HKDF (golang.org/x/crypto's ChaCha20-Poly1305) for packets.
//
// # Limits of crypto/tls
//
// It prefers groups in an order of its own, whatever the order of Config.Groups. It chooses TLS 1.3
// cipher suites itself, so that a Config.CipherSuites which leaves any of its suites out is refused.
// GODEBUG settings (tlsmlkem=0 and others) remove groups even from a configuration that names them:
// an endpoint whose groups are not all offered is refused with the cause.
//
// # FIPS 140-3
//
// With GODEBUG=fips140=on or only, ChaCha20-Poly1305 and X25519 alone are not offered, and packets
// are sealed by the module's AES-GCM for TLS 1.3, which enforces that packet numbers grow. Initial
// protection and the Retry tag use keys that everybody knows; they are no security functions and
// run outside of the enforcement.
//
// # Private keys elsewhere
//
// crypto/tls calls a Signer in the middle of a handshake. Where a Certificate has one, the handshake
// runs on a goroutine of the session, which waits while the caller has an EventSign to answer; no
// worker waits. A callback of Config.TLS that blocks (GetCertificate with a key in an HSM) does hold
// its worker.
package native
