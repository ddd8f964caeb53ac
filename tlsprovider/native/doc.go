// Package native is the TLS provider based on the standard library. It uses crypto/tls for handshakes, and the
// AES-GCM and HKDF of the same cryptographic module, or ChaCha20-Poly1305 of golang.org/x/crypto, for packets.
//
// # Limits of crypto/tls
//
// crypto/tls has its own order of preference for groups, and ignores the order of Config.Groups. It selects
// TLS 1.3 cipher suites itself, so Config.CipherSuites must be nil or contain all of them. GODEBUG settings
// such as tlsmlkem=0 remove groups even if Config.Groups contains them; NewClient and NewServer then return an
// error that names the setting.
//
// # FIPS 140-3
//
// With GODEBUG=fips140=on or fips140=only, ChaCha20-Poly1305 and X25519 alone are not offered, and packets are
// sealed with the module's AES-GCM for TLS 1.3, which requires that packet numbers increase. Initial protection
// and the Retry tag use public keys. They are no security functions, and run outside of the enforcement of
// fips140=only.
//
// # External private keys
//
// crypto/tls calls a Signer in the middle of a handshake. If a Certificate has a Signer, or a callback of Config.TLS may
// return a certificate with one, the handshake runs on a goroutine of the session, which waits until the transport has
// answered EventSign. No worker is blocked meanwhile. A callback of Config.TLS that itself blocks does block its worker.
package native
