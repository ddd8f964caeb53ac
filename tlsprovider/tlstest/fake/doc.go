// Package fake is a TLS provider without cryptography, for tests and simulations. It protects
// nothing: never use it for anything else.
//
// What a transport can see is as with a real provider: the messages are those of TLS 1.3, encoded as
// RFC 8446 says, with the sizes of post-quantum or classical flights; keys become ready at the same
// moments; packets carry 16-byte tags that depend on keys, header, packet number and payload;
// packet numbers are masked; the failures have their alerts. Two things make it worth having. It is
// deterministic: everything random follows from Options.Seed and the order of calls. And it is
// cheap: a handshake takes microseconds, so that a simulator can run many thousands.
//
// It is also strict. A caller that breaks the boundary's rules (packet numbers that do not grow, a
// closed key, two calls at once on one object) hears of it by a panic, see Options.Misuse; event
// data is overwritten by the next call. [Live] counts what has not been closed.
package fake
