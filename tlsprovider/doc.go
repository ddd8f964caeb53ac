// Package tlsprovider has two parts: the TLS configuration that programs write, and the boundary between
// QUIC and cryptography, which TLS providers implement.
//
// Two providers exist: tlsprovider/native on the standard library's crypto/tls, and tlsprovider/s2n on
// s2n-tls over AWS-LC through cgo.
//
// # For programs
//
// [Config] configures TLS: it is the field TLS of a quic.Config. [FromTLSConfig] makes one from a tls.Config.
// A [Certificate] comes from [LoadCertificate], [CertificateFromPEM] or [CertificateFromTLS], and [Roots]
// from [RootsFromPEM]; [MLDSAMu] tells a Certificate.Signer what it signs. [ClientAuth] is a server's policy for client certificates. A server's GetTLSConfig
// gets a [ClientHello]. A [ClientStore], such as a [ClientCache] from [NewClientStore], keeps what a client needs
// for its next connections. Package tlsprovider/certwatch makes a Config of files, and another one when they change.
//
// [State] describes a handshake that is complete, and [EarlyDataState] whether early data were accepted. [Group],
// [CipherSuite] and [SignatureScheme] name what was negotiated; [GroupInfo], [AllGroups], [ParseGroup], [ParseGroups] and [GroupList] help with groups.
// [Capabilities] and [FIPS] say what a provider can do.
//
// A handshake that failed has an [Error] with the [Alert]; docs/tls-errors.md lists the alerts. A
// [PanicError] reports a callback that panicked. [ErrUnsupported] is wrapped by the errors of a
// configuration that a provider cannot meet.
//
// # For providers
//
// Programs do not need the types of this section. A [Provider] performs every cryptographic operation of a
// connection: the TLS 1.3 handshake, Initial keys, packet and header protection, key update, the Retry
// integrity tag, address tokens, stateless reset tokens, exporters and randomness. If another package
// performed one of these, a connection on a validated module would also depend on a module that is not
// validated. The transport holds opaque keys and never a secret.
//
// An [Endpoint] is a prepared Config. It makes a [Session], from [SessionParams], for each handshake of one
// [Side]. A session takes [CryptoData] and returns [Event] values (see [EventKind]) of a [Level]. A server's
// session waits for a [Decision] after the ClientHello, which can accept or reject an [EarlyDataOffer], and for a
// [SignRequest] (see [NewSignRequest]) if the private key is not in memory. Its [Keys] are a [Sealer] and an [Opener], which work on a [SealDesc] and an
// [OpenDesc] for each packet and report an [OpenStatus]; [TagLen] and [SampleLen] are fixed by QUIC. A
// [RestingSealer] and a [RestingOpener] need less memory while their connection is idle. An [InitialPacket], a [TokenKey] and a
// [ResetKey] serve packets that belong to no session. [PeerDetails] is what a State has for Config.VerifyPeer. [Guard] runs callbacks, and [ParseServerName] parses what a
// client asks for as a [ServerName]. [SessionKey] names a session in a ClientStore. Package tlsprovider/packetkeys implements a Sealer and an Opener on a
// cipher.AEAD, tlsprovider/messages checks TLS messages, and tlsprovider/tlstest is the conformance suite that every
// provider must pass. See docs/writing-a-provider.md.
//
// # Concurrency and ownership
//
// A Provider and an Endpoint are safe for concurrent use. A Session has one caller at a time: the transport
// hands it to one job after another (see docs/execution-contract.md). A Sealer and an Opener belong to one
// packet number space and are used under the connection's lock; the two directions share no mutable state, so
// two goroutines may use them at once. The caller that receives a Session, Sealer, Opener, TokenKey or
// ResetKey closes it; Close is idempotent. Keys stay valid after their Session is closed.
package tlsprovider
