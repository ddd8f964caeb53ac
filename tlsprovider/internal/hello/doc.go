// Package hello parses the handshake messages with the parameters that a TLS 1.3 handshake negotiates:
// ClientHello, ServerHello, HelloRetryRequest, EncryptedExtensions, Certificate and CertificateVerify.
//
// The TLS library checks every byte that is parsed here; this package makes no security decisions. Providers use
// it for details that their library does not report, and to read a ClientHello before the library does. The
// input comes from a peer: parsers check bounds, hold at most one message, and never panic.
package hello
