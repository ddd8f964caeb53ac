// Package pkcs11key uses private keys in tokens: HSMs, smart cards and other devices that have a PKCS #11 library. A [Key]
// is a crypto.Signer, for tlsprovider.Certificate as well as tls.Certificate:
//
//	token, err := pkcs11key.Open(pkcs11key.Config{
//		Library: "/usr/lib/softhsm/libsofthsm2.so", Token: "servers",
//		PIN: pkcs11key.PINFromFile("/run/secrets/pin"),
//	})
//	…
//	key, err := token.Key("example.com", nil)
//	…
//	cert, err := key.Certificate("example.com.pem")
//	…
//	listener, err := quic.Listen("udp", ":4433", &quic.Config{TLS: &tlsprovider.Config{
//		NextProtos: …, Certificates: []tlsprovider.Certificate{cert},
//	}})
//
// Keys are ECDSA keys on P-256, P-384 and P-521, and RSA keys. They sign with CKM_ECDSA, CKM_RSA_PKCS_PSS, which TLS 1.3 needs, and
// CKM_RSA_PKCS, with which crypto/x509 signs certificates.
//
// # Sessions
//
// A token makes at most Config.MaxSessions signatures at a time, each in a session of its own. Other calls of Sign wait for
// their turn, at most for Config.SessionTimeout. A call that is inside of the library cannot be ended. It occupies a thread, so
// MaxSessions also bounds the threads.
//
// # Tokens that fail
//
// If a session is lost because the token was removed or its HSM has restarted, Sign opens another one, logs in and finds
// the key again. If that fails, Sign returns an error, and the next attempt is made after Config.RetryInterval. If the library must be
// initialized again to see the token, that is done when no call is inside of it.
//
// A PIN that the token has rejected is not tried again, because tokens lock after a few wrong PINs.
//
// # Building
//
// The package needs cgo, because PKCS #11 libraries are C libraries. It does not link any: Config.Library is loaded when the
// program runs. docs/keys-in-hardware.md shows how to make a key, and what quic does while a token is slow.
package pkcs11key
