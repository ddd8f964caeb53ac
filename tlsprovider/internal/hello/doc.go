// Package hello reads the handshake messages that tell what a TLS 1.3 handshake negotiates:
// ClientHello, ServerHello, HelloRetryRequest, EncryptedExtensions, Certificate and
// CertificateVerify.
//
// It decides nothing about security: a TLS library has judged, or will judge, every byte that is
// parsed here. Providers use it where their library does not tell what the boundary asks for, and
// to know a ClientHello before the library sees it. All of it is written for bytes that a peer
// chose: parsers are bounds-checked, hold no more than a message, and never panic.
package hello
